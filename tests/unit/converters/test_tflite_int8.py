"""TFLite files whose weights are int8: their bytes are those of the model, and where they cannot be the report says why."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: TFLite files cannot be built")
pytest.importorskip("flatbuffers")
pytestmark = pytest.mark.engines

import tflite_cases  # noqa: E402
from edgelstm_converters import convert_with_report  # noqa: E402
from edgelstm_converters.execution import Execution  # noqa: E402
from edgelstm_converters.readers import tflite_file  # noqa: E402
from tflite_cases import OP, TYPE, I  # noqa: E402

RNG = np.random.default_rng(11)
SAMPLES = RNG.normal(0, 1, (300, I)).astype(np.float32)


def whole(rows, columns, reach):
    """Return int8 of which no row, or a single one, has the largest number that there is: small rows are common where a tensor has one scale."""
    values = RNG.integers(-reach, reach + 1, (rows, columns))
    values[0, 0] = reach
    return values.astype(np.int8)


def bytes_in(path):
    """Return the int8 of a file by the names of its tensors."""
    tensors = tflite_file.load(path)[0].tensors
    return {tensor.name: tensor.data for tensor in tensors if tensor.data is not None}


def weights_of(conversion, name):
    by_name = {layer.name: layer for layer in conversion.model.layers}
    return by_name[name]


LSTMS = {
    "hybrid": (tflite_cases.fused_lstm, {"int8": True}),
    "hybrid, time first": (tflite_cases.fused_lstm, {"int8": True, "time_major": True}),
    "hybrid, peepholes": (tflite_cases.fused_lstm, {"int8": True, "peephole": True}),
    "hybrid, coupled": (tflite_cases.fused_lstm, {"int8": True, "coupled": True}),
    "hybrid, clipped": (tflite_cases.fused_lstm, {"int8": True, "clip": 0.5}),
    "whole": (tflite_cases.whole_lstm, {}),
    "whole, time first": (tflite_cases.whole_lstm, {"time_major": True}),
    "whole, peepholes": (tflite_cases.whole_lstm, {"peephole": True}),
    "whole, projected": (tflite_cases.whole_lstm, {"projection": True}),
}


@pytest.mark.parametrize("case", LSTMS)
@pytest.mark.parametrize("channels", [1, I])
def test_the_weights_of_a_fused_lstm_keep_their_bytes(tmp_path, monkeypatch, case, channels):
    """Also of one channel, where each row is one number and only the scale of its tensor says which."""
    make, variant = LSTMS[case]
    monkeypatch.setattr(tflite_cases, "I", channels)
    path = make(tmp_path / "m.tflite", **variant)
    found, source = convert_with_report(path, calibration=SAMPLES[:, :channels]), bytes_in(path)
    lstm, dense = (layer for layer in found.model.layers if layer.kind in ("lstm", "dense"))
    for product, what in ((lstm.inputs, "w"), (lstm.hidden, "u")):
        gates = [source[f"{what}{gate}"] for gate in ("fco" if variant.get("coupled") else "ifco")]
        if variant.get("coupled"):  # our i is 1 - f
            gates[0] = -gates[0]
        np.testing.assert_array_equal(product.weights, np.concatenate(gates))
    if variant.get("projection"):
        np.testing.assert_array_equal(lstm.projection.weights, source["projection"])
    np.testing.assert_array_equal(dense.product.weights, source["dense/weights"])
    count = sum(layer.weight_count for layer in found.model.layers)
    assert found.taken_over.told() == f"{count} of {count} weights have the bytes of the source's int8"


def dense_file(path, weights, scale, *, zero=0, kind=TYPE.INT8, behind=None):
    """A FULLY_CONNECTED of int8 weights (rows, I), and what `behind` puts behind it."""
    model = tflite_cases.new_model()
    graph = tflite_cases.Graph(model, "main")
    x = graph.tensor("x", (1, 6, I))
    w = graph.tensor("w", weights.shape, kind, data=weights, scale=scale, zero=zero)
    bias = graph.constant("b", np.linspace(-0.3, 0.3, len(weights)).astype(np.float32))
    y = graph.value(
        OP.FULLY_CONNECTED, [x, w, bias], (1, 6, len(weights)), "FullyConnectedOptions", keepNumDims=True
    )
    graph.graph.inputs, graph.graph.outputs = [x], [behind(graph, y) if behind else y]
    return tflite_cases.write(model, path)


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("reach", [127, 90, 40, 6])
def test_the_weights_of_a_dense_layer_keep_their_bytes(tmp_path, per_row, reach):
    q = whole(20, I, reach)
    scale = RNG.uniform(0.002, 0.006, 20) if per_row else 0.004
    found = convert_with_report(dense_file(tmp_path / "m.tflite", q, scale), calibration=SAMPLES)
    np.testing.assert_array_equal(found.model.layers[0].product.weights, q)
    assert "in int8: within" in found.proof


def test_they_keep_them_behind_a_factor_of_each_row(tmp_path):
    """Batch normalisation behind a layer goes into the scales of its rows, not into their numbers."""
    factor = np.linspace(0.5, 1.5, 8).astype(np.float32)

    def behind(graph, y):
        return graph.value(OP.MUL, [y, graph.constant("factor", factor)], (1, 6, 8), "MulOptions")

    q = whole(8, I, 50)
    path = dense_file(tmp_path / "m.tflite", q, 0.01, behind=behind)
    found = convert_with_report(path, calibration=SAMPLES)
    np.testing.assert_array_equal(found.model.layers[0].product.weights, q)


@pytest.mark.parametrize("window", [0, 6])
def test_they_keep_them_where_inputs_are_scaled_or_run_in_windows(tmp_path, window):
    """A mean and a spread for each channel would go into columns: a layer of its own scales for weights that are int8."""
    path = tflite_cases.fused_lstm(tmp_path / "m.tflite", int8=True)
    spreads = np.float32([1.0, 40.0, 0.3])
    scaling = {f"x{n}": {"mean": float(n), "std": float(spread)} for n, spread in enumerate(spreads)}
    found = convert_with_report(
        path, calibration=SAMPLES * spreads + np.arange(I, dtype=np.float32), scaling=scaling, execution=Execution(window=window)
    )  # fmt: skip
    source = bytes_in(path)
    layers = [
        *found.model.layers,
        *(inner for layer in found.model.layers for inner in getattr(layer, "layers", ())),
    ]
    (lstm,) = (layer for layer in layers if layer.kind == "lstm")
    np.testing.assert_array_equal(
        lstm.inputs.weights, np.concatenate([source[f"w{gate}"] for gate in "ifco"])
    )
    assert found.model.provenance.output_snr_db > 60


def convolution_file(path, q, scales):
    """A CONV_2D along time of int8 weights (outputs, 1, taps, I), a scale for each output."""
    model = tflite_cases.new_model()
    graph = tflite_cases.Graph(model, "main")
    x, taps = graph.tensor("x", (1, 6, I)), q.shape[2]
    pads = graph.constant("pads", np.array([[0, 0], [taps - 1, 0], [0, 0]], np.int32))
    y = graph.value(OP.PAD, [x, pads], (1, 5 + taps, I), "PadOptions")
    axis = graph.constant("axis", np.array(1, np.int32))
    y = graph.value(OP.EXPAND_DIMS, [y, axis], (1, 1, 5 + taps, I), "ExpandDimsOptions")
    kernel = graph.tensor("kernel", q.shape, TYPE.INT8, data=q, scale=scales)
    bias = graph.constant("bias", tflite_cases.random(len(q)))
    y = graph.value(
        OP.CONV_2D, [y, kernel, bias], (1, 1, 6, len(q)), "Conv2DOptions", padding=1, strideW=1, strideH=1,
        fusedActivationFunction=1, dilationWFactor=1, dilationHFactor=1,
    )  # fmt: skip
    y = graph.value(OP.SQUEEZE, [y], (1, 6, len(q)), "SqueezeOptions", squeezeDims=[1])
    graph.graph.inputs, graph.graph.outputs = [x], [y]
    return tflite_cases.write(model, path)


def test_the_weights_of_a_convolution_keep_their_bytes(tmp_path):
    """Channels of different ranges get one step, also where one was made to hold the zeros before the first sample."""
    q = whole(5, 3 * I, 60).reshape(5, 1, 3, I)
    path = convolution_file(tmp_path / "m.tflite", q, RNG.uniform(0.002, 0.006, 5))
    found = convert_with_report(
        path, calibration=SAMPLES * np.float32([1.0, 0.4, 2.5]) + np.float32([0, 3, 0])
    )
    np.testing.assert_array_equal(found.model.layers[0].product.weights, q.reshape(5, -1))


ASYMMETRIC = {
    "uint8 around 130": (np.uint8, TYPE.UINT8, 130),
    "int8 around 7": (np.int8, TYPE.INT8, 7),
}


@pytest.mark.parametrize("case", ASYMMETRIC)
def test_asymmetric_weights_are_rounded_anew_and_it_is_said(tmp_path, case):
    """But for rows whose numbers, less the zero, are int8 themselves."""
    dtype, kind, zero = ASYMMETRIC[case]
    limits = np.iinfo(dtype)
    q = RNG.integers(limits.min, limits.max + 1, (10, I)).astype(dtype)
    q[:4] = np.clip(q[:4], zero - 100, zero + 100)
    q[4:, 0] = limits.min if zero >= 0 and dtype == np.int8 else 0  # further from the zero than 127
    path = dense_file(tmp_path / "m.tflite", q, 0.004, zero=zero, kind=kind)
    found = convert_with_report(path, calibration=SAMPLES, verify=False)
    less = q.astype(int) - zero
    np.testing.assert_array_equal(found.model.layers[0].product.weights[:4], less[:4])
    (layer,) = found.model.layers
    assert found.taken_over.told() == (
        f'{4 * I} of {10 * I} weights have the bytes of the source\'s int8; 6 rows of "{layer.name}" are rounded anew: they have a '
        "zero of their own or reach -128, and a row here is symmetric"
    )


def test_channels_that_are_too_far_apart_are_rounded_anew_and_it_is_said(tmp_path):
    q = whole(10, I, 127)
    path = dense_file(tmp_path / "m.tflite", q, 0.004)
    found = convert_with_report(path, calibration=SAMPLES * np.float32([1.0, 1e-3, 1.0]), verify=False)
    assert (found.model.layers[0].product.weights != q).any()
    assert found.taken_over.kept < q.size
    assert (
        "are rounded anew: what they are multiplied with comes in steps that are too far apart"
        in found.taken_over.told()
    )


def test_float_weights_are_said_to_be_none(tmp_path):
    found = convert_with_report(
        tflite_cases.fused_lstm(tmp_path / "m.tflite"), calibration=SAMPLES, verify=False
    )
    assert found.taken_over is None
