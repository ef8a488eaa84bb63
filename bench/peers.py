"""The contenders of the benchmarks: each makes, from the same network, a function that takes a sample and gives the outputs.

A maker imports its framework itself and returns a `Contender`. Samples are prepared (shaped, quantised) outside of what
is timed, to the peers' advantage: edgelstm takes the float32 vector as it comes.
"""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import network as networks
from network import Floats, Network

TFLITE_RUNTIME, TFLITE_MODEL = "tflite-runtime float32", "TFLITE_MODEL"
"""A contender, and the variable of the environment that names its model file where it cannot write one."""


@dataclass(frozen=True, slots=True)
class Contender:
    """`step(prepare(sample))` gives one sample's outputs; `block(samples)` those of many, where there is such a call."""

    step: Callable[[Any], Any]
    prepare: Callable[[Floats], Any] = lambda sample: sample
    result: Callable[[Any], Any] = lambda outputs: outputs
    block: Callable[[Floats], Any] | None = None


def onnx_bytes(network: Network) -> bytes:
    """The network as ONNX writes it: gates i, o, f, c, and the state handed in and out."""
    from onnx import TensorProto, helper, numpy_helper

    def rows(values: Floats) -> Floats:
        i, f, g, o = network.gates(values)
        return np.concatenate([i, o, f, g])[None]

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    bias = np.concatenate([rows(network.bias), np.zeros((1, 4 * network.hidden), np.float32)], axis=1)
    constants = {
        "W": rows(network.input_weights),
        "R": rows(network.hidden_weights),
        "B": bias,
        "G": np.ascontiguousarray(network.dense_weights.T),
        "D": network.dense_bias,
        "flat": np.array([-1, network.hidden]),
    }
    state = [value(name, 1, 1, network.hidden) for name in ("h", "c")]
    graph = helper.make_graph(
        [
            helper.make_node(
                "LSTM", ["x", "W", "R", "B", "", "h", "c"], ["all", "h2", "c2"], hidden_size=network.hidden
            ),
            helper.make_node("Reshape", ["all", "flat"], ["rows"]),
            helper.make_node("Gemm", ["rows", "G", "D"], ["y"]),
        ],
        "lstm",
        [value("x", "samples", 1, network.inputs), *state],
        [
            value("y", "samples", network.outputs),
            value("h2", 1, 1, network.hidden),
            value("c2", 1, 1, network.hidden),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def loaded_model(network: Network) -> Any:
    """Convert the network, from the ONNX file that ONNX Runtime gets, and load it."""
    from edgelstm.stream import LoadedModel
    from edgelstm_converters import convert

    with TemporaryDirectory() as folder:
        path = Path(folder) / "lstm.onnx"
        path.write_bytes(onnx_bytes(network))
        return LoadedModel(convert(path, calibration=networks.signal(network.inputs, 500)))


def edgelstm(network: Network) -> Contender:
    stream, out = loaded_model(network).stream(), np.empty(network.outputs, np.float32)
    return Contender(lambda x: stream.step(x, out), block=stream.run)


def edgelstm_new_array(network: Network) -> Contender:
    return Contender(loaded_model(network).stream().step)


def _litert(kind: str) -> Callable[[Network], Contender]:
    def make(network: Network) -> Contender:
        from ai_edge_litert.interpreter import Interpreter

        import tflite_lstm

        return _tflite(Interpreter, tflite_lstm.write(network, kind), network)

    return make


def _tflite(interpreter_class: Any, content: bytes, network: Network) -> Contender:
    interpreter = interpreter_class(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    x, y = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    at, to, scales = x["index"], y["index"], [side["quantization"][0] for side in (x, y)]

    def prepare(sample: Floats) -> Any:
        shaped = sample.reshape(x["shape"])
        return np.clip(np.rint(shaped / scales[0]), -128, 127).astype(np.int8) if scales[0] else shaped

    def step(sample: Any) -> Any:
        interpreter.set_tensor(at, sample)
        interpreter.invoke()
        return interpreter.get_tensor(to)

    return Contender(step, prepare, lambda outputs: outputs * (scales[1] or 1.0))


def _tflite_runtime(network: Network) -> Contender:
    from tflite_runtime.interpreter import Interpreter

    if TFLITE_MODEL in os.environ:  # an interpreter that has nothing else
        return _tflite(Interpreter, Path(os.environ[TFLITE_MODEL]).read_bytes(), network)
    import tflite_lstm

    return _tflite(Interpreter, tflite_lstm.write(network, "float"), network)


def _onnxruntime(content: bytes, network: Network) -> Contender:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    x = np.zeros((1, 1, network.inputs), np.float32)
    y = np.zeros((1, network.outputs), np.float32)
    states = [[np.zeros((1, 1, network.hidden), np.float32) for _ in "hc"] for _ in range(2)]
    bindings = []
    for before, after in (states, states[::-1]):
        binding = session.io_binding()
        for name, array in zip(("x", "h", "c"), (x, *before), strict=True):
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in zip(("y", "h2", "c2"), (y, *after), strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        bindings.append(binding)
    run, turn, keep = session.run_with_iobinding, 0, states

    def step(sample: Floats) -> Floats:
        nonlocal turn
        x[0, 0] = sample
        run(bindings[turn])
        turn ^= 1
        return y

    def block(samples: Floats) -> Any:
        del keep[2:]
        h, c = states[turn]
        return session.run(["y"], {"x": samples[:, None, :], "h": h, "c": c})[0]

    return Contender(step, block=block)


def onnxruntime_float(network: Network) -> Contender:
    return _onnxruntime(onnx_bytes(network), network)


def onnxruntime_int8(network: Network) -> Contender:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder:
        target = str(Path(folder) / "int8.onnx")
        quantize_dynamic(onnx.load(io.BytesIO(onnx_bytes(network))), target, weight_type=QuantType.QInt8)
        return _onnxruntime(Path(target).read_bytes(), network)


def pytorch(network: Network) -> Contender:
    import torch

    torch.set_num_threads(1)
    cell = torch.nn.LSTMCell(network.inputs, network.hidden)
    dense = torch.nn.Linear(network.hidden, network.outputs)
    values = (network.input_weights, network.hidden_weights, network.bias, np.zeros_like(network.bias))
    for parameter, value in zip(cell.parameters(), values, strict=True):
        parameter.data = torch.from_numpy(value)
    dense.weight.data, dense.bias.data = map(torch.from_numpy, (network.dense_weights, network.dense_bias))
    state = (torch.zeros(1, network.hidden), torch.zeros(1, network.hidden))

    @torch.inference_mode()
    def step(sample: Any) -> Any:
        nonlocal state
        state = cell(sample, state)
        return dense(state[0])

    return Contender(
        step, lambda sample: torch.from_numpy(sample[None].copy()), lambda outputs: outputs.numpy()
    )


def numpy(network: Network) -> Contender:
    joined = np.hstack([network.input_weights, network.hidden_weights, network.bias[:, None]])
    hidden = network.hidden
    joined[: 2 * hidden] *= 0.5  # sigmoid(z) = (1 + tanh(z / 2)) / 2: one tanh for all gates
    joined[3 * hidden :] *= 0.5
    xh = np.zeros(joined.shape[1], np.float32)
    xh[-1] = 1.0
    z, cell, y = (
        np.empty(4 * hidden, np.float32),
        np.zeros(hidden, np.float32),
        np.empty(network.outputs, np.float32),
    )
    x, h = xh[: network.inputs], xh[network.inputs : -1]
    i, f, g, o = np.split(z, 4)
    gates = (z[: 2 * hidden], o)

    def step(sample: Floats) -> Floats:
        x[:] = sample
        np.dot(joined, xh, out=z)
        np.tanh(z, out=z)
        for gate in gates:
            gate *= 0.5
            gate += 0.5
        np.multiply(cell, f, out=cell)
        np.multiply(i, g, out=i)
        np.add(cell, i, out=cell)
        np.tanh(cell, out=h)
        np.multiply(h, o, out=h)
        np.dot(network.dense_weights, h, out=y)
        np.add(y, network.dense_bias, out=y)
        return y

    return Contender(step)


def plain_numba(network: Network) -> Contender:
    """Loops as anybody would write them, compiled with fast maths."""
    import numba

    @numba.njit(fastmath=True)
    def advance(x, wx, wh, bias, dense, dense_bias, h, c, z, y):
        hidden = h.shape[0]
        for row in range(4 * hidden):
            total = bias[row]
            for n in range(x.shape[0]):
                total += wx[row, n] * x[n]
            for n in range(hidden):
                total += wh[row, n] * h[n]
            z[row] = total
        for n in range(hidden):
            i, f = 1 / (1 + np.exp(-z[n])), 1 / (1 + np.exp(-z[hidden + n]))
            g, o = np.tanh(z[2 * hidden + n]), 1 / (1 + np.exp(-z[3 * hidden + n]))
            c[n] = c[n] * f + i * g
            h[n] = o * np.tanh(c[n])
        for row in range(y.shape[0]):
            total = dense_bias[row]
            for n in range(hidden):
                total += dense[row, n] * h[n]
            y[row] = total

    arrays = (
        network.input_weights,
        network.hidden_weights,
        network.bias,
        network.dense_weights,
        network.dense_bias,
    )
    working = tuple(
        np.zeros(size, np.float32) for size in (network.hidden, network.hidden, 4 * network.hidden)
    )
    y = np.empty(network.outputs, np.float32)

    def step(sample: Floats) -> Floats:
        advance(sample, *arrays, *working, y)
        return y

    return Contender(step)


PEERS: dict[str, tuple[Callable[[Network], Contender], tuple[str, ...]]] = {
    "edgelstm": (edgelstm, ("onnx",)),
    "edgelstm, new array": (edgelstm_new_array, ("onnx",)),
    "litert float32": (_litert("float"), ("ai_edge_litert", "flatbuffers")),
    "litert int8 weights": (_litert("hybrid"), ("ai_edge_litert", "flatbuffers")),
    "litert int8": (_litert("int8"), ("ai_edge_litert", "flatbuffers")),
    TFLITE_RUNTIME: (_tflite_runtime, ("tflite_runtime", "ai_edge_litert", "flatbuffers")),
    "onnxruntime float32": (onnxruntime_float, ("onnx", "onnxruntime")),
    "onnxruntime dynamic int8": (onnxruntime_int8, ("onnx", "onnxruntime")),
    "pytorch": (pytorch, ("torch",)),
    "numpy": (numpy, ()),
    "plain numba": (plain_numba, ("numba",)),
}
"""Name, maker, and the packages it needs."""
