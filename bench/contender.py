"""One contender in a process of its own, pinned to one core: checks its outputs, then measures a round for each line it reads.

    python bench/contender.py NAME HIDDEN INPUTS CORE

It writes one line of JSON when it is ready, with the largest difference from the float64 reference (a peer that loses
its state shows here), and one for each round: nanoseconds of single steps, and per sample of a block.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
import numpy as np  # noqa: E402

import network as networks  # noqa: E402
from peers import PEERS, Contender  # noqa: E402

CHECKED = 256
BLOCK = 1000
_ROUND_NS = 40_000_000


def durations_ns(function, samples):
    """Return the time of each call, the clock's own taken off by the caller."""
    times = np.empty(len(samples), np.int64)
    for n, sample in enumerate(samples):
        start = time.perf_counter_ns()
        function(sample)
        times[n] = time.perf_counter_ns() - start
    return times


def largest_error(contender: Contender, network, x) -> float:
    outputs = [np.array(contender.result(contender.step(contender.prepare(row)))).reshape(-1) for row in x]
    return float(np.abs(np.array(outputs) - networks.reference(network, x)).max())


def round_of(contender: Contender, samples, block) -> dict[str, float]:
    times = durations_ns(contender.step, samples)
    clock = float(np.median(durations_ns(lambda sample: None, samples)))
    quantiles = np.percentile(times, [50, 99, 99.9, 100]) - clock
    found = dict(zip(("p50", "p99", "p99.9", "max"), quantiles.tolist(), strict=True))
    if contender.block is not None:
        found["block"] = float(np.median(durations_ns(contender.block, [block] * 5))) / len(block)
    return found


def main() -> None:
    name, hidden, inputs, core = sys.argv[1], *map(int, sys.argv[2:])
    if core >= 0:
        os.sched_setaffinity(0, {core})
    network = networks.make(hidden, inputs)
    contender = PEERS[name][0](network)
    error = largest_error(contender, network, networks.signal(inputs, CHECKED))
    samples = [contender.prepare(row) for row in networks.signal(inputs, 1024)]
    typical = np.median(durations_ns(contender.step, samples[:100]))
    count = int(np.clip(_ROUND_NS / typical, 100, 20_000))
    samples = (samples * (count // len(samples) + 1))[:count]
    block = networks.signal(inputs, BLOCK if hidden < 256 else BLOCK // 5)
    gc.collect()
    gc.disable()
    print(json.dumps({"error": error}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(round_of(contender, samples, block)), flush=True)


if __name__ == "__main__":
    main()
