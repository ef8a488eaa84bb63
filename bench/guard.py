"""Did a change make the kernels slower? The ratio to plain Numba loops on the same core, against a committed value.

    python bench/guard.py            compare; exit code 1 where a ratio fell below the committed one by more than its spread
    python bench/guard.py --write    measure and commit to bench/results/guard.json

Both run alternately, many short rounds; a round's ratio sees the same clock, neighbours and temperature on both sides. The
committed value holds for one kernel variant: another machine with the same instructions has nearly the same ratio, and
one with others says that it has no value to compare with.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
import network as networks  # noqa: E402
import peers  # noqa: E402
from edgelstm import machine  # noqa: E402

COMMITTED = HERE / "results" / "guard.json"
SIZES = (32, 128)
_SPREADS = 4
"""How many spreads below the committed median a ratio has to be to count as slower."""


def elapsed_ns(function, samples, repeats: int) -> float:
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter_ns()
        for sample in samples:
            function(sample)
        best = min(best, time.perf_counter_ns() - start)
    return float(best)


def ratios(hidden: int, rounds: int) -> tuple[float, float]:
    """Return the median over rounds of (plain Numba / a block's sample), and the spread of that median."""
    network = networks.make(hidden, 4)
    ours, plain = peers.edgelstm(network), peers.plain_numba(network)
    samples = networks.signal(4, 200)
    elapsed_ns(plain.step, samples, 1)
    ours.block(samples)
    found = np.array(
        [elapsed_ns(plain.step, samples, 3) / elapsed_ns(ours.block, [samples], 10) for _ in range(rounds)]
    )
    low, median, high = np.percentile(found, [25, 50, 75])
    return float(median), float(high - low)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--write", action="store_true", help=f"keep what is measured in {COMMITTED.name}")
    args = parser.parse_args()
    core = machine.last_core()
    if core >= 0:
        os.sched_setaffinity(0, {core})
    header = machine.describe()
    machine.print_header("guard: plain Numba loops take how many times a sample of a block", header)
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    expected = committed.get(header["kernel"], {})
    measured, slower = {}, False
    for hidden in SIZES:
        ratio, spread = ratios(hidden, args.rounds)
        measured[str(hidden)] = {"ratio": ratio, "spread": spread}
        verdict = "nothing committed for this kernel"
        if str(hidden) in expected:
            before = expected[str(hidden)]
            floor = before["ratio"] - _SPREADS * max(spread, before["spread"])
            verdict = f"committed {before['ratio']:.1f}, slower below {floor:.1f}: {'SLOWER' if ratio < floor else 'as fast'}"
            slower |= ratio < floor
        print(f"  hidden {hidden:4d}  ratio {ratio:5.1f}  spread {spread:4.1f}  {verdict}")
    if args.write:
        committed[header["kernel"]] = measured
        COMMITTED.write_text(json.dumps(committed, indent=1, sort_keys=True) + "\n")
    sys.exit(slower and not args.write)


if __name__ == "__main__":
    main()
