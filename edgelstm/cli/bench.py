"""`edgelstm bench`: what a step costs on this machine, for models of several sizes or for one of the user's own."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

SUMMARY = (
    "Measure a step, a block and many streams on this machine, for several sizes or for a model of your own."
)

_STREAMS, _BLOCK = 64, 200
_ROUND_NS = 20_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="*", help="model files; without any, LSTMs of --hidden units with a dense output"
    )
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256, 512], metavar="UNITS"
    )
    parser.add_argument(
        "--rounds", type=int, default=10, help="of each figure the smallest of all rounds counts"
    )
    parser.add_argument("--json", action="store_true", help="everything, for a program to read")


def run(args: argparse.Namespace) -> int:
    from edgelstm import machine
    from edgelstm.errors import UnavailableError, UsageError

    if args.rounds < 1 or min(args.hidden) < 1:
        raise UsageError("--rounds and --hidden have to be at least 1")
    emulator = machine.emulator()
    if emulator:
        raise UnavailableError(
            f"this machine is emulated ({emulator}): a time measured here says nothing about a real one; "
            "to count instructions instead, from a checkout on a PC: python bench/instructions.py"
        )
    from edgelstm import load

    start = time.perf_counter()
    header = machine.describe()
    if args.model:
        models = {path: load(path) for path in args.model}
    else:
        models = {f"lstm {hidden}": _lstm(hidden) for hidden in args.hidden}
    ready_s = time.perf_counter() - start
    measured = {}
    if not args.json:
        machine.print_header("one core; nanoseconds, the clock taken off, smallest of all rounds", header)
        print(f"  kernels and models ready after {ready_s:.1f} s")
        print(
            f"  {'':24}{'step p50':>10}{'p99':>9}{'p99.9':>9}{'max':>11}{'block':>9}{f'{_STREAMS} streams':>12}"
        )
    for name, model in models.items():
        found = measured[name] = _measure(model, args.rounds)
        if not args.json:
            figures = "".join(f"{found[key]:{width}.0f}" for key, width in _COLUMNS.items())
            print(f"  {name:24}{figures}", flush=True)
    if args.json:
        print(json.dumps({"machine": header, "ready_s": ready_s, "ns": measured}, indent=2))
    else:
        print("  block and streams: for each sample")
    return 0


_COLUMNS = {"p50": 10, "p99": 9, "p99.9": 9, "max": 11, "block": 9, "streams": 12}


def _measure(model: LoadedModel, rounds: int) -> dict[str, float]:
    import numpy as np

    rng = np.random.default_rng(0)
    stream, blocks, many = model.stream(), model.stream(), model.streams(_STREAMS)
    x = rng.normal(size=(_BLOCK, model.inputs)).astype(np.float32)
    y = np.empty((_BLOCK, model.outputs), np.float32)
    sample, result, samples, results = x[0], y[0], x[:_STREAMS], y[:_STREAMS]
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "step": (lambda: stream.step(sample, result), 1),
        "block": (lambda: blocks.run(x, y), _BLOCK),
        "streams": (lambda: many.step(samples, results), _STREAMS),
    }
    found: dict[str, float] = {}
    for _ in range(rounds):
        clock = np.median(_times(lambda: None, 1000))
        for name, (call, count) in calls.items():
            times = _times(call) - clock
            quantiles = dict(
                zip(("p50", "p99", "p99.9", "max"), np.percentile(times, [50, 99, 99.9, 100]), strict=True)
            )
            figures = quantiles if name == "step" else {name: quantiles["p50"] / count}
            for key, value in figures.items():
                found[key] = min(found.get(key, np.inf), float(value))
    return found


def _times(call: Callable[[], Any], count: int | None = None) -> Any:
    """Return nanoseconds of `count` calls, of as many as a round has room for if not given."""
    import numpy as np

    if count is None:
        start = time.perf_counter_ns()
        call()
        count = int(np.clip(_ROUND_NS / (time.perf_counter_ns() - start), 20, 5000))
    times = np.empty(count, np.int64)
    for n in range(count):
        start = time.perf_counter_ns()
        call()
        times[n] = time.perf_counter_ns() - start
    return times


def _lstm(hidden: int, inputs: int = 4) -> LoadedModel:
    """A network of random weights: what it computes means nothing, what it costs is what any of its size costs."""
    import numpy as np

    from edgelstm.model import Channel, Dense, Lstm, Model, Output, RowProduct
    from edgelstm.stream import LoadedModel

    rng = np.random.default_rng(hidden)

    def product(rows: int, columns: int) -> RowProduct:
        typical = 73 * 18_900 * columns**0.5  # of |weights . activations|, which is to become 1 in Q15.16
        return RowProduct(
            rng.integers(-127, 128, (rows, columns)).astype(np.int8),
            np.full((1, rows), min(int(2**47 / typical), 2**30 - 1), np.int32),
            np.zeros((1, rows), np.int32),
            np.zeros(rows, np.int32),
        )

    return LoadedModel(
        Model(
            channels=tuple(Channel(name=f"x{n}", gain=2.0**13) for n in range(inputs)),
            outputs=(Output(name="y", scale=2.0**-23),),
            layers=(
                Lstm("lstm", product(4 * hidden, inputs), product(4 * hidden, hidden)),
                Dense("out", product(1, hidden)),
            ),
        )
    )
