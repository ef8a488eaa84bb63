"""What layers cost beside what they are made of, as ratios on this machine.

    python bench/layers.py [--rounds 20] [--json]

Rounds are interleaved, and the smallest time of all rounds counts: that of the thread, which leaves out what neighbours take. Each
claim has a most that its ratio may be; it ends with status 1 where one is above.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
from layer_cases import Integers  # noqa: E402

from edgelstm import machine  # noqa: E402
from edgelstm.layers import (  # noqa: E402
    Attention,
    Clockwork,
    ConvLstm,
    Decoder,
    Dense,
    ElementProduct,
    Gru,
    Lstm,
    Masking,
    Variational,
    Window,
)
from edgelstm.model import Channel, Model, Output  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402

INPUTS, UNITS, CLOCKED, SAMPLES = 4, 64, 256, 400
MAKE = Integers(0, False)


def load(*layers):
    channels = tuple(Channel(name=f"c{n}", gain=2.0**12) for n in range(INPUTS))
    outputs = tuple(Output(name=f"y{n}", scale=1.0) for n in range(layers[-1].units))
    return LoadedModel(Model(channels, outputs, layers))


def block(model, value=None):
    """Return a function that runs a stream over a block of samples, of one value where it is given."""
    stream, x = model.stream(), np.random.default_rng(0).normal(0, 1, (SAMPLES, INPUTS)).astype(np.float32)
    if value is not None:
        x[:] = value
    return lambda: stream.run(x)


def singly(model, streams):
    """Return a function that steps so many streams, one call for each."""
    all_streams = [model.stream() for _ in range(streams)]
    rows = np.random.default_rng(0).normal(0, 1, (SAMPLES // 10, INPUTS)).astype(np.float32)

    def run():
        for x in rows:
            for stream in all_streams:
                stream.step(x)

    return run


def stepped(model):
    """Return a function that steps one stream, a call for each sample."""
    return singly(model, 1)


def clockwork(periods):
    size = CLOCKED // len(periods)
    hidden = MAKE.rows(CLOCKED, CLOCKED)
    for group in range(len(periods)):
        hidden.weights[group * size : (group + 1) * size, : group * size] = 0
    return load(Clockwork("c", MAKE.rows(CLOCKED, INPUTS), hidden, (size,) * len(periods), periods))


def attention(window, heads=1):
    """Attention over the past of a dense layer; its weights are those of that layer."""
    return load(Dense("d", MAKE.rows(UNITS, INPUTS)), Attention("a", heads, window, 2**29, 3, UNITS))


def grid(size, filters=4, kernel=3):
    around = kernel * kernel
    first = Dense("d", MAKE.rows(size * size, INPUTS))
    products = MAKE.rows(4 * filters, around), MAKE.rows(4 * filters, around * filters)
    return load(first, ConvLstm("c", *products, size, size, kernel))


def a_multiply_add():
    """Yield the same of one multiply-add each, beside one of an LSTM, whose products are as fast as they can be."""
    lstm = load(Lstm("l", MAKE.rows(4 * UNITS, INPUTS), MAKE.rows(4 * UNITS, UNITS)))
    for what, most, model in (
        ("attention over 256 samples, one head", 25.0, attention(256)),
        ("attention over 256 samples, four heads", 50.0, attention(256, heads=4)),
        ("a convolutional LSTM of 16 x 16, 4 filters", 20.0, grid(16)),
    ):
        share = sum(lstm.model.multiply_adds.values()) / sum(model.model.multiply_adds.values())
        yield f"a multiply-add of {what}, against one of an LSTM", most, block(model), block(lstm), share


def comparisons():
    """Yield what is claimed, the most that the ratio may be, and the two functions whose times are compared."""
    all_tick = clockwork((1, 1, 1, 1))
    for periods in ((1, 2, 4, 8), (2, 4, 8, 16), (8, 16, 32, 64)):
        model = clockwork(periods)
        share = model.model.multiply_adds["c"] / all_tick.model.multiply_adds["c"]
        yield (
            f"clockwork, periods {periods}: {share:.2f} of the multiply-adds, against all groups at every sample",
            0.35 + share,
            block(model),
            block(all_tick),
        )
    gru = Gru("g", MAKE.rows(3 * UNITS, INPUTS), MAKE.rows(3 * UNITS, UNITS))
    for length, hop in ((16, 1), (16, 8)):
        window = load(Window("w", length, (gru,), ("g",), (length - 1,), hop=hop, due=(length - 1) % hop))
        yield (
            f"window of {length}, hop {hop}: {length / hop:g} steps a sample, against a stateful step",
            2.0 * length / hop,
            block(window),
            block(load(gru)),
        )
    lstm, head = (
        Lstm("l", MAKE.rows(4 * UNITS, INPUTS), MAKE.rows(4 * UNITS, UNITS)),
        Dense("d", MAKE.rows(4, UNITS)),
    )
    masks = MAKE.rng.integers(0, 2, (16, INPUTS + 2 * UNITS)).astype(np.int8)
    runs = load(Variational("v", (lstm, head), masks))
    yield (
        "16 masked runs in a step, against 16 streams stepped singly",
        1.0,
        stepped(runs),
        singly(load(lstm, head), 16),
    )
    mask = Masking("m", tuple(range(INPUTS)), (0.0,) * INPUTS)
    passed_over = load(mask, dataclasses.replace(lstm, when="m", sources=("input",)), head)
    yield "a sample that is masked, against one that is not", 0.5, block(passed_over, 0.0), block(passed_over)
    says = (
        dataclasses.replace(gru, name="a", inputs=MAKE.rows(3 * UNITS, UNITS)),
        Dense("b", MAKE.rows(UNITS, UNITS)),
    )
    hand_over = ElementProduct(*(np.full(UNITS, value, np.int32) for value in (2**28, 11, 0)))
    same = ElementProduct(*(np.full(UNITS, value, np.int32) for value in (2**28, 11, 0)))
    decoder = Decoder("d", says, 8, "b", ("a",), hand_over, np.zeros(UNITS, np.int16), feed=same)
    chain = load(
        gru, dataclasses.replace(says[0], sources=("g",)), dataclasses.replace(says[1], activation="tanh")
    )
    yield (
        "an encoder's step and 8 of a decoder, against one of each",
        8.0,
        block(load(gru, decoder)),
        block(chain),
    )


def growing():
    """Yield the same of what grows with its window or its grid."""
    for window in (64, 256):
        claim = f"attention over {window} samples, against 16"
        yield claim, 1.1 * window / 16, block(attention(window)), block(attention(16))
    for size in (16, 32):
        claim = f"a convolutional LSTM of {size} x {size}, against 8 x 8"
        yield claim, 1.25 * (size / 8) ** 2, block(grid(size)), block(grid(8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = [(*each, 1.0) for each in (*comparisons(), *growing())] + list(a_multiply_add())
    times = np.full((args.rounds, len(found), 2), np.inf)
    for _, _, first, second, _ in found:  # compiled, and warm
        first(), second()
    for turn in range(args.rounds):
        for row, (_, _, *pair, _) in enumerate(found):
            for column, run in enumerate(pair):
                taken = []
                for _ in range(5):
                    start = time.thread_time_ns()
                    run()
                    taken.append(time.thread_time_ns() - start)
                times[turn, row, column] = min(taken)
    first, second = times.min(axis=0).T
    measured = first / second * [share for *_, share in found]
    ratios = dict(zip((claim for claim, *_ in found), measured.round(3).tolist(), strict=True))
    missed = [claim for claim, most, *_ in found if ratios[claim] > most]
    if args.json:
        print(json.dumps({"machine": machine.describe(), "ratios": ratios, "missed": missed}, indent=2))
    else:
        for claim, most, *_ in found:
            print(f"{ratios[claim]:7.2f}  (at most {most:.2f})  {claim}")
    if missed:
        raise SystemExit(f"not as claimed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
