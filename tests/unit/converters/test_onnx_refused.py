"""ONNX graphs that cannot be converted exactly: refused in one line, by the name of the node."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import Execution, readers  # noqa: E402
from onnx_cases import (  # noqa: E402
    AXIS,
    SQUEEZE,
    TAIL,
    H,
    I,
    O,
    constant,
    dense,
    integers,
    recurrent,
    weights,
    write,
)

LENGTHS = numpy_helper.from_array(np.array([7], np.int32), "n")
REFUSED = {
    "directions": ([recurrent(direction="bidirectional"), TAIL], [], "rnn.*its W is of 1 directions, expected 2"),
    "direction": ([recurrent(direction="sideways"), TAIL], [], "rnn.*direction is sideways, expected one of forward"),
    "clip": ([recurrent(clip=1e-6), TAIL], [], r"rnn.*limits what its activations read to 1e-06 \(clip\)"),
    "lengths": ([recurrent(inputs="x W R B n"), TAIL], [LENGTHS], "rnn.*sequence_lens"),
    "activation": ([recurrent(activations=["Sigmoid", "Softsign", "Tanh"]), TAIL], [], "rnn.*activation Softsign"),
    "statistics of the signal": (
        [recurrent(), SQUEEZE, helper.make_node("BatchNormalization", ["h"] * 5, ["y"], name="norm")], [],
        r'node "norm" \(BatchNormalization\): its mean or variance depends on the signal',
    ),
    "other operator": (
        [recurrent(), SQUEEZE, helper.make_node("Hardmax", ["h"], ["y"], name="hard")], [], r'node "hard" \(Hardmax\): cannot',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_by_node(tmp_path, case):
    nodes, more, message = REFUSED[case]
    base = [
        constant("W", 1, 4 * H, I),
        constant("R", 1, 4 * H, H),
        constant("B", 1, 8 * H),
    ]
    path = write(tmp_path / "m.onnx", nodes, [*base, AXIS, *more])
    with pytest.raises(ConversionError, match=message):
        readers.read(path)


def test_a_file_that_is_no_graph(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09 not a model")
    with pytest.raises(ConversionError, match=r"m\.onnx: is damaged or no ONNX model"):
        readers.read(tmp_path / "m.onnx")


def lstm_with(**shapes):
    return [constant(name, *shape) for name, shape in shapes.items()]


def refusal(tmp_path, nodes, initializers, **ends):
    """What is said about a graph that cannot be converted."""
    with pytest.raises(ConversionError) as refused:
        readers.read(write(tmp_path / "m.onnx", nodes, initializers, **ends))
    text = str(refused.value)
    assert text.startswith(f"{tmp_path / 'm.onnx'}: ")
    assert "\n" not in text
    return text.removeprefix(f"{tmp_path / 'm.onnx'}: ")


def test_what_stands_in_front_is_refused_by_node(tmp_path):
    tan = helper.make_node("Tan", ["x"], ["c"], name="tan1")
    text = refusal(tmp_path, [tan, recurrent(inputs="c W R B"), TAIL], [*weights(4), AXIS])
    assert text.startswith('node "tan1" (Tan): cannot be converted;')


def test_a_bias_that_differs_from_sample_to_sample_belongs_to_a_window(tmp_path):
    bias = constant("bias", 7, 1, O)
    path = write(tmp_path / "m.onnx", [recurrent(), SQUEEZE, dense(), helper.make_node("Add", ["m", "bias"], ["y"], name="add")],
                 [*weights(4), AXIS, constant("M", H, O), bias], x=(7, 1, I))  # fmt: skip
    model = readers.read(path).model
    for window in (0, 6, 8):
        with pytest.raises(
            ConversionError, match="numbers the samples of a window of 7: say --mode windowed --window 7"
        ):
            Execution(window=window).apply(model)
    assert Execution(window=7).apply(model).layers[0].kind == "window"


def test_lengths_given_by_the_caller_are_refused(tmp_path):
    lengths = helper.make_tensor_value_info("n", TensorProto.INT32, (1,))
    text = refusal(tmp_path, [recurrent(inputs="x W R B n"), TAIL], [*weights(4), AXIS], inputs=[lengths])
    assert text.startswith('node "rnn" (LSTM): its input "n" is not known here; if the caller gives it')


def test_a_state_computed_from_the_signal_is_refused(tmp_path):
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]),
        helper.make_node("MatMul", ["m", "K"], ["k"]),
        helper.make_node("Unsqueeze", ["k", "zero"], ["u"]),
        helper.make_node("Squeeze", ["u", "zero"], ["h0"]),
        recurrent(inputs="x W R B  h0"),
        TAIL,
    ]
    text = refusal(
        tmp_path, nodes, [*weights(4), AXIS, integers("zero", 0), constant("K", I, H)], x=(4, 1, I)
    )
    assert "initial_h" in text


@pytest.mark.parametrize(
    "shapes",
    [
        {"W": (1, 4 * H + 1, I), "R": (1, 4 * H, H), "B": (1, 8 * H)},
        {"W": (1, 4 * H, I), "R": (1, 4 * H, H + 1), "B": (1, 8 * H)},
        {"W": (1, 4 * H, I), "R": (1, 4 * H, H), "B": (1, 8 * H - 3)},
    ],
)
def test_weights_that_do_not_belong_together_are_refused(tmp_path, shapes):
    text = refusal(tmp_path, [recurrent(), TAIL], [*lstm_with(**shapes), AXIS])
    assert text.startswith('node "rnn" (LSTM): W, R and B have shapes')


def test_layers_whose_sizes_do_not_fit_are_refused(tmp_path):
    text = refusal(tmp_path, [recurrent(), SQUEEZE, dense(), helper.make_node("Identity", ["m"], ["y"])],
                   [*weights(4), AXIS, constant("M", H + 2, O)])  # fmt: skip
    assert text == f'node "fc" (MatMul): it multiplies {H} values with a matrix for {H + 2}'


def test_weights_that_are_not_finite_are_refused(tmp_path):
    matrix = np.full((H, O), np.nan, np.float32)
    nodes = [recurrent(), SQUEEZE, dense(), helper.make_node("Identity", ["m"], ["y"])]
    text = refusal(tmp_path, nodes, [*weights(4), AXIS, constant("M", value=matrix)], y=("t", 1, O))
    assert text == 'weights "M" hold numbers that are not finite'


def test_a_graph_without_layers_is_refused(tmp_path):
    text = refusal(tmp_path, [helper.make_node("Identity", ["x"], ["y"])], [])
    assert text == "the output is the input: there is no layer in between"


def test_what_the_engine_says_is_one_line(tmp_path):
    """A graph in double precision: its layers can be read, but not fed with float32."""
    graph = helper.make_graph(
        [recurrent(), TAIL], "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ("t", 1, I))],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ("t", 1, H))],
        [numpy_helper.from_array(numpy_helper.to_array(w).astype(np.float64), w.name) for w in weights(4)] + [AXIS],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "m.onnx",
    )
    with pytest.raises(ConversionError, match=r"cannot run it: .") as refused:
        readers.read(tmp_path / "m.onnx")
    assert "\n" not in str(refused.value)


def test_activations_and_order_are_not_asked_of_a_graph(tmp_path):
    path = write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H))
    for option in ({"activations": ["relu"]}, {"order": ["rnn"]}):
        with pytest.raises(ConversionError, match="says itself"):
            readers.read(path, **option)


@pytest.mark.parametrize("kept", [0, 10, 200, -1])
def test_a_file_that_was_cut_off(tmp_path, kept):
    path = write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConversionError, match=r"m\.onnx: is (damaged or no ONNX model: \S|empty)"):
        readers.read(path)


def test_what_is_nested_without_end_is_refused_not_followed(tmp_path):
    steps = 1500
    nodes = [helper.make_node("Sigmoid", ["x"], ["s0"])]
    for k in range(steps):
        nodes.append(helper.make_node("Mul", [f"s{k}", "s0"], [f"p{k}"]))
        nodes.append(helper.make_node("Add", [f"p{k}", "x"], [f"s{k + 1}"]))
    nodes.append(helper.make_node("Mul", ["s0", f"s{steps}"], ["y"]))
    with pytest.raises(ConversionError, match=r"m\.onnx: is nested deeper than is followed, as a loop is"):
        readers.read(write(tmp_path / "m.onnx", nodes, [], y=("t", 1, I)), verify=False)
