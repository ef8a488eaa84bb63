"""The float path of every family against another's: ONNX Runtime, PyTorch, or a transcription of the paper in float64.

Within 1e-5, and 1e-4 after a thousand steps, of the largest output where that is above 1.
"""

import numpy as np
import pytest
from float_layer_cases import FLOAT_CASES, Floats, assert_same

from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.gate_order import GRU, LSTM, ONNX_LSTM, reorder
from edgelstm_converters.layers import (
    FloatAdd,
    FloatConcat,
    FloatConv1d,
    FloatDense,
    FloatEmbedding,
    FloatGru,
    FloatLstm,
    FloatMultiply,
    FloatNormalization,
    FloatPool,
    FloatRnn,
)

SAMPLES, INPUTS = 1200, 3
X = np.random.default_rng(11).normal(0, 1, (SAMPLES, INPUTS)).astype(np.float32)


ONNX_NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "hard_sigmoid": "HardSigmoid",
    "hard_sigmoid_6": "HardSigmoid",
}
ONNX_ALPHA = {"hard_sigmoid": 0.2, "hard_sigmoid_6": 1 / 6}


def onnx_lstm(layer):
    """Run a layer's weights through the LSTM operator of ONNX Runtime."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    def iofc(rows):
        if layer.coupled:  # ONNX keeps rows for f, and does not use them
            i, g, o = np.split(rows, 3)
            rows = np.concatenate([i, np.zeros_like(i), g, o])
        return reorder(rows, LSTM, ONNX_LSTM)

    cells = layer.cells
    peephole = np.zeros((3, cells), np.float32) if layer.peephole is None else layer.peephole
    i, f, o = (peephole[0], peephole[0], peephole[1]) if layer.coupled else peephole
    bias = iofc(layer.bias)
    weights = {
        "W": iofc(layer.input_weights)[None],
        "R": iofc(layer.hidden_weights)[None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
        "H": (np.zeros(cells, np.float32) if layer.initial_hidden is None else layer.initial_hidden)[
            None, None
        ],
        "C": (np.zeros(cells, np.float32) if layer.initial_cell is None else layer.initial_cell)[None, None],
        "P": np.concatenate([i, o, f])[None],
    }
    names = layer.gate_activation, layer.cell_activation, layer.output_activation
    node = helper.make_node(
        "LSTM",
        ["x", "W", "R", "B", "", "H", "C", "P"],
        ["y"],
        hidden_size=cells,
        activations=[ONNX_NAMES[name] for name in names],
        activation_alpha=[ONNX_ALPHA[name] for name in names if name in ONNX_ALPHA] or None,
        activation_beta=[0.5 for name in names if name in ONNX_ALPHA] or None,
        input_forget=int(layer.coupled),
    )
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", real, [SAMPLES, 1, INPUTS])],
        [helper.make_tensor_value_info("y", real, [SAMPLES, 1, 1, cells])],
        [
            numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            for name, array in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X[:, None]})[0].reshape(SAMPLES, cells)


@pytest.mark.parametrize(
    "case", ["lstm", "lstm hard", "lstm hard 6", "lstm relu", "lstm peephole", "lstm coupled", "lstm initial"]
)
def test_lstm_variants_are_those_of_onnx(case):
    (layer,) = FLOAT_CASES[case](Floats(5), INPUTS)
    assert_same(layer.run(X), onnx_lstm(layer))


def onnx_gru(layer):
    """Run a layer's weights through the GRU operator of ONNX Runtime."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    units = layer.units
    start = np.zeros(units, np.float32) if layer.initial_hidden is None else layer.initial_hidden
    weights = {
        "W": reorder(layer.input_weights, GRU, "urn")[None],
        "R": reorder(layer.hidden_weights, GRU, "urn")[None],
        "B": np.concatenate([reorder(bias, GRU, "urn") for bias in (layer.input_bias, layer.hidden_bias)])[
            None
        ],
        "H": start[None, None],
    }
    after = int(layer.reset_after)
    node = helper.make_node(
        "GRU", ["x", "W", "R", "B", "", "H"], ["y"], hidden_size=units, linear_before_reset=after
    )
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", real, [SAMPLES, 1, INPUTS])],
        [helper.make_tensor_value_info("y", real, [SAMPLES, 1, 1, units])],
        [
            numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            for name, array in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X[:, None]})[0].reshape(SAMPLES, units)


@pytest.mark.parametrize("case", ["gru", "gru before", "gru initial"])
def test_gru_variants_are_those_of_onnx(case):
    (layer,) = FLOAT_CASES[case](Floats(5), INPUTS)
    assert_same(layer.run(X), onnx_gru(layer))


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


