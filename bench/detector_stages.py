"""What the stages of the detector cost: a sample through a detector against the same sample through its network alone.

    python bench/detector_stages.py [--channels 8] [--hidden 32] [--json]

The network is one small dense layer, so that little else is in the difference. Then a detector with an LSTM of --hidden units, whose
forecasts a readout makes that learns on, against the same without the readout. Blocks of samples, the two
interleaved, the least of the medians of five rounds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from detector_cases import noise, persistence_model, times
from edgelstm.calibration import calibrate
from edgelstm.machine import describe, print_header
from edgelstm.stream import LoadedModel
from factories import random_model

ROUNDS, BLOCKS, ROWS = 5, 21, 2000
HISTORY = 20_000


def interleaved_ns(calls: dict[str, Callable[[np.ndarray], object]]) -> dict[str, float]:
    """Return what a sample costs each of `calls`, which are given the times of a block."""
    start = HISTORY
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        spent: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(BLOCKS):
            times_ns = times(ROWS, start_ns=int(times(1)[0]) + start * 10**9)
            start += ROWS
            for name, call in calls.items():
                before = time.perf_counter_ns()
                call(times_ns)
                spent[name].append((time.perf_counter_ns() - before) / ROWS)
        for name, durations in spent.items():
            found[name].append(statistics.median(durations[1:]))
    return {name: min(medians) for name, medians in found.items()}


def per_sample_ns(channels: int) -> dict[str, float]:
    """Return the cost of a sample in ns: of the detector, of its network, and of the stages, their difference."""
    names = [f"c{n}" for n in range(channels)]
    loaded = LoadedModel(persistence_model(names, [10.0] * channels, list(range(1, channels + 1))))
    history, block = noise(0, HISTORY, channels), noise(1, ROWS, channels)
    detector = loaded.detector(calibrate(loaded, times(HISTORY), history))
    stream, out = loaded.stream(), np.empty_like(block)
    least = interleaved_ns(
        {
            "detector": lambda times_ns: detector.push_block(times_ns, block),
            "network": lambda times_ns: stream.run(block, out),
        }
    )
    signals = len(detector.settings.channels[0].evidence)
    return {**least, "stages": least["detector"] - least["network"], "signals a channel": signals}


def readout_ns(channels: int, hidden: int) -> dict[str, float]:
    """Return the cost of a sample in ns with a network frozen, with a readout of it that learns on, and the readout's."""
    loaded = LoadedModel(random_model(1, channels, (("lstm", hidden), ("linear", channels))))
    history, block = noise(0, HISTORY, channels), noise(1, ROWS, channels)
    frozen, learning = (
        loaded.detector(calibrate(loaded, times(HISTORY), history, **choices))
        for choices in ({}, {"readout_memory": 5000})
    )
    least = interleaved_ns(
        {
            "frozen": lambda times_ns: frozen.push_block(times_ns, block),
            "learning on": lambda times_ns: learning.push_block(times_ns, block),
        }
    )
    return {**least, "readout": least["learning on"] - least["frozen"], "features": learning.readout.features}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=32, help="units of the LSTM that is read out (32)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    machine = describe()
    found, read_out = per_sample_ns(args.channels), readout_ns(args.channels, args.hidden)
    if args.json:
        report = {
            "machine": machine,
            "channels": args.channels,
            "ns a sample": found,
            "hidden": args.hidden,
            "readout, ns a sample": read_out,
        }
        print(json.dumps(report, indent=2))
        return
    print_header(f"detector stages, {args.channels} channels", machine)
    for row in (found, read_out):
        print("  " + "  ".join(f"{name} {value:.0f}" for name, value in row.items()) + "  (ns a sample)")


if __name__ == "__main__":
    main()
