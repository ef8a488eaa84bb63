"""A sequence turned around and back, in the ways that exporters have: two cells, of which one runs over windows from their end."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import Execution, readers  # noqa: E402
from onnx_cases import H, I, constant, integers, recurrent, weights, write  # noqa: E402

T = 7
LENGTHS = numpy_helper.from_array(np.array([T]), "lengths")
NUMBERS = [
    *(integers(name, value) for name, value in (("zero", 0), ("first", -1), ("end", -(2**31)), ("minus", -1), ("axis", 1))),
    integers("backwards", *range(T)[::-1]),
    LENGTHS,
]  # fmt: skip
TURNS = {
    "ReverseSequence": lambda x, y: helper.make_node(
        "ReverseSequence", [x, "lengths"], [y], time_axis=0, batch_axis=1
    ),
    "Slice": lambda x, y: helper.make_node("Slice", [x, "first", "end", "zero", "minus"], [y]),
    "Gather": lambda x, y: helper.make_node("Gather", [x, "backwards"], [y], axis=0),
}


def both(turn, cell, *, back=True):
    """`cell` on x, and on x turned around; the second turned back, or not; one after the other."""
    nodes = [turn("x", "turned")]
    for way, source in (("f", "x"), ("b", "turned")):
        nodes += [
            cell(source, f"{way}s", way),
            helper.make_node("Squeeze", [f"{way}s", "axis"], [f"{way}y"]),
        ]
    nodes += [
        turn("by", "aligned"),
        helper.make_node("Concat", ["fy", "aligned" if back else "by"], ["y"], axis=2),
    ]
    return nodes


def operator(source, given, way):
    node = recurrent(inputs=f"{source} W{way} R{way} B{way}", name=way)
    node.output[0] = given
    return node


def weights_of(way):
    found = weights(4)
    for tensor in found:
        tensor.name += way
    return found


@pytest.mark.parametrize("name", TURNS)
def test_a_cell_between_two_turns_runs_backward(tmp_path, name):
    values = [*weights_of("f"), *weights_of("b"), *NUMBERS]
    path = write(tmp_path / "m.onnx", both(TURNS[name], operator), values, x=(T, 1, I), y=(T, 1, 2 * H))
    reading = readers.read(path)
    assert "within" in reading.proof
    assert (reading.model.backward, reading.model.after) == (("b",), None)
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "lstm", "concat"]


def test_rows_that_do_not_belong_to_one_sample_are_refused(tmp_path):
    values = [*weights_of("f"), *weights_of("b"), *NUMBERS]
    nodes = both(TURNS["Slice"], operator, back=False)
    path = write(tmp_path / "m.onnx", nodes, values, x=(T, 1, I), y=(T, 1, 2 * H))
    with pytest.raises(
        ConversionError, match="its output comes in the reverse order of the samples, in part"
    ):
        readers.read(path)


def test_a_scan_that_runs_from_the_end(tmp_path):
    """A simple recurrent cell as single operators, along the sequence from its end; rows written from the end, too."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Gemm", ["xt", "W"], ["a"]),
            helper.make_node("Gemm", ["h", "U", "a"], ["z"]),
            helper.make_node("Tanh", ["z"], ["h1"], name="cell"),
            helper.make_node("Identity", ["h1"], ["row"]),
        ],
        "body",
        [value("h", TensorProto.FLOAT, (1, H)), value("xt", TensorProto.FLOAT, (1, I))],
        [value(name, TensorProto.FLOAT, (1, H)) for name in ("h1", "row")],
    )
    scan = helper.make_node(
        "Scan", ["h0", "x"], ["last", "y"], num_scan_inputs=1, body=body, scan_input_directions=[1], scan_output_directions=[1]
    )  # fmt: skip
    values = [
        constant("W", I, H),
        constant("U", H, H),
        numpy_helper.from_array(np.zeros((1, H), np.float32), "h0"),
    ]
    path = write(tmp_path / "m.onnx", [scan], values, x=(T, 1, I), y=(T, 1, H))
    reading = readers.read(path)
    assert "within" in reading.proof
    assert reading.model.backward == ("cell",)
    x = np.random.default_rng(0).normal(0, 1, (30, I)).astype(np.float32)
    y = Execution(window=T, lookahead=2).apply(reading.model).run(x)
    for t in range(T - 1, 30):
        np.testing.assert_allclose(y[t], reading.model.run(x[t - T + 1 : t + 1])[T - 3], rtol=0, atol=1e-6)
