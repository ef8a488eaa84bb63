"""Families that no exporter's graph holds go in by their arrays and an architecture file: modules of PyTorch and transcriptions.

The float path is within 1e-5 of the source, 1e-4 after a thousand samples; the int8 model is made by the command.
"""

import numpy as np
import pytest
from float_layer_cases import Floats, assert_same

import edgelstm
from edgelstm.cli import main
from edgelstm_converters import readers

SAMPLES = 1100


def text(*entries, **top):
    """The TOML of layers, each a dictionary, and of what stands before them."""

    def line(key, value):
        shown = {bool: str(value).lower(), str: f'"{value}"'}.get(type(value), str(value))
        return f"{key} = {shown}\n"

    def block(heading, values):
        return heading + "".join(line(key, value) for key, value in values.items())

    return block("", top) + "".join(block("[[layers]]\n", entry) for entry in entries)


def signal(inputs, samples=SAMPLES):
    return np.random.default_rng(3).normal(0, 1, (samples, inputs)).astype(np.float32)


def written(folder, arrays, toml, suffix=".npz"):
    """Write weights and architecture; return what a reader is asked."""
    path = folder / f"net{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        import torch

        torch.save(arrays, path)
    (folder / "net.toml").write_text(toml)
    return {"source": path, "architecture": folder / "net.toml"}


def commanded(folder, places, x, *options):
    """Convert by the command; return the model."""
    np.savez(folder / "x.npz", time=np.arange(len(x)) * 10**9, values=x)
    rows = "\n".join(",".join(map(str, (t, *row))) for t, row in enumerate(x))
    names = ",".join(f"c{n}" for n in range(x.shape[1]))
    (folder / "x.csv").write_text(f"time,{names}\n{rows}\n")
    arguments = [places["source"], "--architecture", places["architecture"], "--calibrate", folder / "x.csv"]
    assert main(["convert", *map(str, arguments), "-o", str(folder / "net.elstm"), *options]) == 0
    return edgelstm.load(folder / "net.elstm")


def assert_close_in_int8(model, x, exact, least_db=30.0):
    y = model.stream().run(x)
    noise = np.square(y - exact).mean(axis=0)
    assert (10 * np.log10(exact.var(axis=0) / noise)).min() > least_db


@pytest.mark.torch
def test_an_lstm_with_normalised_gates_written_in_torch(tmp_path):
    """A cell that normalises what each of its gates reads by a LayerNorm of its own."""
    import torch

    class Cell(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.both, self.norms = (
                torch.nn.Linear(3 + 8, 32),
                torch.nn.ModuleList(torch.nn.LayerNorm(8, 1e-3) for _ in range(4)),
            )

        def forward(self, x):
            h = c = torch.zeros(8)
            rows = []
            for sample in x:
                z = self.both(torch.cat([sample, h])).chunk(4)
                i, f, o, g = (norm(part) for norm, part in zip(self.norms, z, strict=True))
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                rows.append(h)
            return torch.stack(rows)

    torch.manual_seed(0)
    cell, x = Cell(), signal(3)
    with torch.no_grad():
        for norm in cell.norms:
            norm.weight.normal_(1.0, 0.3)
            norm.bias.normal_(0.0, 0.5)
        exact = cell(torch.from_numpy(x)).numpy()
    w = cell.both.weight.detach().numpy()
    arrays = {
        "w": w[:, :3], "r": w[:, 3:], "b": cell.both.bias.detach().numpy(),
        "gamma": np.concatenate([norm.weight.detach().numpy() for norm in cell.norms]),
        "beta": np.concatenate([norm.bias.detach().numpy() for norm in cell.norms]),
    }  # fmt: skip
    entry = {
        "kind": "lstm", "name": "rnn", "input_weights": "w", "hidden_weights": "r", "bias": "b", "gates": "ifog",
        "norm_weights": "gamma", "norm_bias": "beta", "epsilon": 1e-3,
    }  # fmt: skip
    places = written(tmp_path, arrays, text(entry))
    found = readers.read(**places).model.run(x)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)
    assert_close_in_int8(commanded(tmp_path, places, x), x, exact)


