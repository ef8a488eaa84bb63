"""Normalisation and limits that an ONNX graph spells out: the layers that they are, within 1e-5 of the engine, or refused by node."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from onnx_cases import AXIS, SQUEEZE, H, constant, recurrent, weights, write  # noqa: E402


def nodes_of(*lines):
    """Each line is "OUTPUT = OPERATOR INPUTS", named like its output."""
    made = []
    for line in lines:
        output, rest = line.split(" = ")
        op, *inputs = rest.split(" ")
        given = {"axes": [-1], "keepdims": 1} if op.startswith("Reduce") and op != "ReduceSum" else {}
        made.append(helper.make_node(op, inputs, [output], name=output, **given))
    return made


CENTRED = ("mean = ReduceMean h", "d = Sub h mean")
VARIANCE = (*CENTRED, "square = Mul d d", "variance = ReduceMean square", "inside = Add variance eps")
AFFINE = ("scaled = Mul normal gamma", "y = Add scaled beta")
SPELLED = {
    "layer, by a root": (*VARIANCE, "root = Sqrt inside", "normal = Div d root", *AFFINE),
    "layer, by a power": (*CENTRED, "square = Pow d two", "variance = ReduceMean square", "inside = Add variance eps",
                          "inverse = Pow inside minushalf", "normal = Mul d inverse", *AFFINE),
    "layer, factor first": (*VARIANCE, "root = Sqrt inside", "g = Mul gamma d", "normal = Div g root", "y = Add normal beta"),
    "layer, as TensorFlow has it": (*VARIANCE, "root = Sqrt inside", "inverse = Reciprocal root", "factor = Mul inverse gamma",
                                    "one = Mul h factor", "two_ = Mul mean factor", "shift = Sub beta two_", "y = Add one shift"),
    "layer, no factors": (*VARIANCE, "root = Sqrt inside", "y = Div d root"),
    "layer, variance of a sample": (*CENTRED, "square = Mul d d", "total = ReduceSumSquare d", "variance = Div total less",
                                    "inside = Add variance eps", "root = Sqrt inside", "normal = Div d root", *AFFINE),
    "rms": ("square = Mul h h", "mean = ReduceMean square", "inside = Add mean eps", "root = Sqrt inside", "normal = Div h root", "y = Mul normal gamma"),
    "l2, at least": ("size = ReduceL2 h", "root = Max size eps", "normal = Div h root", *AFFINE),
    "l2, limited square": ("total = ReduceSumSquare h", "inside = Clip total eps", "root = Sqrt inside", "y = Div h root"),
    "l2, without": ("size = ReduceL2 h", "y = Div h size"),
    "twice": (*VARIANCE, "root = Sqrt inside", "normal = Div d root", "scaled = Mul normal gamma", "once = Add scaled beta",
              "m2 = ReduceMean once", "d2 = Sub once m2", "s2 = Mul d2 d2", "v2 = ReduceMean s2", "i2 = Add v2 eps", "r2 = Sqrt i2", "y = Div d2 r2"),
}  # fmt: skip
MODES = {"layer": "layer", "rms": "rms", "l2": "l2", "twice": "layer"}
REFUSED = {
    "epsilon outside of the root": (*CENTRED, "square = Mul d d", "variance = ReduceMean square", "root = Sqrt variance", "outside = Add root eps", "y = Div d outside"),
    "another vector": (*VARIANCE, "root = Sqrt inside", "y = Div h root"),
}  # fmt: skip


def graph(path, lines):
    numbers = {
        "eps": 1e-3,
        "two": 2.0,
        "minushalf": -0.5,
        "less": H - 1.0,
        "low": -0.3,
        "high": 0.2,
        "slope": 0.1,
    }
    values = [constant(name, value=np.float32(value)) for name, value in numbers.items()]
    values += [constant("gamma", H), constant("beta", H), *weights(4), AXIS]
    return write(path, [recurrent(), SQUEEZE, *nodes_of(*lines)], values, y=("t", 1, H))


def read(tmp_path, lines):
    """The layers behind the LSTM, float and int8 compared on the way."""
    path = graph(tmp_path / "m.onnx", lines)
    x = np.random.default_rng(0).normal(0, 1, (300, 3)).astype(np.float32)
    found = convert_with_report(path, calibration=x)
    assert "within" in found.proof
    y = LoadedModel(found.model).stream().run(x)
    assert np.sqrt(np.square(y - found.exact).mean()) < 0.02 * max(found.exact.std(), 0.1)
    return [layer for layer in found.float_model.layers[1:] if layer.kind != "affine"]


@pytest.mark.parametrize("name", SPELLED)
def test_a_spelling_is_one_layer(tmp_path, name):
    layers = read(tmp_path, SPELLED[name])
    assert {layer.kind for layer in layers} == {"normalization"}
    assert len(layers) == 1 + (name == "twice")
    assert {layer.mode for layer in layers} == {MODES[name.split(",")[0]]}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_divided_by_something_else_is_refused(tmp_path, name):
    with pytest.raises(ConversionError, match="it divides by what depends on the signal, which"):
        readers.read(graph(tmp_path / "m.onnx", REFUSED[name]))


def test_what_goes_over_a_whole_sequence_is_refused(tmp_path):
    lines = (
        "turned = Transpose h",
        "normal = InstanceNormalization turned gamma beta",
        "y = Transpose normal",
    )
    made = nodes_of(*lines)
    for node in (made[0], made[2]):
        node.attribute.append(helper.make_attribute("perm", [1, 2, 0] if node is made[0] else [2, 0, 1]))
    path = write(
        tmp_path / "m.onnx", [recurrent(), SQUEEZE, *made],
        [constant("gamma", H), constant("beta", H), *weights(4), AXIS], y=("t", 1, H),
    )  # fmt: skip
    with pytest.raises(
        ConversionError, match=r'"normal" \(InstanceNormalization\): it normalises over all samples'
    ):
        readers.read(path)


BENT = {
    "both sides": ("y = Clip h low high",),
    "from below": ("y = Max h low",),
    "from above": ("y = Min h high",),
    "a slope": ("y = PRelu h slope",),
    "leaky": ("y = LeakyRelu h",),
    "magnitude": ("y = Abs h",),
    "hard swish": ("y = HardSwish h",),
    "square": ("y = Pow h two",),
}


@pytest.mark.parametrize("name", BENT)
def test_limits_and_slopes_of_any_value(tmp_path, name):
    assert {layer.kind for layer in read(tmp_path, BENT[name])} <= {"curve", "dense", "concat"}


def test_a_hard_sigmoid_of_any_slope(tmp_path):
    nodes = [recurrent(), SQUEEZE, helper.make_node("HardSigmoid", ["h"], ["y"], alpha=0.7, beta=0.4)]
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), AXIS], y=("t", 1, H))
    assert "within" in readers.read(path).proof


@pytest.mark.parametrize(("lines", "message"), [
    (("y = Pow h slope",), r'"y" \(Pow\): it raises the signal to the power of 0.1'),
    (("y = Clip h high low",), r'"y" \(Clip\): it limits the signal to 0.2 .. -0.3'),
])  # fmt: skip
def test_what_no_layer_computes_is_refused(tmp_path, lines, message):
    with pytest.raises(ConversionError, match=message):
        readers.read(graph(tmp_path / "m.onnx", lines))
