"""ONNX graphs that are int8 already: the whole numbers of the file are those of the model, and ONNX Runtime, in int8, says the same."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from onnx_cases import H, I, O, integers, recurrent, weights  # noqa: E402

T = 12


def named(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def whole(seed, *shape, reach=127):
    """Return int8 of which every row has its largest."""
    values = np.random.default_rng(seed).integers(-reach, reach + 1, shape)
    values[..., 0] = reach
    return values.astype(np.int8)


def node(kind, inputs, *outputs, domain="", **attributes):
    return helper.make_node(
        kind, inputs.split(" "), list(outputs), name=outputs[0], domain=domain, **attributes
    )


def write(path, nodes, initializers):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (T, 1, I))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (T, 1, "n"))],
        initializers,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


SAMPLES = (np.random.default_rng(7).normal(0, 1, (300, I)) * [1.0, 0.4, 2.5]).astype(np.float32)
M = whole(1, O, H).T.copy()  # (H, O), as MatMul has it
PARTS = [named("M", M, np.int8), named("ms", 0.004), named("mz", 0, np.int8), named("hs", 1 / 127), named("hz", 0, np.int8),
         named("ys", 0.02), named("yz", -10, np.int8), named("low", -128, np.int8), named("bias", np.linspace(-0.3, 0.3, O)), integers("axis", 1)]  # fmt: skip
FRONT = [recurrent(), node("Squeeze", "seq axis", "h")]
HEADS = {
    "QDQ": [node("QuantizeLinear", "h hs hz", "hq"), node("DequantizeLinear", "hq hs hz", "hd"), node("DequantizeLinear", "M ms mz", "Md"), node("MatMul", "hd Md", "y")],
    "dynamic": [node("DynamicQuantizeLinear", "h", "hq", "s", "z"), node("MatMulInteger", "hq M z mz", "mi"), node("Cast", "mi", "mf", to=1), node("Mul", "s ms", "both"),
                node("Mul", "mf both", "mm"), node("Add", "mm bias", "y")],
    "QLinearMatMul": [node("QuantizeLinear", "h hs hz", "hq"), node("QLinearMatMul", "hq hs hz M ms mz ys yz", "mq"), node("DequantizeLinear", "mq ys yz", "y")],
}  # fmt: skip


@pytest.mark.parametrize("case", HEADS)
def test_weights_of_a_dense_layer_keep_their_bytes(tmp_path, case):
    path = write(tmp_path / "m.onnx", [*FRONT, *HEADS[case]], [*weights(4), *PARTS])
    found = convert_with_report(path, calibration=SAMPLES)
    np.testing.assert_array_equal(found.model.layers[-1].product.weights, M.T)
    assert found.proof.startswith("onnxruntime, which computes it in int8: within ")


@pytest.mark.parametrize("per_row", [False, True])
def test_weights_of_an_lstm_keep_their_bytes(tmp_path, per_row):
    """Of rows of small numbers a part of their scale fits as well: the file says which it is."""
    w, r = whole(2, 1, 4 * H, I), whole(3, 1, 4 * H, H)
    w[0, ::3, 0], w[0, ::5] = 6, 2 * (w[0, ::5] // 4)
    scales = np.random.default_rng(4).uniform(0.002, 0.006, (1, 4 * H)) if per_row else np.full(1, 0.004)
    parts = [
        named("W", w.transpose(0, 2, 1), np.int8),
        named("R", r.transpose(0, 2, 1), np.int8),
        named("s", scales),
        named("z", np.zeros(scales.shape), np.int8),
        integers("axis", 1),
    ]
    nodes = [
        node("DynamicQuantizeLSTM", "x W R B     s z s z", "seq", domain="com.microsoft", hidden_size=H),
        node("Squeeze", "seq axis", "y"),
    ]
    path = write(tmp_path / "m.onnx", nodes, [weights(4)[2], *parts])
    found = convert_with_report(path, calibration=SAMPLES)
    (layer,) = found.model.layers
    for product, source in ((layer.inputs, w[0]), (layer.hidden, r[0])):
        i, o, f, g = np.split(source, 4)
        np.testing.assert_array_equal(product.weights, np.concatenate([i, f, g, o]))
    assert found.proof.startswith("onnxruntime, which computes it in int8: within ")


def test_channels_whose_steps_are_far_apart_keep_them(tmp_path):
    path = write(tmp_path / "m.onnx", [node("DequantizeLinear", "W ms", "Wd"), node("MatMul", "x Wd", "y0"), node("Relu", "y0", "y")],
                 [named("W", whole(5, O, I).T, np.int8), named("ms", 0.01)])  # fmt: skip
    near = convert_with_report(path, calibration=SAMPLES).model
    assert len({channel.gain for channel in near.channels}) == 1
    far = convert_with_report(path, calibration=SAMPLES * np.float32([1.0, 1e-3, 1.0])).model
    assert len({channel.gain for channel in far.channels}) > 1


def test_a_relu_that_only_the_limits_of_int8_are_is_found(tmp_path):
    nodes = [
        *HEADS["QLinearMatMul"][:1],
        node("QLinearMatMul", "hq hs hz M ms mz ys low", "mq"),
        node("DequantizeLinear", "mq ys low", "y"),
    ]
    reading = readers.read(write(tmp_path / "m.onnx", [*FRONT, *nodes], [*weights(4), *PARTS]))
    assert reading.model.layers[-1].activation == "relu"
    assert "in int8: within" in reading.proof


REFUSED = {
    "two signals": ([node("QuantizeLinear", "h hs hz", "hq"), node("Transpose", "hq", "ht", perm=[1, 0]), node("QLinearMatMul", "hq hs hz ht hs hz ys yz", "mq"),
                     node("DequantizeLinear", "mq ys yz", "y")], r'node "mq" \(QLinearMatMul\): it multiplies two values'),
    "a scale of the signal": ([node("ReduceSum", "h", "hsum", keepdims=0), node("QuantizeLinear", "h hs hz", "hq"), node("QLinearMatMul", "hq hs hz M hsum mz ys yz", "mq"),
                               node("DequantizeLinear", "mq ys yz", "y")], r'node "mq" \(QLinearMatMul\): its scale or zero depends'),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_by_node(tmp_path, case):
    nodes, message = REFUSED[case]
    front = [recurrent(), node("Squeeze", "seq both", "h")]
    path = write(tmp_path / "m.onnx", [*front, *nodes], [*weights(4), *PARTS, integers("both", 1, 2)])
    with pytest.raises(ConversionError, match=message):
        readers.read(path)


@pytest.mark.parametrize("moved", [False, True])
def test_a_table_of_whole_numbers_stands_for_real_ones(tmp_path, moved):
    """Its rows are chosen, and moved, before they get their scale."""
    table, scale, zero = np.random.default_rng(4).integers(0, 256, (9, I)).astype(np.uint8), 0.013, 131
    behind = [node("Transpose", "rows", "turned", perm=[1, 0, 2])] if moved else []
    nodes = [node("Gather", "table symbols", "rows"), *behind, node("DequantizeLinear", "turned s z" if moved else "rows s z", "x"),
             node("DequantizeLinear", "rows s z", "again"), node("Shape", "again", "shape"), recurrent(), node("Squeeze", "seq axis", "y")]  # fmt: skip
    shape = ("b", "t") if moved else ("t", "b")
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("symbols", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("t", "b", "n"))],
        [*weights(4), named("table", table, np.uint8), named("s", scale), named("z", zero, np.uint8), integers("axis", 1)],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "m.onnx",
    )
    reading = readers.read(tmp_path / "m.onnx", inputs=1)
    assert [layer.kind for layer in reading.model.layers] == ["embedding", "lstm"]
    np.testing.assert_allclose(
        reading.model.layers[0].table, (table.astype(np.float32) - zero) * np.float32(scale), rtol=1e-6
    )
    assert "within" in reading.proof and not reading.proof.startswith("not proved")
