"""ONNX graphs built by hand: what is read is proved by running it, what cannot be is refused by its node."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402

RNG = np.random.default_rng(1)
I, H, O = 3, 5, 2  # noqa: E741


def constant(name, *shape, value=None):
    return numpy_helper.from_array(
        RNG.normal(0, 0.4, shape).astype(np.float32) if value is None else value, name
    )


def write(path, nodes, initializers, *, x=("t", 1, I), inputs=(), y=("t", 1, "n"), outputs=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x), *inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y), *outputs],
        initializers,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def recurrent(kind="LSTM", inputs="x W R B", name="rnn", **attributes):
    outputs = ["seq"]
    return helper.make_node(kind, inputs.split(" "), outputs, name=name, hidden_size=H, **attributes)


def weights(gates):
    return [constant("W", 1, gates * H, I), constant("R", 1, gates * H, H), constant("B", 1, 2 * gates * H)]


SQUEEZE = helper.make_node("Squeeze", ["seq", "axis"], ["h"], name="squeeze")
AXIS = numpy_helper.from_array(np.array([1]), "axis")


def test_an_lstm_with_matmul_and_add(tmp_path):
    nodes = [
        recurrent(),
        SQUEEZE,
        helper.make_node("MatMul", ["h", "M"], ["m"], name="fc"),
        helper.make_node("Add", ["m", "bias"], ["a"]),
        helper.make_node("Tanh", ["a"], ["y"]),
    ]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [*weights(4), AXIS, constant("M", H, O), constant("bias", O)],
        y=("t", 1, O),
    )
    reading = readers.read(path)
    assert [(layer.kind, layer.units) for layer in reading.model.layers] == [("lstm", H), ("dense", O)]
    assert reading.model.layers[1].activation == "tanh"
    assert "within" in reading.proof


@pytest.mark.parametrize("after", [0, 1])
def test_a_gru_with_the_reset_before_and_after(tmp_path, after):
    nodes = [recurrent("GRU", linear_before_reset=after), helper.make_node("Squeeze", ["seq", "axis"], ["y"])]
    reading = readers.read(write(tmp_path / "m.onnx", nodes, [*weights(3), AXIS], y=("t", 1, H)))
    assert reading.model.layers[0].reset_after is bool(after)


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_with_its_factors_on_the_last_step(tmp_path, transposed):
    shape = (O, H) if transposed else (H, O)
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["", "last"], name="rnn", hidden_size=H),
        helper.make_node("Squeeze", ["last", "first"], ["h"]),
        helper.make_node("Gemm", ["h", "M", "C"], ["y"], name="fc", transB=transposed, alpha=0.5, beta=2.0),
    ]
    first = numpy_helper.from_array(np.array([0]), "first")
    path = write(
        tmp_path / "m.onnx", nodes, [*weights(4), first, constant("M", *shape), constant("C", O)], y=(1, O)
    )
    assert "within" in readers.read(path).proof


def test_an_initial_state_of_zeros_made_from_shapes(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["batch"], axis=0),
        helper.make_node("Concat", ["ones", "batch", "size"], ["dims"], axis=0),
        helper.make_node("ConstantOfShape", ["dims"], ["zeros"]),
        helper.make_node(
            "LSTM", ["x", "W", "R", "B", "", "zeros", "zeros"], ["seq"], name="rnn", hidden_size=H
        ),
        helper.make_node("Squeeze", ["seq", "axis"], ["y"]),
    ]
    integers = {"one": [1], "ones": [1], "size": [H]}
    more = [numpy_helper.from_array(np.array(value), name) for name, value in integers.items()]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, *more], y=("t", 1, H))
    assert readers.read(path).model.layers[0].units == H


def test_states_carried_by_the_caller(tmp_path):
    state = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, H))
        for name in ("h", "c", "h2", "c2")
    }
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "B", "", "h", "c"], ["seq", "h2", "c2"], name="rnn", hidden_size=H
        ),
        helper.make_node("Squeeze", ["seq", "axis"], ["y"]),
    ]
    path = write(
        tmp_path / "m.onnx", nodes, [*weights(4), AXIS], x=(1, 1, I), inputs=[state["h"], state["c"]],
        y=(1, 1, H), outputs=[state["h2"], state["c2"]],
    )  # fmt: skip
    assert "over 200 samples" in readers.read(path).proof


TAIL = helper.make_node("Squeeze", ["seq", "axis"], ["y"])
P = constant("P", 1, 3 * H)
LENGTHS = numpy_helper.from_array(np.array([7], np.int32), "n")
H0 = constant("h0", 1, 1, H)
REFUSED = {
    "bidirectional": ([recurrent(direction="bidirectional"), TAIL], [], "rnn.*direction is bidirectional"),
    "reverse": ([recurrent(direction="reverse"), TAIL], [], "rnn.*direction is reverse"),
    "clip": ([recurrent(clip=1.0), TAIL], [], "rnn.*cell clip"),
    "coupled": ([recurrent(input_forget=1), TAIL], [], "rnn.*coupled"),
    "activations": ([recurrent(activations=["Sigmoid", "Relu", "Tanh"]), TAIL], [], "rnn.*activations are Sigmoid, Relu"),
    "peephole": ([recurrent(inputs="x W R B    P"), TAIL], [P], "rnn.*peephole"),
    "lengths": ([recurrent(inputs="x W R B n"), TAIL], [LENGTHS], "rnn.*sequence_lens"),
    "initial state": ([recurrent(inputs="x W R B  h0"), TAIL], [H0], "rnn.*initial_h is not zero"),
    "other operator": (
        [recurrent(), SQUEEZE, helper.make_node("Softmax", ["h"], ["y"], name="soft")], [], r'node "soft" \(Softmax\): cannot',
    ),
    "skip connection": (
        [helper.make_node("LSTM", ["x", "W", "R", "B"], ["seq"], name="rnn", hidden_size=H), SQUEEZE,
         helper.make_node("MatMul", ["h", "M"], ["m"], name="fc"), helper.make_node("Add", ["m", "h"], ["y"], name="skip")],
        [constant("M", H, H)], r'node "skip" \(Add\)',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_by_node(tmp_path, case):
    nodes, more, message = REFUSED[case]
    directions = 2 if case == "bidirectional" else 1
    base = [
        constant("W", directions, 4 * H, I),
        constant("R", directions, 4 * H, H),
        constant("B", directions, 8 * H),
    ]
    path = write(tmp_path / "m.onnx", nodes, [*base, AXIS, *more])
    with pytest.raises(ConversionError, match=message):
        readers.read(path)


def test_a_graph_that_picks_features_is_found_out_by_the_proof(tmp_path):
    nodes = [recurrent(), SQUEEZE, helper.make_node("Gather", ["h", "two"], ["y"], axis=2)]
    path = write(
        tmp_path / "m.onnx", nodes, [*weights(4), AXIS, numpy_helper.from_array(np.array([2, 0]), "two")]
    )
    with pytest.raises(ConversionError, match=r"output has shape|do not give what"):
        readers.read(path)


def test_a_file_that_is_no_graph(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09 not a model")
    with pytest.raises(ConversionError, match=r"m\.onnx: is damaged or no ONNX model"):
        readers.read(tmp_path / "m.onnx")
