"""One sample through an LSTM from Python: edgelstm beside the engines that are installed, same core, same minute.

    python bench/step.py [--hidden 8 16 32 64 128 256 512] [--inputs 4] [--rounds 10] [--json FILE] [--plot FILE.svg]
                         [--tflite-python PYTHON]

Every contender is a process of its own on the same core, and checks its outputs against float64 first. Rounds are
interleaved; of each figure the smallest of all rounds counts: other programs on the machine can only add to it.
The clock is taken off. What is not installed is named and left out.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]
import network as networks  # noqa: E402
import roofline  # noqa: E402
from edgelstm import machine  # noqa: E402
from peers import PEERS, TFLITE_MODEL, TFLITE_RUNTIME  # noqa: E402

OURS, YARDSTICK = "edgelstm", "litert float32"
LARGEST_ERROR = 0.05
"""From the float64 reference; outputs are of the order of 1. A contender beyond it is shown, not compared."""


class Process:
    """A contender; None where it could not start, with the reason on stderr."""

    def __init__(
        self, name: str, hidden: int, inputs: int, core: int, python: str = sys.executable, **variables: str
    ) -> None:
        command = [python, str(HERE / "contender.py"), name, str(hidden), str(inputs), str(core)]
        environment = {
            **os.environ,
            **variables,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.rounds: list[dict[str, float]] = []
        self.error = self._read()["error"]

    def _read(self) -> dict[str, float]:
        for line in self.child.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(self.child.stderr.read().strip().splitlines()[-1])

    def round(self) -> None:
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        self.rounds.append(self._read())

    def finish(self) -> dict[str, float]:
        self.child.stdin.close()
        self.child.wait()
        smallest = {key: min(found[key] for found in self.rounds) for key in self.rounds[0]}
        return {**smallest, "error": self.error}


def installed(name: str, tflite_python: str | None) -> bool:
    if name == TFLITE_RUNTIME and tflite_python:
        command = [tflite_python, "-c", "import numpy, tflite_runtime.interpreter"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(
                f"not measured: {name} ({tflite_python}: {done.stderr.strip().splitlines()[-1]})",
                file=sys.stderr,
            )
        return done.returncode == 0
    missing = [package for package in PEERS[name][1] if importlib.util.find_spec(package) is None]
    if missing:
        hint = "; its last wheels are for Python 3.11 and NumPy 1: name an interpreter that has them with --tflite-python"
        print(
            f"not measured: {name} ({', '.join(missing)} not installed{hint if name == TFLITE_RUNTIME else ''})",
            file=sys.stderr,
        )
    return not missing


def started(name: str, hidden: int, inputs: int, core: int, tflite_python: str | None) -> Process:
    """Start a contender; that of another interpreter gets a model file that it could not write itself."""
    if name != TFLITE_RUNTIME or tflite_python is None:
        return Process(name, hidden, inputs, core)
    import tflite_lstm

    with tempfile.NamedTemporaryFile(suffix=".tflite") as model:
        model.write(tflite_lstm.write(networks.make(hidden, inputs), "float"))
        model.flush()
        return Process(name, hidden, inputs, core, tflite_python, **{TFLITE_MODEL: model.name})


def measure(
    names: list[str], hidden: int, inputs: int, rounds: int, core: int, tflite_python: str | None
) -> dict[str, dict[str, float]]:
    """Return, for each contender, nanoseconds for a step and the largest error."""
    processes = {}
    for name in names:
        try:
            processes[name] = started(name, hidden, inputs, core, tflite_python)
        except RuntimeError as exc:
            print(f"not measured: {name} at hidden {hidden}: {exc}", file=sys.stderr)
    for _ in range(rounds):
        for process in processes.values():
            process.round()
    return {name: process.finish() for name, process in processes.items()}


def table(hidden: int, found: dict[str, dict[str, float]], roof: dict[str, float]) -> str:
    lines = [f"hidden {hidden}, ns             p50       p99     p99.9        max    error   times ours"]
    ours = found[OURS]
    for name, figures in found.items():
        wrong = figures["error"] > LARGEST_ERROR
        ratio = "WRONG OUTPUT" if wrong else f"{figures['p50'] / ours['p50']:6.2f}"
        lines.append(
            f"  {name:25s}{figures['p50']:8.0f}{figures['p99']:10.0f}{figures['p99.9']:10.0f}{figures['max']:11.0f}"
            f"{figures['error']:9.1e}   {ratio}"
        )
    lines.append(f"  {'edgelstm, block':25s}{ours['block']:8.0f}   (for each sample of a block)")
    if YARDSTICK in found:
        base = found[YARDSTICK]["p50"]
        lines.append(
            f"  {YARDSTICK} takes {base / ours['p50']:.1f} times a step, {base / ours['block']:.1f} times a block's sample"
        )
    lines.append(
        f"  roofline: {roof['weight_bytes'] / 1024:.1f} KiB of weights at {roof['bandwidth_gb_s']:.0f} GB/s ({roof['level']}) and"
        f" a call of {roof['call_ns']:.0f} ns: a step takes {ours['p50'] / roof['limit_ns']:.2f} times that,"
        f" a block's sample {ours['block'] / roof['stream_ns']:.2f} times the reading alone"
    )
    return "\n".join(lines)


def plot(sizes: dict[str, dict[str, dict[str, float]]], title: str, target: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    hidden = [int(size) for size in sizes]
    names = dict.fromkeys(name for found in sizes.values() for name in found)
    lines = [(name, name, "p50") for name in names if name != "edgelstm, new array"]
    for label, name, key in [("edgelstm, block", OURS, "block"), *lines]:
        points = [
            (size, sizes[str(size)][name][key] / 1000)
            for size in hidden
            if name in sizes[str(size)] and sizes[str(size)][name]["error"] <= LARGEST_ERROR
        ]
        axes.plot(*zip(*points, strict=True), marker="o", linewidth=2.5 if name == OURS else 1, label=label)
    axes.set(
        xscale="log", yscale="log", xlabel="hidden units", ylabel="microseconds for a sample", title=title
    )
    axes.set_xticks(hidden, [str(size) for size in hidden])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(target)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256, 512])
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--core", type=int, default=machine.last_core(), help="-1: wherever the system puts it"
    )
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument(
        "--tflite-python", metavar="PYTHON", help="an interpreter that has tflite-runtime and NumPy 1"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--plot", type=Path, nargs="+", default=[], metavar="FILE", help="write .svg or .png")
    args = parser.parse_args()
    names = [name for name in args.only if installed(name, args.tflite_python)]
    if OURS not in names:
        sys.exit("bench/step.py compares with edgelstm: leave it in --only, and pip install onnx")
    header = machine.describe("onnxruntime", "ai-edge-litert", "tflite-runtime", "torch")
    machine.print_header(
        f"step: one LSTM layer and a dense output, {args.inputs} inputs, core {args.core}", header
    )
    sizes, roofs = {}, {}
    speeds = roofline.measure(args.core)
    for hidden in args.hidden:
        found = measure(names, hidden, args.inputs, args.rounds, args.core, args.tflite_python)
        if OURS not in found:
            sys.exit(f"bench/step.py: nothing to compare with at hidden {hidden}, for the reason above")
        roofs[str(hidden)] = roofline.limit(networks.make(hidden, args.inputs), speeds)
        sizes[str(hidden)] = found
        print(table(hidden, found, roofs[str(hidden)]), flush=True)
    if args.json:
        report = {
            "machine": header,
            "inputs": args.inputs,
            "rounds": args.rounds,
            "ns": sizes,
            "roofline": roofs,
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    for target in args.plot:
        plot(sizes, f"one sample through an LSTM, from Python ({header['processor']})", target)


if __name__ == "__main__":
    main()
