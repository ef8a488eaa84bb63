"""One LSTM, spelled in the ways that exporters have: as single gates in a loop, in a scan, in a branch, step by step."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402
from onnx_cases import H, I, constant, integers, write  # noqa: E402

WEIGHTS = [constant("W", I, 4 * H), constant("U", H, 4 * H), constant("b", 4 * H)]
FLOAT = TensorProto.FLOAT
GATES = "i f g o"


def value(name, shape=None, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def step(x, h, c, h_after, c_after, prefix=""):
    """One step of an LSTM as single operators, gates stacked i f g o, in a shuffled spelling."""
    n = {
        name: prefix + name
        for name in ("xw", "hu", "s", "z", "i", "f", "g", "o", "si", "sf", "tg", "so", "fc", "ig", "tc")
    }
    return [
        helper.make_node("MatMul", [x, "W"], [n["xw"]], name=prefix + "in"),
        helper.make_node("Gemm", [h, "U", "b"], [n["hu"]]),
        helper.make_node("Add", [n["hu"], n["xw"]], [n["z"]]),
        helper.make_node("Split", [n["z"]], [n["i"], n["f"], n["g"], n["o"]], axis=1, num_outputs=4),
        *[helper.make_node("Sigmoid", [n[k]], [n["s" + k]]) for k in "ifo"],
        helper.make_node("Tanh", [n["g"]], [n["tg"]]),
        helper.make_node("Mul", [c, n["sf"]], [n["fc"]]),
        helper.make_node("Mul", [n["tg"], n["si"]], [n["ig"]]),
        helper.make_node("Add", [n["ig"], n["fc"]], [c_after]),
        helper.make_node("Tanh", [c_after], [n["tc"]]),
        helper.make_node("Mul", [n["so"], n["tc"]], [h_after], name=prefix + "cell"),
    ]


ZEROS = numpy_helper.from_array(np.zeros((1, H), np.float32), "zeros")
YES = numpy_helper.from_array(np.array(True), "yes")


def loop(row=None):
    """One step a turn; `row` takes its sample out of the signal."""
    body = helper.make_graph(
        [
            row or helper.make_node("Gather", ["x", "t"], ["xt"], axis=0),
            *step("xt", "h", "c", "h1", "c1"),
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Identity", ["h1"], ["row"]),
        ],
        "body",
        [
            value("t", (), TensorProto.INT64),
            value("go", (), TensorProto.BOOL),
            value("h", (1, H)),
            value("c", (1, H)),
        ],
        [value("on", (), TensorProto.BOOL), value("h1"), value("c1"), value("row")],
    )
    return [
        helper.make_node("Shape", ["x"], ["dims"], end=1),
        helper.make_node("Squeeze", ["dims"], ["steps"]),
        helper.make_node(
            "Loop", ["steps", "yes", "zeros", "zeros"], ["hn", "cn", "y"], body=body, name="loop"
        ),
    ]


def unbound():
    """The samples as a list, as unbind makes it in a program that is scripted."""
    split = helper.make_node("SplitToSequence", ["x"], ["rows"], axis=0, keepdims=0)
    return [split, *loop(helper.make_node("SequenceAt", ["rows", "t"], ["xt"]))]


def scan():
    body = helper.make_graph(
        [*step("xt", "h", "c", "h1", "c1"), helper.make_node("Identity", ["h1"], ["row"])],
        "body",
        [value("h", (1, H)), value("c", (1, H)), value("xt", (1, I))],
        [value("h1"), value("c1"), value("row")],
    )
    return [
        helper.make_node("Scan", ["zeros", "zeros", "x"], ["hn", "cn", "y"], body=body, num_scan_inputs=1)
    ]


def unrolled(steps=5):
    nodes = [helper.make_node("Split", ["x"], [f"x{t}" for t in range(steps)], axis=0, num_outputs=steps)]
    h = c = "zeros"
    for t in range(steps):
        nodes.append(helper.make_node("Squeeze", [f"x{t}", "zero"], [f"s{t}"]))
        nodes += step(f"s{t}", h, c, f"h{t}", f"c{t}", f"t{t}_")
        h, c = f"h{t}", f"c{t}"
        nodes.append(helper.make_node("Unsqueeze", [h, "zero"], [f"u{t}"]))
    return [*nodes, helper.make_node("Concat", [f"u{t}" for t in range(steps)], ["y"], axis=0)]


@pytest.mark.parametrize(
    ("nodes", "steps"), [(loop(), "t"), (scan(), "t"), (unrolled(), 5), (unbound(), "t")]
)
def test_an_lstm_of_single_operators(tmp_path, nodes, steps):
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [*WEIGHTS, ZEROS, YES, integers("zero", 0)],
        x=(steps, 1, I),
        y=(steps, 1, H),
        opset=18,
    )
    reading = readers.read(path)
    assert [(layer.kind, layer.units) for layer in reading.model.layers] == [("lstm", H)]
    np.testing.assert_allclose(reading.model.layers[0].input_weights, numpy_helper.to_array(WEIGHTS[0]).T)
    assert "within" in reading.proof


@pytest.mark.parametrize("after", [("h1", "c1"), ("c1", "h1")])
def test_one_step_whose_states_the_caller_carries(tmp_path, after):
    """Which output becomes which state is found out, in whatever order they come."""
    nodes = [*step("x", "h", "c", "h1", "c1"), helper.make_node("Identity", ["h1"], ["y"])]
    path = write(
        tmp_path / "m.onnx", nodes, WEIGHTS, x=(1, I), y=(1, H), opset=18,
        inputs=[value("h", (1, H)), value("c", (1, H))], outputs=[value(name, (1, H)) for name in after],
    )  # fmt: skip
    assert "over 1000 samples" in readers.read(path).proof


def test_a_branch_taken_by_a_constant_and_by_what_is_said(tmp_path):
    """The condition reads an input that is no signal: it is asked for, and its value chooses the branch."""

    def branch(scale):
        nodes = [
            helper.make_node("MatMul", ["x", "W"], ["m"], name="fc"),
            helper.make_node("Mul", ["m", "k"], ["r"]),
        ]
        return helper.make_graph(
            nodes, "branch", [], [value("r")], [constant("k", value=np.float32(scale).reshape(1))]
        )

    nodes = [
        helper.make_node("Equal", ["sr", "rate"], ["fast"]),
        helper.make_node("If", ["fast"], ["y"], name="if", then_branch=branch(2.0), else_branch=branch(-1.0)),
    ]
    path = write(
        tmp_path / "m.onnx", nodes, [WEIGHTS[0], integers("rate", 16000)], x=("t", I), y=("t", 4 * H),
        inputs=[value("sr", (1,), TensorProto.INT64)],
    )  # fmt: skip
    with pytest.raises(ConversionError, match=r'node .*\(Equal\): its input "sr" is not known here.*--fix'):
        readers.read(path)
    w = numpy_helper.to_array(WEIGHTS[0]).T
    for rate, scale in ((16000, 2.0), (8000, -1.0)):
        reading = readers.read(path, fixed={"sr": rate})
        np.testing.assert_allclose(reading.model.layers[0].weights, scale * w, rtol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64])
def test_an_input_beside_the_signal_is_named_and_one_number_is_all_of_it(tmp_path, kind):
    """As a mask is, or how many samples count: what a Cast makes of it is no reason."""
    nodes = [
        helper.make_node("Cast", ["mask"], ["whole"], name="cast", to=TensorProto.INT32),
        helper.make_node("Cast", ["whole"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "W"], ["z"], name="fc"),
        helper.make_node("Mul", ["z", "factor"], ["y"]),
    ]
    path = write(
        tmp_path / "m.onnx", nodes, [WEIGHTS[0]], x=("t", I), y=("t", 4 * H), inputs=[value("mask", (1, 4 * H), kind)]
    )  # fmt: skip
    with pytest.raises(ConversionError, match=r'input "mask" is (beside|not known).*--fix mask=NUMBER'):
        readers.read(path)
    reading = readers.read(path, fixed={"mask": 2})
    np.testing.assert_allclose(
        reading.model.layers[0].weights, 2.0 * numpy_helper.to_array(WEIGHTS[0]).T, rtol=1e-6
    )
    assert reading.proof.startswith("onnxruntime: within")


def test_a_state_that_was_baked_in_is_found_out(tmp_path):
    """A loop that begins at a trained state: the cell is the same, the first samples are not."""
    begun = numpy_helper.from_array(np.full((1, H), 0.5, np.float32), "zeros")
    path = write(tmp_path / "m.onnx", loop(), [*WEIGHTS, YES, begun], x=("t", 1, I), y=("t", 1, H), opset=18)
    with pytest.raises(ConversionError, match=r"do not give what .* baked into it is no zero state"):
        readers.read(path)


def test_the_model_may_begin_inside_the_graph(tmp_path):
    """A level in front cannot be converted; it is refused by name, and left outside where that is said."""
    nodes = [
        helper.make_node("Abs", ["x"], ["power"], name="size"),
        helper.make_node("Log", ["power"], ["magnitude"], name="level"),
        *[n for n in loop() if n.op_type != "Loop"],
        helper.make_node("MatMul", ["magnitude", "W"], ["y"], name="fc"),
    ]
    path = write(tmp_path / "m.onnx", nodes, [WEIGHTS[0]], x=("t", I), y=("t", 4 * H))
    with pytest.raises(ConversionError, match=r'node "level": its log is not that of one value.*--from'):
        readers.read(path)
    reading = readers.read(path, start="magnitude")
    np.testing.assert_allclose(reading.model.layers[0].weights, numpy_helper.to_array(WEIGHTS[0]).T)
    assert "within" in reading.proof
    with pytest.raises(ConversionError, match='--from names "nowhere"'):
        readers.read(path, start="nowhere")


def external(tmp_path, **entries):
    """Write a dense layer whose matrix is said to stand in another file."""
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "W"], ["y"], name="fc")],
        [WEIGHTS[0]],
        x=("t", I),
        y=("t", 4 * H),
    )
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in entries.items():
        tensor.external_data.add(key=key, value=str(text))
    path.write_bytes(model.SerializeToString())
    return path, content


def test_weights_in_a_file_beside_the_model(tmp_path):
    path, content = external(tmp_path, location="w.data", offset=4, length=I * 4 * H * 4)
    (tmp_path / "w.data").write_bytes(b"\0\0\0\0" + content)
    assert "within" in readers.read(path).proof
    (tmp_path / "w.data").write_bytes(content[:-8])
    with pytest.raises(ConversionError, match=r'weights "W" are bytes 4 to \d+ of "w.data", which has \d+'):
        readers.read(path)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", r'said to be in "\.\./secret", outside of the model\'s folder'),
        ("/etc/passwd", r"outside of the model's folder"),
        ("link", r"outside of the model's folder"),
        ("missing.data", r"missing beside the model"),
        ("", r"outside of the model's folder"),
    ],
)
def test_weights_are_read_from_the_models_folder_only(tmp_path, location, message):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 4096)
    (folder / "link").symlink_to(tmp_path / "secret")
    path, _ = external(folder, location=location)
    with pytest.raises(ConversionError, match=message):
        readers.read(path)


def test_sizes_that_are_declared_are_not_believed(tmp_path):
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("MatMul", ["x", "W"], ["y"])],
        [WEIGHTS[0]],
        x=("t", I),
        y=("t", 4 * H),
    )
    model = onnx.load(path)
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([100_000, 100_000])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConversionError, match=r"m\.onnx: .*"):
        readers.read(path)


def test_a_tensor_made_too_large_is_refused(tmp_path):
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["z"], name="fill"),
        helper.make_node("ReduceSum", ["z"], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, [integers("huge", 1 << 20, 1 << 20)], x=("t", I), y=("t", I))
    with pytest.raises(ConversionError, match=r'node "fill" \(ConstantOfShape\): it makes a tensor of'):
        readers.read(path)