@pytest.mark.parametrize("after", [True, False])
def test_a_gru_that_sees_a_part_of_its_past_is_its_transcription(after):
    """Cho et al. 2014, equations 5 to 8, and the form of cuDNN, with masked h_(t-1) wherever a matrix reads it, in float64."""
    make, mask = Floats(7), np.float32([1, 0, 1, 1, 0, 1])
    w, r, a, b = make(18, INPUTS), make(18, 6), make(18), make(18)
    layer = FloatGru("l", w, r, a, b, after, hidden_mask=mask)
    h, exact = np.zeros(6), []
    for x in X.astype(np.float64):
        ih, seen = w @ x + a, h * mask
        reset, update = (sigmoid(ih[n : n + 6] + r[n : n + 6] @ seen + b[n : n + 6]) for n in (0, 6))
        past = reset * (r[12:] @ seen + b[12:]) if after else r[12:] @ (reset * seen) + b[12:]
        h = (1 - update) * np.tanh(ih[12:] + past) + update * h
        exact.append(h)
    assert_same(layer.run(X), np.array(exact))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_projected_lstm_is_that_of_torch():
    torch = pytest.importorskip("torch")
    module = torch.nn.LSTM(INPUTS, 12, proj_size=5)
    parts = {name: value.detach().numpy() for name, value in module.named_parameters()}
    layer = FloatLstm(
        "l",
        parts["weight_ih_l0"],
        parts["weight_hh_l0"],
        parts["bias_ih_l0"] + parts["bias_hh_l0"],
        projection_weights=parts["weight_hr_l0"],
    )
    with torch.no_grad():
        exact = module(torch.from_numpy(X))[0].numpy()
    assert_same(layer.run(X), exact)


def test_a_clipped_cell_with_a_linear_output_is_its_transcription():
    """Sak et al. 2014, equations 1 to 7, with the cell limited and m = o * c, in float64."""
    (layer,) = FLOAT_CASES["lstm linear"](Floats(6), INPUTS)
    w, r, b = (part.astype(np.float64) for part in (layer.input_weights, layer.hidden_weights, layer.bias))
    h, c, exact = np.zeros(layer.units), np.zeros(layer.units), []
    for x in X.astype(np.float64):
        i, f, g, o = np.split(w @ x + r @ h + b, 4)
        c = np.clip(sigmoid(f) * c + sigmoid(i) * np.tanh(g), -1.5, 1.5)
        h = sigmoid(o) * c
        exact.append(h)
    assert np.abs(exact).max() > 1.0
    assert_same(layer.run(X), np.array(exact))


@pytest.mark.torch
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_simple_recurrent_layer_is_that_of_torch(activation):
    torch = pytest.importorskip("torch")
    module = torch.nn.RNN(INPUTS, 12, nonlinearity=activation)
    parts = {name: value.detach().numpy() for name, value in module.named_parameters()}
    bias = parts["bias_ih_l0"] + parts["bias_hh_l0"]
    start = np.random.default_rng(0).uniform(-0.5, 0.5, 12).astype(np.float32)
    layer = FloatRnn(
        "l", parts["weight_ih_l0"], parts["weight_hh_l0"], bias, activation, initial_hidden=start
    )
    with torch.no_grad():
        exact = module(torch.from_numpy(X), torch.from_numpy(start)[None])[0].numpy()
    assert_same(layer.run(X), exact)


def test_activations_are_those_of_their_definitions():
    z = np.linspace(-6, 6, 1001)[:, None]
    exact = {
        "relu": np.maximum(z, 0),
        "sigmoid": sigmoid(z),
        "tanh": np.tanh(z),
        "hard_sigmoid": np.clip(0.2 * z + 0.5, 0, 1),
        "hard_sigmoid_6": np.clip(z / 6 + 0.5, 0, 1),
    }
    for name, expected in exact.items():
        layer = FloatDense("d", np.ones((1, 1), np.float32), np.zeros(1, np.float32), name)
        np.testing.assert_allclose(layer.run(z.astype(np.float32)), expected, rtol=0, atol=1e-6)
    rows = np.concatenate([z, -z, 0.3 * z], axis=1)
    layer = FloatDense("d", np.eye(3, dtype=np.float32), np.zeros(3, np.float32), "softmax")
    exact = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(layer.run(rows.astype(np.float32)), exact, rtol=0, atol=1e-6)


