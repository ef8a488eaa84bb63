"""Did a change make the kernels slower? Instructions of a step, and the ratio to plain Numba loops, against committed values.

    python bench/guard.py            compare; exit code 1 where a count rose by more than 1 %, or a ratio fell by more than its spread
    python bench/guard.py --write    measure and commit to bench/results/guard.json

Instructions are counted where something counts them here (`count.py`), compiled for this processor and for one with AVX2
alone, and compared with the count of the same Numba. They do not see time: a longer chain of the same instructions, or a cache.

So the ratio is taken too. Both sides run alternately, many short rounds; a round's ratio sees the same clock, neighbours and temperature
on both. The committed value holds for one kernel variant: another machine with the same instructions has nearly the same ratio, and
one with others says that it has no value to compare with.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numba
import numpy as np
from llvmlite import binding

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
import count  # noqa: E402
import network as networks  # noqa: E402
import peers  # noqa: E402
from edgelstm import machine  # noqa: E402

COMMITTED = HERE / "results" / "guard.json"
SIZES = (32, 128)
MOST_MORE = 1.01
"""How many times the committed instructions are still as many."""
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


def counts(committed: dict, version: str) -> tuple[dict[str, int], bool]:
    """Count the steps of SIZES for this processor and for AVX2; print them, and say whether one is more than committed."""
    measured, more = {}, False
    for processor in dict.fromkeys((binding.get_host_cpu_name(), "haswell")):
        for hidden in SIZES:
            name = f"{processor}, {version}, hidden {hidden}"
            found = count.step(hidden, processor)
            if found is None:
                print(f"  {name}: nothing counts instructions here")
                continue
            measured[name] = found
            verdict = "nothing committed for this processor and Numba"
            if name in committed:
                rose = found > MOST_MORE * committed[name]
                verdict = f"committed {committed[name]}: {'MORE' if rose else 'as many'}"
                more |= rose
            print(f"  {name}: {found} instructions a step, {verdict}", flush=True)
    return measured, more


def compared(expected: dict, rounds: int) -> tuple[dict[str, dict[str, float]], bool]:
    """Measure the ratios of SIZES; print them, and say whether one is below what is committed."""
    measured, slower = {}, False
    for hidden in SIZES:
        ratio, spread = ratios(hidden, rounds)
        measured[str(hidden)] = {"ratio": ratio, "spread": spread}
        verdict = "nothing committed for this kernel"
        if str(hidden) in expected:
            before = expected[str(hidden)]
            floor = before["ratio"] - _SPREADS * max(spread, before["spread"])
            verdict = f"committed {before['ratio']:.1f}, slower below {floor:.1f}: {'SLOWER' if ratio < floor else 'as fast'}"
            slower |= ratio < floor
        print(f"  hidden {hidden:4d}  ratio {ratio:5.1f}  spread {spread:4.1f}  {verdict}", flush=True)
    return measured, slower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--write", action="store_true", help=f"keep what is measured in {COMMITTED.name}")
    args = parser.parse_args()
    header = machine.describe()
    machine.print_header("guard: instructions of a step, and how many times plain Numba loops take", header)
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    before, ratios_before = committed.get("instructions", {}), committed.get("ratios", {})
    counted, more = counts(before, f"numba {numba.__version__}")
    core = machine.last_core()
    if core >= 0:
        os.sched_setaffinity(0, {core})
    measured, slower = compared(ratios_before.get(header["kernel"], {}), args.rounds)
    if args.write:
        kept = {
            "instructions": {**before, **counted},
            "ratios": {**ratios_before, header["kernel"]: measured},
        }
        COMMITTED.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    sys.exit((more or slower) and not args.write)


if __name__ == "__main__":
    main()