@pytest.mark.torch
@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_an_lstm_and_causal_self_attention_of_torch(tmp_path, suffix):
    """LSTM, `MultiheadAttention` over the last samples, a residual connection, layer normalisation, a linear layer."""
    torch = pytest.importorskip("torch")

    class Hybrid(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = torch.nn.LSTM(3, 12, batch_first=True)
            self.attention = torch.nn.MultiheadAttention(12, 3, batch_first=True)
            self.norm = torch.nn.LayerNorm(12)
            self.head = torch.nn.Linear(12, 2)

        def forward(self, x, window=24):
            h, _ = self.rnn(x)
            t = torch.arange(x.shape[1])
            age = t[:, None] - t
            found, _ = self.attention(h, h, h, attn_mask=(age < 0) | (age >= window), need_weights=False)
            return self.head(self.norm(h + found))

    torch.manual_seed(4)
    module, x = Hybrid().eval(), signal(3)
    for bias in (module.attention.in_proj_bias, module.attention.out_proj.bias):
        torch.nn.init.normal_(bias, std=0.3)
    toml = text(
        {"kind": "lstm", "name": "rnn", "input_weights": "rnn.weight_ih_l0", "hidden_weights": "rnn.weight_hh_l0",
         "input_bias": "rnn.bias_ih_l0", "hidden_bias": "rnn.bias_hh_l0", "gates": "ifgo"},
        {"kind": "attention", "name": "attention", "window": 24, "heads": 3, "weights": "attention.in_proj_weight",
         "bias": "attention.in_proj_bias", "output_weights": "attention.out_proj.weight",
         "output_bias": "attention.out_proj.bias"},
        {"kind": "add", "name": "sum", "sources": ["rnn", "attention"]},
        {"kind": "normalization", "name": "norm", "weights": "norm.weight", "bias": "norm.bias"},
        {"kind": "dense", "name": "head", "weights": "head.weight", "bias": "head.bias"},
    )  # fmt: skip
    state = module.state_dict()
    arrays = state if suffix == ".pt" else {name: value.numpy() for name, value in state.items()}
    places = written(tmp_path, arrays, toml, suffix)
    with torch.no_grad():
        exact = module(torch.from_numpy(x)[None])[0].numpy()
    assert_same(readers.read(**places).model.run(x), exact)
    assert_close_in_int8(commanded(tmp_path, places, x, "--outputs", "a,b"), x, exact)


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


@pytest.mark.parametrize("additive", [False, True])
def test_attention_of_a_query_over_past_states_is_its_transcription(tmp_path, additive):
    """Luong et al. 2015, equations 7 and 8, or Bahdanau et al. 2015, appendix A.1.2, over the last 16 states, in float64."""
    make, x = Floats(8), signal(3)
    arrays = {
        "w": make(10, 3),
        "r": make(10, 10),
        "b": make(10),
        "q": make(6, 10),
        "k": make(6, 10),
        "v": make(6),
    }
    rnn = {"kind": "rnn", "name": "h", "input_weights": "w", "hidden_weights": "r", "bias": "b"}
    said = {"score_weights": "v", "query_weights": "q", "key_weights": "k"} if additive else {"scale": 1.0}
    places = written(
        tmp_path, arrays, text(rnn, {"kind": "attention", "name": "context", "window": 16, **said})
    )
    a = {name: value.astype(np.float64) for name, value in arrays.items()}
    h, states, exact = np.zeros(10), [], []
    for row in x:
        h = np.tanh(a["w"] @ row + a["r"] @ h + a["b"])
        states = [*states, h][-16:]
        if additive:
            scores = [a["v"] @ np.tanh(a["q"] @ h + a["k"] @ past) for past in states]
        else:
            scores = [h @ past for past in states]
        exact.append(softmax(np.array(scores)) @ states)
    assert_same(readers.read(**places).model.run(x), np.array(exact))
    assert_close_in_int8(commanded(tmp_path, places, x), x, np.array(exact))


def test_heads_of_keras_are_those_of_torch(tmp_path):
    """Keras keeps heads on an axis of their own; the same numbers laid out both ways are the same layer."""
    make, x = Floats(9), signal(8, 60)
    q, k, v = (make(6, 8) for _ in range(3))
    o, bias = make(8, 6), make(18)
    packed = {"all": np.concatenate([q, k, v]), "bias": bias, "o": o}
    entry = {"kind": "attention", "name": "a", "window": 9, "heads": 2, "output_weights": "o"}
    torch_like = readers.read(**written(tmp_path, packed, text(entry | {"weights": "all", "bias": "bias"})))
    expected = torch_like.model.run(x)
    apart = {name: part.T.reshape(8, 2, 3) for name, part in zip("qkv", (q, k, v), strict=True)}
    apart |= {f"b{name}": part.reshape(2, 3) for name, part in zip("qkv", np.split(bias, 3), strict=True)}
    names = {f"{part}_weights": part[0] for part in ("query", "key", "value")}
    names |= {f"{part}_bias": f"b{part[0]}" for part in ("query", "key", "value")}
    arrays = apart | {"o": o.T.reshape(2, 3, 8)}
    keras_like = readers.read(**written(tmp_path, arrays, text(entry | names | {"transposed": True})))
    np.testing.assert_array_equal(keras_like.model.run(x), expected)


@pytest.mark.torch
def test_a_convolutional_lstm_written_in_torch(tmp_path):
    """Shi et al. 2015 as PyTorch modules spell it: one convolution over input and past, gates i f o g, then flattened."""
    torch = pytest.importorskip("torch")
    rows, columns, filters = 5, 4, 3
    torch.manual_seed(2)
    cell = torch.nn.Conv2d(1 + filters, 4 * filters, 3, padding=1)
    head = torch.nn.Linear(filters * rows * columns, 2)
    x, exact = signal(rows * columns), []
    with torch.no_grad():
        h = c = torch.zeros(1, filters, rows, columns)
        for frame in torch.from_numpy(x).reshape(-1, 1, 1, rows, columns):
            i, f, o, g = cell(torch.cat([frame, h], 1)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            exact.append(head(h.flatten()).numpy())
    arrays = {f"cell.{name}": value for name, value in cell.state_dict().items()}
    arrays |= {f"head.{name}": value for name, value in head.state_dict().items()}
    toml = text(
        {"kind": "conv_lstm", "name": "grid", "rows": rows, "columns": columns, "weights": "cell.weight",
         "bias": "cell.bias", "gates": "ifog"},
        {"kind": "dense", "name": "head", "weights": "head.weight", "bias": "head.bias", "grid": [rows, columns]},
    )  # fmt: skip
    places = written(tmp_path, arrays, toml, ".pt")
    assert_same(readers.read(**places).model.run(x), np.array(exact))
    assert_close_in_int8(commanded(tmp_path, places, x), x, np.array(exact))


def test_a_convolutional_lstm_stored_as_keras_does(tmp_path):
    """The kernels of `ConvLSTM2D` are (k, k, values, 4 filters), channels last."""
    make, x = Floats(3), signal(12 * 2, 50)
    kernel, past, bias = make(3, 3, 2, 8, spread=0.5), make(3, 3, 2, 8, spread=0.5), make(8)
    entry = {"kind": "conv_lstm", "name": "grid", "rows": 3, "columns": 4, "input_weights": "k",
             "hidden_weights": "r", "bias": "b", "gates": "ifgo"}  # fmt: skip
    keras = written(tmp_path, {"k": kernel, "r": past, "b": bias}, text(entry | {"transposed": True}))
    found = readers.read(**keras).model.run(x)
    other = {"k": kernel.transpose(3, 2, 0, 1), "r": past.transpose(3, 2, 0, 1), "b": bias}
    np.testing.assert_array_equal(readers.read(**written(tmp_path, other, text(entry))).model.run(x), found)
    assert found.shape == (50, 24) and np.abs(found).max() > 0.1


def clockwork(make):
    arrays = {"w": make(9, 3), "r": make(9, 9, spread=0.7), "b": make(9), "m": make(2, 9)}
    entries = (
        {"kind": "clockwork", "name": "clock", "input_weights": "w", "hidden_weights": "r", "bias": "b",
         "sizes": [4, 3, 2], "periods": [1, 2, 8]},
        {"kind": "dense", "name": "head", "weights": "m"},
    )  # fmt: skip
    return arrays, entries


def test_a_clockwork_layer_is_its_transcription(tmp_path):
    """Koutník et al. 2014, equations 1 and 2 with figure 2: a group sees itself and slower ones, and holds between its ticks."""
    arrays, entries = clockwork(Floats(1))
    x, places = signal(3), written(tmp_path, arrays, text(*entries))
    group = np.repeat([0, 1, 2], [4, 3, 2])
    seen = np.where(group[:, None] <= group, arrays["r"], 0.0).astype(np.float64)
    h, exact = np.zeros(9), []
    for t, row in enumerate(x.astype(np.float64)):
        ticks = t % np.array([1, 2, 8])[group] == 0
        h = np.where(ticks, np.tanh(arrays["w"] @ row + seen @ h + arrays["b"]), h)
        exact.append(arrays["m"] @ h)
    assert_same(readers.read(**places).model.run(x), np.array(exact))
    assert_close_in_int8(commanded(tmp_path, places, x), x, np.array(exact))


def test_dropout_that_the_file_tells_stays_on_with_uncertainty(tmp_path):
    """Gal and Ghahramani 2016: each run with masks of its own, the same at every sample; the mean and the spread leave."""
    arrays, entries = clockwork(Floats(1))
    x, places = signal(3), written(tmp_path, arrays, text(*entries, dropout=0.25))
    plain = commanded(tmp_path, places, x)
    assert plain.output_names == ("y0", "y1")  # without being asked for, dropout is off
    model = commanded(tmp_path, places, x, "--uncertainty", "6")
    (layer,) = [layer for layer in model.model.layers if layer.kind == "variational"]
    widths = np.cumsum([3, 9])  # masks of the input, of the past, of what the head reads
    of_input, of_past, of_head = np.split(layer.masks.astype(np.float64), widths, axis=1)
    assert 0.1 < 1.0 - layer.masks.mean() < 0.4 and len({mask.tobytes() for mask in layer.masks}) == 6
    group, runs = np.repeat([0, 1, 2], [4, 3, 2]), []
    seen = np.where(group[:, None] <= group, arrays["r"], 0.0)
    for n in range(6):
        h, y = np.zeros(9), []
        for t, row in enumerate(x.astype(np.float64)):
            z = arrays["w"] @ (row * of_input[n]) / 0.75 + seen @ (h * of_past[n]) / 0.75 + arrays["b"]
            h = np.where(t % np.array([1, 2, 8])[group] == 0, np.tanh(z), h)
            y.append(arrays["m"] @ (h * of_head[n]) / 0.75)
        runs.append(y)
    exact = np.concatenate([np.mean(runs, axis=0), np.std(runs, axis=0)], axis=1)
    assert_close_in_int8(model, x, exact, least_db=25.0)