def test_merges_are_what_they_say():
    wide = FloatDense("a", np.eye(3, dtype=np.float32)[[0, 1]], np.zeros(2, np.float32), sources=("input",))
    other = FloatDense("b", np.eye(3, dtype=np.float32)[[2, 0]], np.ones(2, np.float32), sources=("input",))
    a, b = X[:, :2], X[:, [2, 0]] + 1
    for layer, exact in (
        (FloatConcat("l", (2, 2), sources=("a", "b")), np.concatenate([a, b], axis=1)),
        (FloatAdd("l", 2, (1.0, 1.0), sources=("a", "b")), a + b),
        (FloatAdd("l", 2, (0.5, 0.5), "tanh", sources=("a", "b")), np.tanh((a + b) / 2)),
        (FloatMultiply("l", 2, sources=("a", "b")), a * b),
    ):
        np.testing.assert_allclose(FloatModel(3, (wide, other, layer)).run(X), exact, rtol=0, atol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize(("dilation", "stride"), [(1, 1), (3, 1), (2, 4)])
def test_causal_convolution_is_that_of_torch(dilation, stride):
    torch = pytest.importorskip("torch")
    module = torch.nn.Conv1d(INPUTS, 6, 5, dilation=dilation, stride=stride)
    layer = FloatConv1d(
        "l", module.weight.detach().numpy(), module.bias.detach().numpy(), dilation, stride=stride
    )
    padded = torch.nn.functional.pad(torch.from_numpy(X.T), (4 * dilation, 0))
    with torch.no_grad():
        exact = module(padded[None])[0].T.numpy()
    assert_same(layer.run(X)[::stride], exact)


@pytest.mark.torch
@pytest.mark.parametrize(
    "case",
    ["lstm normalised", "lstm normalised peephole", "lstm normalised coupled", "lstm projected clipped"],
)
def test_normalised_gates_are_those_of_torch(case):
    """Its functions, in float64, put together as the fused LSTM of TFLite is."""
    torch = pytest.importorskip("torch")
    (layer,) = FLOAT_CASES[case](Floats(6), INPUTS)
    arrays = {
        name: torch.from_numpy(value.astype(np.float64))
        for name in (
            "input_weights",
            "hidden_weights",
            "bias",
            "norm_factor",
            "norm_shift",
            "peephole",
            "projection_weights",
        )
        if (value := getattr(layer, name)) is not None
    }
    count, rows = layer.cells, layer.gates
    shift, peephole = arrays.get("norm_shift"), arrays.get("peephole", torch.zeros(rows - 1, count))
    cell, hidden, found = torch.zeros(count), torch.zeros(layer.units), []

    def gate(z, number, seen):
        part = slice(number * count, (number + 1) * count)
        own = None if shift is None else shift[part]
        z = torch.nn.functional.layer_norm(
            z[part] + seen, (count,), arrays["norm_factor"][part], own, layer.norm_epsilon
        )
        return z.clamp(-layer.gate_clip, layer.gate_clip) if layer.gate_clip else z

    for x in torch.from_numpy(X.astype(np.float64)):
        z = arrays["input_weights"] @ x + arrays["hidden_weights"] @ hidden.double() + arrays["bias"]
        i = torch.sigmoid(gate(z, 0, peephole[0] * cell))
        f = 1 - i if layer.coupled else torch.sigmoid(gate(z, 1, peephole[1] * cell))
        cell = f * cell + i * torch.tanh(gate(z, rows - 2, 0.0))
        hidden = torch.sigmoid(gate(z, rows - 1, peephole[-1] * cell)) * torch.tanh(cell)
        if "projection_weights" in arrays:
            hidden = (arrays["projection_weights"] @ hidden).clamp(
                -layer.projection_clip, layer.projection_clip
            )
        found.append(hidden.numpy())
    assert_same(layer.run(X), np.array(found))


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize("stride", [1, 4])
def test_pooling_is_that_of_torch(mode, stride):
    torch = pytest.importorskip("torch")
    module = {"max": torch.nn.MaxPool1d, "average": torch.nn.AvgPool1d}[mode](4, stride)
    layer = FloatPool("l", mode, INPUTS, 4, stride=stride, due=3 % stride)
    exact = module(torch.from_numpy(X.T)[None])[0].T.numpy()
    assert_same(layer.run(X)[3::stride], exact)  # torch gives nothing before the window is full


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["layer", "rms", "l2"])
def test_normalisation_is_that_of_torch(mode):
    torch = pytest.importorskip("torch")
    factor, shift = (
        part + 1 for part in np.random.default_rng(1).normal(0, 0.3, (2, INPUTS)).astype(np.float32)
    )
    layer = FloatNormalization("l", mode, factor, shift, 1e-4)
    x, weight, bias = (torch.from_numpy(part) for part in (X, factor, shift))
    if mode == "layer":
        exact = torch.nn.functional.layer_norm(x, (INPUTS,), weight, bias, 1e-4)
    elif mode == "rms":
        exact = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4) * weight + bias
    else:
        exact = torch.nn.functional.normalize(x, dim=1, eps=1e-4) * weight + bias
    assert_same(layer.run(X), exact.numpy())


@pytest.mark.torch
def test_an_embedding_is_that_of_torch():
    torch = pytest.importorskip("torch")
    module = torch.nn.Embedding(9, 5)
    numbers = np.random.default_rng(2).integers(0, 9, 200)
    layer = FloatEmbedding("l", module.weight.detach().numpy())
    with torch.no_grad():
        exact = module(torch.from_numpy(numbers)).numpy()
    np.testing.assert_array_equal(layer.run(numbers[:, None].astype(np.float32)), exact)
