"""One sample through an LSTM from Python: edgelstm beside ONNX Runtime with hand-carried state, same core, same minute.

    python bench/step.py [--hidden 32] [--inputs 4] [--json]

Rounds of all contenders are interleaved; each round gives a median, and the smallest median of a contender counts:
other programs on the machine can only add to it. Needs onnx and onnxruntime for the peer; without them it says so.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]
import machine  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from factories import random_model  # noqa: E402


def onnx_step(inputs, hidden, outputs, rng):
    """Return a function that steps a float32 LSTM and Gemm in ONNX Runtime, state carried by the caller."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def weights(name, *shape):
        return numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [
            helper.make_node(
                "LSTM", ["x", "W", "R", "B", "", "h", "c"], ["all", "h2", "c2"], hidden_size=hidden
            ),
            helper.make_node("Reshape", ["h2", "flat"], ["last"]),
            helper.make_node("Gemm", ["last", "G"], ["y"]),
        ],
        "step",
        [value("x", 1, 1, inputs), value("h", 1, 1, hidden), value("c", 1, 1, hidden)],
        [value("y", 1, outputs), value("h2", 1, 1, hidden), value("c2", 1, 1, hidden)],
        [
            weights("W", 1, 4 * hidden, inputs),
            weights("R", 1, 4 * hidden, hidden),
            weights("B", 1, 8 * hidden),
            weights("G", hidden, outputs),
            numpy_helper.from_array(np.array([1, hidden]), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    state = {"h": np.zeros((1, 1, hidden), np.float32), "c": np.zeros((1, 1, hidden), np.float32)}
    x = rng.normal(size=(1, 1, inputs)).astype(np.float32)

    def step():
        _, state["h"], state["c"] = session.run(None, {"x": x, **state})

    return step


def durations_ns(function, repeat):
    times = np.empty(repeat, np.int64)
    for n in range(repeat):
        start = time.perf_counter_ns()
        function()
        times[n] = time.perf_counter_ns() - start
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    loaded = LoadedModel(random_model(0, args.inputs, [("lstm", args.hidden), ("linear", args.inputs)]))
    stream, blocks = loaded.stream(), loaded.stream()
    x, out = rng.normal(size=args.inputs).astype(np.float32), np.empty(args.inputs, np.float32)
    block = rng.normal(size=(1000, args.inputs)).astype(np.float32)
    contenders = {
        "empty call": (lambda: None, 2000, 1),
        "edgelstm step": (lambda: stream.step(x), 2000, 1),
        "edgelstm step, out given": (lambda: stream.step(x, out), 2000, 1),
        "edgelstm run, per sample": (lambda: blocks.run(block), 20, 1000),
    }
    try:
        contenders["onnxruntime float32 step"] = (
            onnx_step(args.inputs, args.hidden, args.inputs, rng),
            500,
            1,
        )
    except ImportError as exc:
        print(f"no peer: {exc.name} is not installed", file=sys.stderr)
    medians = {name: [] for name in contenders}
    tails = {name: [] for name in contenders}
    for _ in range(args.rounds):
        for name, (function, repeat, samples) in contenders.items():
            times = durations_ns(function, repeat) / samples
            medians[name].append(np.median(times))
            tails[name].append(np.percentile(times, 99))
    clock = min(medians.pop("empty call"))
    results = {
        name: {
            "p50_us": (min(medians[name]) - clock * (repeat > 20)) / 1000,
            "p99_us": min(tails[name]) / 1000,
        }
        for name, (_, repeat, _) in contenders.items()
        if name in medians
    }
    report = {
        "machine": machine.describe("onnxruntime"),
        "hidden": args.hidden,
        "inputs": args.inputs,
        "results": results,
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return
    machine.print_header(
        f"step: LSTM {args.hidden} units, {args.inputs} inputs, dense head, one core", report["machine"]
    )
    base = results["edgelstm step"]["p50_us"]
    for name, found in results.items():
        print(
            f"  {name:28s} p50 {found['p50_us']:7.3f} us  p99 {found['p99_us']:7.3f} us  {found['p50_us'] / base:6.2f}x"
        )
    print(f"  (the clock and an empty call, {clock:.0f} ns, are taken off the p50 of single steps)")


if __name__ == "__main__":
    main()
