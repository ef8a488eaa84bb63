"""How long until the first verdict: kernels compiled for the first time, and loaded from the cache; and the memory it takes.

    python bench/start.py [--rounds 5] [--json FILE]

Each start is a process of its own. The first one has an empty cache directory, the others find it filled.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]


from edgelstm import machine  # noqa: E402

_CHILD = """
import time
start = time.perf_counter()
from importlib.resources import files
import numpy as np
import edgelstm
model = edgelstm.load(files("edgelstm.models") / "pump.elstm")
detector = model.detector()
second = 1_000_000_000
for n in range(3):
    verdict = detector.push(edgelstm.Sample(np.zeros(model.inputs, np.float32), n * second))
took_s, cpu_s = time.perf_counter() - start, time.process_time()
import json
status = open("/proc/self/status").read()
resident = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"first_verdict_s": took_s, "cpu_s": cpu_s, "resident_mib": resident}))
"""


def child(directory: str) -> dict[str, float]:
    environment = {**os.environ, "EDGELSTM_CACHE_DIR": directory}
    found = subprocess.run(
        [sys.executable, "-c", _CHILD], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(found.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    header = machine.describe()
    machine.print_header(
        "start: from the first import to the verdict on the third sample, shipped model", header
    )
    with tempfile.TemporaryDirectory() as directory:
        first = child(directory)
        later = [child(directory) for _ in range(args.rounds)]
    smallest = {key: min(found[key] for found in later) for key in later[0]}
    print(
        f"  first ever   {first['first_verdict_s']:6.2f} s ({first['cpu_s']:.2f} s of one core)  {first['resident_mib']:6.0f} MiB"
    )
    print(
        f"  from cache   {smallest['first_verdict_s']:6.2f} s ({smallest['cpu_s']:.2f} s of one core)  {smallest['resident_mib']:6.0f} MiB  (smallest of {args.rounds})"
    )
    if args.json:
        args.json.write_text(
            json.dumps({"machine": header, "first": first, "cached": smallest}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
