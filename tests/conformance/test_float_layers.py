"""The float path of every family against another's: ONNX Runtime, PyTorch, or a transcription of the paper in float64.

Within 1e-5, and 1e-4 after a thousand steps, of the largest output where that is above 1.
"""

from dataclasses import replace

import numpy as np
import pytest
from layer_cases import FLOAT_CASES, Floats

from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.gate_order import LSTM, ONNX_LSTM, reorder
from edgelstm_converters.layers import (
    FloatAdd,
    FloatAttention,
    FloatClockwork,
    FloatConcat,
    FloatConv1d,
    FloatConvLstm,
    FloatDense,
    FloatEmbedding,
    FloatLstm,
    FloatMultiply,
    FloatNormalization,
    FloatPool,
    FloatRnn,
    FloatWindow,
    bidirectional,
    variational,
)

SAMPLES, INPUTS = 1200, 3
X = np.random.default_rng(11).normal(0, 1, (SAMPLES, INPUTS)).astype(np.float32)


def assert_same(found, exact):
    assert found.shape == exact.shape
    size = max(1.0, float(np.abs(exact).max()))
    assert np.abs(found[:200] - exact[:200]).max() <= 1e-5 * size
    assert np.abs(found - exact).max() <= 1e-4 * size


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


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


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


def layers_of(torch, module, names):
    """The two directions of a bidirectional torch LSTM, as layers of these names."""
    parts = {name: value.detach().numpy() for name, value in module.named_parameters()}
    for name, ending in zip(names, ("", "_reverse"), strict=True):
        bias = parts[f"bias_ih_l0{ending}"] + parts[f"bias_hh_l0{ending}"]
        yield FloatLstm(name, parts[f"weight_ih_l0{ending}"], parts[f"weight_hh_l0{ending}"], bias)


def windows_of(x, length):
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=0).transpose(0, 2, 1).copy()


@pytest.mark.torch
@pytest.mark.parametrize(("lookahead", "hop"), [(None, 1), (0, 1), (3, 1), (8, 4)])
def test_a_bidirectional_layer_is_torchs_on_every_window(lookahead, hop):
    """The output at sample t is what torch gives for the samples up to t, at the row `lookahead` before the last."""
    torch, length = pytest.importorskip("torch"), 9
    module = torch.nn.LSTM(INPUTS, 6, bidirectional=True, batch_first=True)
    layer = bidirectional("l", *layers_of(torch, module, "fb"), length, lookahead=lookahead, hop=hop)
    with torch.no_grad():
        exact = module(torch.from_numpy(windows_of(X, length)))[0].numpy()
    if lookahead is None:
        expected = np.concatenate([exact[:, -1, :6], exact[:, 0, 6:]], axis=1)
    else:
        expected = exact[:, length - 1 - lookahead]
    assert layer.due == (length - 1) % hop
    assert_same(layer.run(X)[length - 1 :: hop], expected[::hop])


@pytest.mark.torch
def test_two_bidirectional_layers_with_pooling_between_are_torchs():
    torch, length = pytest.importorskip("torch"), 8
    lower = torch.nn.LSTM(INPUTS, 6, bidirectional=True, batch_first=True)
    upper = torch.nn.LSTM(12, 5, bidirectional=True, batch_first=True)
    f1, b1 = layers_of(torch, lower, ("f1", "b1"))
    f2, b2 = layers_of(torch, upper, ("f2", "b2"))
    layers = (
        replace(f1, sources=("input",)),
        replace(b1, sources=("input",)),
        FloatConcat("c", (6, 6), sources=("f1", "b1")),
        FloatPool("p", "max", 12, 2, stride=2, due=1),
        replace(f2, sources=("p",), period=2, phase=1),
        replace(b2, sources=("p",), period=2, phase=0),
    )
    layer = FloatWindow("l", INPUTS, length, layers, ("f2", "b2"), (7, 1), backward=("b1", "b2"))
    with torch.no_grad():
        pooled = torch.nn.functional.max_pool1d(
            lower(torch.from_numpy(windows_of(X, length)))[0].transpose(1, 2), 2
        )
        exact = upper(pooled.transpose(1, 2))[0].numpy()
    expected = np.concatenate([exact[:, -1, :5], exact[:, 0, 5:]], axis=1)
    assert_same(layer.run(X)[length - 1 :], expected)


