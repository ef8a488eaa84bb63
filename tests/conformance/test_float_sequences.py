"""The float path of layers over windows, with attention, clocks, masks or grids, against PyTorch or a transcription in float64."""

from dataclasses import replace

import numpy as np
import pytest
from float_layer_cases import Floats, assert_same

from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import (
    FloatAttention,
    FloatClockwork,
    FloatConcat,
    FloatConvLstm,
    FloatDense,
    FloatLstm,
    FloatPool,
    FloatWindow,
    bidirectional,
    variational,
)

SAMPLES, INPUTS = 1200, 3
X = np.random.default_rng(11).normal(0, 1, (SAMPLES, INPUTS)).astype(np.float32)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


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
