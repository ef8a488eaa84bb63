"""Graphs with several outputs: those with a value for every sample are the model's, states are not, the rest is left out by name."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from onnx_cases import AXIS, SQUEEZE, H, I, O, constant, integers, weights, write  # noqa: E402

SAMPLES = np.random.default_rng(0).normal(0, 1, (200, I)).astype(np.float32)
LSTM = helper.make_node("LSTM", ["x", "W", "R", "B"], ["seq", "hn", "cn"], name="rnn", hidden_size=H)
FORECAST = [helper.make_node("MatMul", ["h", "M"], ["y"], name="fc")]
ALARM = [
    helper.make_node("MatMul", ["h", "N"], ["n"], name="fc2"),
    helper.make_node("Sigmoid", ["n"], ["p"], name="alarm"),
]


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def graph(path, *outputs, more=(), y=("t", 1, O), inputs=(), lstm=LSTM):
    values = [constant("M", H, O), constant("N", H, 1), *weights(4), AXIS]
    nodes = [lstm, SQUEEZE, *FORECAST, *ALARM, *more]
    return write(path, nodes, values, outputs=outputs, y=y, inputs=inputs)


def test_a_forecast_and_a_probability_are_both_outputs(tmp_path):
    path = graph(tmp_path / "m.onnx", value("p", "t", 1, 1))
    found = convert_with_report(path, calibration=SAMPLES)
    assert found.proof.startswith("onnxruntime: within")
    assert found.float_model.outputs == O + 1
    assert len(found.float_model.heads) == 2
    y = LoadedModel(found.model).stream().run(SAMPLES)
    assert ((y[:, O] > 0) & (y[:, O] < 1)).all()
    np.testing.assert_allclose(y, found.float_model.run(SAMPLES), rtol=0, atol=0.02)


def test_states_beside_the_output_are_no_outputs(tmp_path):
    reading = readers.read(graph(tmp_path / "m.onnx", value("hn", 1, 1, H), value("cn", 1, 1, H)))
    assert reading.model.outputs == O
    assert "left out" not in reading.proof


def test_what_cannot_be_an_output_is_left_out_by_name(tmp_path):
    more = [
        helper.make_node("Tan", ["y"], ["spread"], name="spread"),
        helper.make_node("ReduceMax", ["h"], ["top"], name="top", axes=[0], keepdims=0),
    ]
    path = graph(tmp_path / "m.onnx", value("spread", "t", 1, O), more=more)
    reading = readers.read(path)
    assert reading.model.outputs == O
    assert reading.proof.startswith("onnxruntime: within")
    assert 'left out: output "spread" (node "spread" (Tan): cannot be converted' in reading.proof


def test_what_cannot_be_an_output_is_left_out_where_the_model_begins_inside_the_graph(tmp_path):
    nodes = [
        helper.make_node("Abs", ["x"], ["size"], name="abs"),
        helper.make_node("MatMul", ["size", "K"], ["y"], name="fc"),
        helper.make_node("Tan", ["y"], ["spread"], name="spread"),
    ]
    path = write(
        tmp_path / "m.onnx", nodes, [constant("K", I, O)], outputs=[value("spread", "t", O)], x=("t", I), y=("t", O)
    )  # fmt: skip
    reading = readers.read(path, start="size")
    assert [layer.units for layer in reading.model.layers] == [O]
    assert 'left out: output "spread"' in reading.proof


def test_one_row_beside_a_sequence_is_left_out(tmp_path):
    last = [
        helper.make_node("Gather", ["h", "place"], ["end"], name="end", axis=0),
        helper.make_node("MatMul", ["end", "N"], ["q"], name="fc3"),
    ]
    values = [constant("M", H, O), constant("N", H, 1), *weights(4), AXIS]
    values.append(onnx.numpy_helper.from_array(np.array(-1), "place"))
    path = write(
        tmp_path / "m.onnx", [LSTM, SQUEEZE, *FORECAST, *last], values, outputs=[value("q", 1, 1)], y=("t", 1, O)
    )  # fmt: skip
    assert 'left out: output "q" (it has not as many rows as the first)' in readers.read(path).proof


@pytest.mark.parametrize("order", [("y", "p", "hn", "cn"), ("hn", "cn", "y", "p")])
def test_states_that_the_caller_carries_beside_several_outputs(tmp_path, order):
    """One sample a call: which outputs the states become is found by what makes sense."""
    lstm = helper.make_node(
        "LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["seq", "hn", "cn"], name="rnn", hidden_size=H
    )
    shapes = {"y": (1, 1, O), "p": (1, 1, 1), "hn": (1, 1, H), "cn": (1, 1, H)}
    path = tmp_path / "m.onnx"
    graph(path, value("p", 1, 1, 1), inputs=[value("h0", 1, 1, H), value("c0", 1, 1, H)], lstm=lstm)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.output[:]
    model.graph.output.extend(value(name, *shapes[name]) for name in order)
    onnx.save(model, path)
    reading = readers.read(path)
    assert reading.proof.startswith("onnxruntime: within")
    assert "1000 samples" in reading.proof
    assert reading.model.outputs == O + 1
    assert reading.carried == "its 2 states go in and out at every run"


def test_a_state_is_no_signal_where_the_signal_is_refused(tmp_path):
    """Else the network is read as what becomes of a state, and the proof fails for a reason that is none."""
    nodes = [
        helper.make_node("MatMul", ["x", "M"], ["m"]),
        helper.make_node("Relu", ["m"], ["p"], name="p"),
        helper.make_node("Concat", ["memory", "p"], ["all"], axis=0),
        helper.make_node("Mul", ["all", "K"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "none"], ["sum"], keepdims=1),
        helper.make_node("Relu", ["sum"], ["y"], name="cell"),
        helper.make_node("Slice", ["all", "one", "three", "none"], ["kept"]),
    ]
    parts = [
        constant("M", I, H),
        constant("K", 3, 1, H),
        integers("none", 0),
        integers("one", 1),
        integers("three", 3),
    ]
    shapes = {
        "x": (1, 1, I),
        "y": (1, 1, H),
        "inputs": [value("memory", 2, 1, H)],
        "outputs": [value("kept", 2, 1, H)],
    }
    path = write(tmp_path / "m.onnx", nodes, parts, **shapes)
    with pytest.raises(ConversionError, match=r'"(cell|sum)"'):
        readers.read(path, verify=False)


def test_an_input_of_a_left_out_output_is_not_needed_for_the_proof(tmp_path):
    """As a mask that says which samples a mean goes over, beside an output for every sample."""
    more = [
        helper.make_node("Not", ["mask"], ["kept"], name="kept"),
        helper.make_node("Where", ["kept", "y", "nothing"], ["masked"]),
    ]
    mask = helper.make_tensor_value_info("mask", TensorProto.BOOL, ("t", 1, O))
    values = [constant("M", H, O), *weights(4), AXIS, constant("nothing", 1, value=np.zeros(1, np.float32))]
    path = write(
        tmp_path / "m.onnx", [LSTM, SQUEEZE, *FORECAST, *more], values, inputs=[mask], y=("t", 1, O),
        outputs=[value("masked", "t", 1, O)],
    )  # fmt: skip
    proof = readers.read(path).proof
    assert (
        proof.startswith("onnxruntime: within")
        and 'left out: output "masked" (node "kept" (Not): its input "mask"' in proof
    )
