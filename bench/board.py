"""Measure on another machine over ssh: copy this tree there, install it, run the benchmark, fetch the report.

    python bench/board.py --host pi@raspberry [--folder edgelstm-bench] [--peers] [--output FILE]

The other side needs Python 3.11 to 3.14 with venv, and a package index it can reach. Nothing of it is changed outside
of the folder, which stays there for the next time. With --peers the engines of bench/step.py are installed and measured too.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "edgelstm",
    "converters",
    "firmware_sim",
    "bench",
)
PEERS = "onnx onnxruntime ai-edge-litert flatbuffers"


def remote(host: str, command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["ssh", host, command], check=False, **options)


def fail(what: str, host: str, found: subprocess.CompletedProcess) -> None:
    said = (found.stderr or b"").decode(errors="replace").strip().splitlines()
    sys.exit(
        f"bench/board.py: {what} on {host} failed: {said[-1] if said else f'exit code {found.returncode}'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", required=True, help="as ssh takes it, such as pi@raspberry")
    parser.add_argument(
        "--folder", default="edgelstm-bench", help="on the other machine, under the home directory"
    )
    parser.add_argument("--python", default="python3", help="the interpreter there")
    parser.add_argument("--hidden", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--peers", action="store_true", help="install and measure the other engines as well")
    parser.add_argument("--output", type=Path, help="the report; default: bench/results/board-HOST.json")
    args = parser.parse_args()
    folder, sizes = shlex.quote(args.folder), " ".join(map(str, args.hidden))
    output = args.output or ROOT / "bench" / "results" / f"board-{args.host.split('@')[-1]}.json"

    archive = subprocess.run(
        ["tar", "-C", ROOT, "--exclude=__pycache__", "-cz", *TREE], stdout=subprocess.PIPE, check=True
    )
    copied = remote(
        args.host, f"mkdir -p {folder} && tar -C {folder} -xz", input=archive.stdout, stderr=subprocess.PIPE
    )
    if copied.returncode:
        fail("copying", args.host, copied)
    install = f"cd {folder} && {{ [ -d .venv ] || {shlex.quote(args.python)} -m venv .venv; }} && .venv/bin/python -m pip install -q -e ."
    if args.peers:
        install += f" && .venv/bin/python -m pip install -q {PEERS}"
    installed = remote(args.host, install, stdout=sys.stderr, stderr=subprocess.PIPE)
    if installed.returncode:
        fail("installing", args.host, installed)
    run = f"cd {folder} && .venv/bin/edgelstm bench --json --hidden {sizes}"
    if args.peers:
        run = f"cd {folder} && .venv/bin/python bench/step.py --hidden {sizes} --json report.json >&2 && cat report.json"
    measured = remote(args.host, run, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if measured.returncode:
        fail("measuring", args.host, measured)
    report = json.loads(measured.stdout)
    output.write_text(json.dumps(report, indent=1) + "\n")
    machine = report["machine"]
    print(f"{machine['processor']}, {machine['kernel']}: report in {output}")


if __name__ == "__main__":
    main()
