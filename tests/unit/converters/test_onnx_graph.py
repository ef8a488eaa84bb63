"""ONNX graphs built by hand: what is read is proved by running it."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgelstm_converters import readers  # noqa: E402
from edgelstm_converters.readers import engines  # noqa: E402
from onnx_cases import (  # noqa: E402
    AXIS,
    HEAD,
    SQUEEZE,
    TAIL,
    H,
    I,
    O,
    constant,
    dense,
    head_weights,
    integers,
    recurrent,
    weights,
    write,
)


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
    assert "over 1000 samples" in readers.read(path).proof


@pytest.mark.parametrize("operator", ["Relu", "Sigmoid", "Tanh"])
def test_what_follows_a_dense_layer(tmp_path, operator):
    nodes = [recurrent(), SQUEEZE, *HEAD, helper.make_node(operator, ["a"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, *head_weights()], y=("t", 1, O))
    assert readers.read(path).model.layers[1].activation == operator.lower()


def test_the_bias_may_come_first(tmp_path):
    nodes = [recurrent(), SQUEEZE, dense(), helper.make_node("Add", ["bias", "m"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, *head_weights()], y=("t", 1, O))
    assert readers.read(path).model.layers[1].bias.any()


def test_weights_that_have_to_be_computed_first(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["Mt"], ["M"], perm=[1, 0]),
        recurrent(),
        SQUEEZE,
        dense(),
        helper.make_node("Identity", ["m"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, constant("Mt", O, H)], y=("t", 1, O))
    assert readers.read(path).model.layers[1].weights.shape == (O, H)


BATCH_FIRST = helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2])


@pytest.mark.parametrize("batch", [1, 3, 12])
def test_a_fixed_batch_in_front_of_a_fixed_time(tmp_path, batch):
    """Time and batch are told apart by the transposition; the proof says over how many samples it was."""
    nodes = [BATCH_FIRST, recurrent(inputs="xt W R B"), SQUEEZE]
    nodes += [helper.make_node("Transpose", ["h"], ["y"], perm=[1, 0, 2])]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS], x=(batch, 12, I), y=(batch, 12, H))
    assert readers.read(path).proof.endswith("over 12 samples")


def test_a_dense_layer_before_time_and_batch_change_places(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "E"], ["e"], name="embed"),
        helper.make_node("Transpose", ["e"], ["et"], perm=[1, 0, 2]),
        recurrent(inputs="et W R B"),
        SQUEEZE,
        helper.make_node("Transpose", ["h"], ["y"], perm=[1, 0, 2]),
    ]
    path = write(
        tmp_path / "m.onnx", nodes, [*weights(4), AXIS, constant("E", I, I)], x=(1, 9, I), y=(1, 9, H)
    )
    reading = readers.read(path)
    assert [layer.name for layer in reading.model.layers] == [
        "rnn"
    ]  # what is linear goes into the matrix behind it
    assert reading.proof.endswith("over 9 samples")


def test_the_output_of_an_operator_as_it_is(tmp_path):
    """(time, directions, batch, units): what a graph gives that ends with its LSTM."""
    node = helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], name="rnn", hidden_size=H)
    path = write(tmp_path / "m.onnx", [node], weights(4), y=("t", 1, 1, H))
    assert readers.read(path).proof.endswith("over 1000 samples")


def test_the_last_of_two_layers_of_which_the_last_step_is_kept(tmp_path):
    nodes = [
        recurrent(),
        SQUEEZE,
        helper.make_node("GRU", ["h", "W2", "R2", "B2"], ["", "last"], name="gru", hidden_size=H),
        helper.make_node("Squeeze", ["last", "first"], ["y"]),
    ]
    second = [constant("W2", 1, 3 * H, H), constant("R2", 1, 3 * H, H), constant("B2", 1, 6 * H)]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, *second, integers("first", 0)], y=(1, H))
    assert [layer.kind for layer in readers.read(path).model.layers] == ["lstm", "gru"]


def test_an_initial_state_of_zeros_that_is_expanded(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["batch"], axis=0),
        helper.make_node("Concat", ["one", "batch", "size"], ["dims"], axis=0),
        helper.make_node("Expand", ["zero", "dims"], ["zeros"]),
        recurrent("GRU", "x W R B  zeros", linear_before_reset=1),
        TAIL,
    ]
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    more = [integers("one", 1), integers("size", H), zero]
    path = write(tmp_path / "m.onnx", nodes, [*weights(3), AXIS, *more], y=("t", 1, H))
    assert readers.read(path).model.layers[0].reset_after


def test_a_state_that_is_an_input_of_a_whole_sequence(tmp_path):
    state = helper.make_tensor_value_info("h0", TensorProto.FLOAT, (1, 1, H))
    nodes = [recurrent("GRU", "x W R B  h0"), TAIL]
    path = write(tmp_path / "m.onnx", nodes, [*weights(3), AXIS], inputs=[state], y=("t", 1, H))
    reading = readers.read(path)
    assert not reading.model.layers[0].reset_after
    assert (reading.carried, reading.length) == ("", None)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_gru_that_takes_one_sample_and_its_state(tmp_path, axes):
    """Exported for one step, with or without an axis of time: the caller carries the state, and so does the proof."""
    before, after = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, H)) for name in ("h", "h2")
    )
    front = [helper.make_node("Unsqueeze", ["x", "first"], ["x3"])] if axes == 2 else []
    signal = "x3" if axes == 2 else "x"
    step = helper.make_node("GRU", [signal, "W", "R", "B", "", "h"], ["seq", "h2"], name="rnn", hidden_size=H)
    shape = (1,) * (axes - 1)
    path = write(
        tmp_path / "m.onnx", [*front, step, TAIL], [*weights(3), AXIS, integers("first", 0)],
        x=(*shape, I), inputs=[before], y=(1, 1, H), outputs=[after],
    )  # fmt: skip
    assert readers.read(path).proof.endswith("over 1000 samples")


def test_without_onnx_runtime_it_is_proved_by_onnx_itself(tmp_path, monkeypatch):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(engines, "_running", {})
    path = write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H))
    assert readers.read(path).proof.startswith("onnx: within ")
    engines._running["onnx"].end()


def test_what_is_linear_is_one_dense_layer(tmp_path):
    """A skip around a matrix, features picked and swapped: sums and moves of elements, folded into one matrix."""
    nodes = [
        recurrent(),
        SQUEEZE,
        helper.make_node("MatMul", ["h", "M"], ["m"], name="fc"),
        helper.make_node("Add", ["m", "h"], ["s"], name="skip"),
        helper.make_node("Gather", ["s", "two"], ["y"], axis=2),
    ]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, constant("M", H, H), integers("two", 2, 0)])
    reading = readers.read(path)
    assert [(layer.kind, layer.units) for layer in reading.model.layers] == [("lstm", H), ("dense", 2)]
    assert "within" in reading.proof


def test_activations_one_after_the_other(tmp_path):
    nodes = [
        recurrent(),
        SQUEEZE,
        *HEAD,
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Tanh", ["r"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS, *head_weights()], y=("t", 1, O))
    assert [getattr(layer, "activation", "") for layer in readers.read(path).model.layers] == [
        "",
        "relu",
        "tanh",
    ]


@pytest.mark.parametrize("samples", [24, "t"])
def test_channels_in_front_of_the_samples(tmp_path, samples):
    """As a convolution of PyTorch has them, and then turned round for the recurrent layer."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], name="conv", pads=[2, 0]),
        helper.make_node("Relu", ["c"], ["front"]),
        helper.make_node("Transpose", ["front"], ["turned"], perm=[2, 0, 1]),
        recurrent(inputs="turned W R B"),
        TAIL,
    ]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [constant("kernel", I, I, 3), *weights(4), AXIS],
        x=(1, I, samples),
        y=("n", 1, H),
    )
    reading = readers.read(path, inputs=I)
    assert [layer.kind for layer in reading.model.layers][::2] == [
        "conv1d",
        "lstm",
    ] and reading.model.inputs == I
    assert reading.proof.startswith("onnxruntime: within")