@pytest.mark.torch
@pytest.mark.parametrize("heads", [1, 3])
def test_self_attention_is_that_of_torch_where_each_sees_its_past(heads):
    """nn.MultiheadAttention with a mask that shows every sample itself and the nine before it."""
    torch, window = pytest.importorskip("torch"), 10
    module = torch.nn.MultiheadAttention(6, heads, batch_first=True)
    x = np.random.default_rng(4).normal(0, 1, (SAMPLES, 6)).astype(np.float32)
    age = np.arange(SAMPLES)[:, None] - np.arange(SAMPLES)
    hidden = torch.from_numpy((age < 0) | (age >= window))
    tensor = torch.from_numpy(x)[None]
    with torch.no_grad():
        exact = module(tensor, tensor, tensor, attn_mask=hidden, need_weights=False)[0][0].numpy()
    weights, biases = (
        np.split(part.detach().numpy(), 3) for part in (module.in_proj_weight, module.in_proj_bias)
    )
    parts = {
        f"{name}_{kind}": part
        for kind, found in (("weights", weights), ("bias", biases))
        for name, part in zip(("query", "key", "value"), found, strict=True)
    }
    attention = FloatAttention("l", 6, heads, window, (6 // heads) ** -0.5, **parts)
    out = module.out_proj
    head = FloatDense("o", out.weight.detach().numpy(), out.bias.detach().numpy())
    assert_same(FloatModel(6, (attention, head)).run(x), exact)


def test_additive_attention_is_its_transcription():
    """Bahdanau et al. 2015, equations 6 and following, over the last samples, in float64."""
    make, window = Floats(8), 7
    w, u, v, b = make(5, INPUTS), make(5, INPUTS), make(5, spread=10), make(5)
    layer = FloatAttention(
        "l", INPUTS, 1, window, query_weights=w, query_bias=b, key_weights=u, score_weights=v
    )
    exact = []
    for t in range(SAMPLES):
        past = X[max(0, t - window + 1) : t + 1].astype(np.float64)
        scores = np.tanh(w.astype(np.float64) @ X[t] + b + past @ u.T) @ v
        weights = np.exp(scores - scores.max())
        exact.append((weights / weights.sum()) @ past)
    assert_same(layer.run(X), np.array(exact))


def test_a_clockwork_layer_is_its_transcription():
    """Koutník et al. 2014, section 3: group i runs when t mod T_i is 0, and sees itself and slower groups; in float64."""
    make, sizes, periods = Floats(9), (4, 3, 2), (1, 2, 8)
    w, r, b = make(9, INPUTS), make(9, 9), make(9)
    ends, h, exact = np.cumsum(sizes), np.zeros(9), []
    for t, x in enumerate(X.astype(np.float64)):
        new = h.copy()
        for size, end, period in zip(sizes, ends, periods, strict=True):
            if t % period == 0:
                first = end - size
                new[first:end] = np.tanh(w[first:end] @ x + r[first:end, first:] @ h[first:] + b[first:end])
        h = new
        exact.append(h)
    assert_same(FloatClockwork("l", w, r, b, sizes, periods).run(X), np.array(exact))


def test_masked_runs_are_the_transcription_of_each():
    """Gal and Ghahramani 2016, section 4: the same masks on inputs and on the past at every sample; in float64."""
    make = Floats(10)
    w, r, b, head = make(24, INPUTS), make(24, 6), make(24), make(2, 6)
    cell, dense = FloatLstm("c", w, r, b), FloatDense("d", head, np.zeros(2, np.float32))
    layer, found = variational("l", (cell, dense), 5, 0.25, seed=3), []
    masks = np.split(layer.masks / 0.75, np.cumsum([INPUTS, 6]), axis=1)
    for of_input, of_past, of_head in zip(*masks, strict=True):
        h, c, y = np.zeros(6), np.zeros(6), []
        for x in X.astype(np.float64):
            i, f, g, o = np.split(w @ (x * of_input) + r @ (h * of_past) + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            y.append(head @ (h * of_head))
        found.append(y)
    exact = np.concatenate([np.mean(found, axis=0), np.std(found, axis=0)], axis=1)
    assert (exact[:, 2:] > 0).any()
    assert_same(layer.run(X), exact)


@pytest.mark.torch
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolutional_lstm_is_its_transcription(kernel):
    """Shi et al. 2015, equation 3 without peephole connections, its convolutions by torch, in float64."""
    torch = pytest.importorskip("torch")
    make, rows, columns, values, filters = Floats(11), 5, 4, 2, 3
    w, r = make(4 * filters, kernel, kernel, values), make(4 * filters, kernel, kernel, filters)
    bias = make(4 * filters)
    x = np.random.default_rng(3).normal(0, 1, (SAMPLES, rows * columns * values)).astype(np.float32)

    def convolved(grid, weights):
        first = torch.from_numpy(grid.transpose(2, 0, 1)[None])
        kernels = torch.from_numpy(weights.astype(np.float64).transpose(0, 3, 1, 2).copy())
        return torch.nn.functional.conv2d(first, kernels, padding=kernel // 2)[0].numpy().transpose(1, 2, 0)

    h = c = np.zeros((rows, columns, filters))
    exact = []
    for sample in x.astype(np.float64):
        z = convolved(sample.reshape(rows, columns, values), w) + convolved(h, r) + bias
        i, f, g, o = np.split(z, 4, axis=2)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        exact.append(h.ravel())
    assert_same(FloatConvLstm("l", w, r, bias, rows, columns).run(x), np.array(exact))
