"""What the stages of the detector cost: a sample through a detector against the same sample through its network alone.

    python bench/detector_stages.py [--channels 8] [--json]

The network is one small dense layer, so that little else is in the difference. Blocks of samples, the two interleaved,
the least of the medians of five rounds.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from detector_cases import noise, persistence_model, times
from edgelstm.calibration import calibrate
from edgelstm.machine import describe, print_header
from edgelstm.stream import LoadedModel

ROUNDS, BLOCKS, ROWS = 5, 21, 2000


def per_sample_ns(channels: int) -> dict[str, float]:
    """Return the cost of a sample in ns: of the detector, of its network, and of the stages, their difference."""
    names = [f"c{n}" for n in range(channels)]
    loaded = LoadedModel(persistence_model(names, [10.0] * channels, list(range(1, channels + 1))))
    history = noise(0, 20_000, channels)
    detector = loaded.detector(calibrate(loaded, times(len(history)), history))
    stream, block = loaded.stream(), noise(1, ROWS, channels)
    out = np.empty_like(block)
    start = len(history)
    found: dict[str, list[float]] = {"detector": [], "network": []}
    for _ in range(ROUNDS):
        spent: dict[str, list[float]] = {"detector": [], "network": []}
        for _ in range(BLOCKS):
            times_ns = times(ROWS, start_ns=int(times(1)[0]) + start * 10**9)
            start += ROWS
            for name, call in (
                ("detector", lambda: detector.push_block(times_ns, block)),  # noqa: B023, called at once
                ("network", lambda: stream.run(block, out)),
            ):
                before = time.perf_counter_ns()
                call()
                spent[name].append((time.perf_counter_ns() - before) / ROWS)
        for name, durations in spent.items():
            found[name].append(statistics.median(durations[1:]))
    least = {name: min(medians) for name, medians in found.items()}
    signals = len(detector.settings.channels[0].evidence)
    return {**least, "stages": least["detector"] - least["network"], "signals a channel": signals}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    machine = describe()
    found = per_sample_ns(args.channels)
    if args.json:
        print(json.dumps({"machine": machine, "channels": args.channels, "ns a sample": found}, indent=2))
        return
    print_header(f"detector stages, {args.channels} channels", machine)
    print("  " + "  ".join(f"{name} {value:.0f}" for name, value in found.items()) + "  (ns a sample)")


if __name__ == "__main__":
    main()
