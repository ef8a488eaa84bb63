"""Arrays without a network, and the file that says what they are."""

import json

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm_converters import readers
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLstm
from edgelstm_converters.gate_order import reorder

I, H, O = 3, 5, 2  # noqa: E741


def normal(name, *shape):
    """Return an array, random by its name and shape alone, so that no test depends on which ones ran before it."""
    return np.random.default_rng([6, *name.encode(), *shape]).normal(size=shape)


X = normal("samples", 30, I).astype(np.float32)
TOML = """
[[layers]]
kind = "lstm"
name = "rnn"
input_weights = "w"
hidden_weights = "u"
bias = "b"
gates = "igfo"
transposed = true

[[layers]]
kind = "dense"
name = "head"
weights = "m"
activation = "tanh"
"""


def arrays():
    shapes = {"w": (I, 4 * H), "u": (H, 4 * H), "b": (4 * H,), "m": (O, H)}
    return {name: 0.5 * normal(name, *shape).astype(np.float32) for name, shape in shapes.items()}


def written(tmp_path, found, text=TOML, name="net.toml"):
    np.savez(tmp_path / "m.npz", **found)
    (tmp_path / name).write_text(text)
    return {"source": tmp_path / "m.npz", "architecture": tmp_path / name}


def test_arrays_become_the_layers_that_are_said(tmp_path):
    found = arrays()
    reading = readers.read(**written(tmp_path, found))
    parts = [reorder(part, "igfo", "ifgo") for part in (found["w"].T.copy(), found["u"].T.copy(), found["b"])]
    expected = FloatDense("head", found["m"], np.zeros(O, np.float32), "tanh").run(
        FloatLstm("rnn", *parts).run(X)
    )
    np.testing.assert_allclose(reading.model.run(X), expected, atol=1e-6)
    assert reading.proof.startswith("not proved")


@pytest.mark.parametrize("after", [True, False])
def test_json_and_a_gru(tmp_path, after):
    found = {"a": normal("a", 3 * H, I), "b": normal("b", 3 * H, H), "c": normal("c", 3 * H)}
    entry = {
        "kind": "gru",
        "name": "g",
        "input_weights": "a",
        "hidden_weights": "b",
        "hidden_bias": "c",
        "gates": "urn",
        "reset_after": after,
    }
    reading = readers.read(**written(tmp_path, found, json.dumps({"layers": [entry]}), "net.json"))
    w, r, b = (reorder(found[key].astype(np.float32), "urn", "run") for key in "abc")
    expected = FloatGru("g", w, r, np.zeros(3 * H, np.float32), b, after).run(X)
    np.testing.assert_allclose(reading.model.run(X), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("gates", "order"), r'net\.toml: layer "rnn" \(lstm\): Object contains unknown field `order`'),
        (('"igfo"', '"ifgo "'), r'layer "rnn" \(lstm\): gates is "ifgo ", expected the order'),
        (('"u"', '"v"'), r'hidden_weights is "v", but the arrays are w, u, b, m'),
        (
            ('weights = "m"', ""),
            r'net\.toml: layer "head" \(dense\): Object missing required field `weights` - at `\$\.layers\[1\]`',
        ),
        (
            ('kind = "dense"', 'kind = "dens"'),
            r"net\.toml: layer \"head\" \(dens\): Invalid value 'dens' - at `\$\.layers\[1\]\.kind`",
        ),
        (
            ('name = "head"', 'name = "head"\nsources = ["rn"]'),
            r'reads "rn", which is no layer in front of it: .*rnn',
        ),
        (
            ('name = "head"', 'name = "head"\nsources = ["rnn", "rnn"]'),
            r"reads rnn, rnn, expected 1 of sources",
        ),
        (('"rnn"', '"input"'), r'a layer is named "input", as the channels are'),
        (
            ('name = "head"', 'name = "head"\nsources = ["input"]'),
            rf'there are {I} channels but layer "head" takes {H}',
        ),
        (('"tanh"', '"swish"'), r'activation is "swish", expected one of'),
        (('bias = "b"', 'bias = "m"'), rf'bias: "m" has {O * H} numbers, expected {4 * H}'),
        (("transposed = true", ""), r"its matrices have \d+ and \d+ rows"),
        (('"head"', '"rnn"'), r'two layers are named "rnn"'),
        (("[[layers]]", "[layers"), r"net\.toml: "),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    with pytest.raises(ConversionError, match=message) as refused:
        readers.read(**written(tmp_path, arrays(), TOML.replace(*change)))
    assert "\n" not in str(refused.value)


def test_without_an_architecture_the_arrays_are_listed(tmp_path):
    source = written(tmp_path, arrays())["source"]
    with pytest.raises(ConversionError, match="say which is which with --architecture; they are w, u, b, m"):
        readers.read(source)


def test_files_that_are_none(tmp_path):
    places = written(tmp_path, arrays())
    content = places["source"].read_bytes()
    for damaged in (b"", b"PK", content[: len(content) // 2], content[:200] + b"\xff" * 50 + content[250:]):
        places["source"].write_bytes(damaged)
        with pytest.raises(ConversionError, match=r"m\.npz: is (damaged or no NPZ file|empty)"):
            readers.read(**places)


def test_a_pickled_array_is_not_opened(tmp_path):
    places = written(tmp_path, {"w": np.array([print], dtype=object)})
    with pytest.raises(ConversionError, match=r"is damaged or no NPZ file: .*pickle"):
        readers.read(**places)


def test_what_unpacks_to_too_much(tmp_path, monkeypatch):
    from edgelstm_converters.readers import plain_arrays

    monkeypatch.setattr(plain_arrays, "MAX_BYTES", 1000)
    with pytest.raises(ConversionError, match=r"unpacks to \d,\d+ bytes, more than the 1,000 that are read"):
        readers.read(**written(tmp_path, arrays()))


def refusal(tmp_path, shapes, **entry):
    """What is said of one layer of arrays of such shapes, behind three channels."""
    text = json.dumps({"layers": [{"name": "l"} | entry], "inputs": I})
    found = {name: normal(name, *shape) for name, shape in shapes.items()}
    with pytest.raises(ConversionError) as refused:
        readers.read(**written(tmp_path, found, text, "net.json"))
    assert "\n" not in str(refused.value)
    return str(refused.value).split("m.npz: ")[1]


ATTENTION = {"kind": "attention", "window": 8}
GRID = {"kind": "conv_lstm", "rows": 3, "columns": 1, "gates": "ifgo"}
CLOCKWORK = {
    "kind": "clockwork",
    "input_weights": "w",
    "hidden_weights": "r",
    "sizes": [2, 3],
    "periods": [1, 4],
}
CLOCKS = {"w": (H, I), "r": (H, H)}
REFUSED = {
    "rows of three": (
        {"p": (10, I)}, ATTENTION | {"weights": "p"},
        "weights have 10 rows, expected as many of queries, keys and values",
    ),
    "columns": ({"p": (9, 4)}, ATTENTION | {"weights": "p"}, "its query weights read 4 values, but its source gives 3"),
    "queries and keys": (
        {"q": (4, I), "k": (6, I)}, ATTENTION | {"query_weights": "q", "key_weights": "k"},
        "its queries have 4 values, its keys 6: expected as many",
    ),
    "heads": ({"p": (12, I)}, ATTENTION | {"weights": "p", "heads": 3}, "4 values of its keys are no 3 heads"),
    "both": (
        {"p": (9, I)}, ATTENTION | {"weights": "p", "key_weights": "p"},
        "weights are those of queries, keys and values together: leave query_weights, key_weights, value_weights out",
    ),
    "a bias of nothing": ({"b": (3,)}, ATTENTION | {"key_bias": "b"}, "key_bias belongs to weights, which are missing"),
    "additive": (
        {"v": (3,)}, ATTENTION | {"score_weights": "v"},
        "score_weights make it additive, which needs query_weights and key_weights",
    ),
    "additive scale": (
        {"v": (3,)}, ATTENTION | {"score_weights": "v", "scale": 1.0},
        "score_weights make it additive, which has one head and no scale",
    ),
    "projection": (
        {"p": (9, I), "o": (3, 5)}, ATTENTION | {"weights": "p", "output_weights": "o"},
        "output_weights read 5 values, but its heads give 3",
    ),
    "a bias behind nothing": (
        {"b": (3,)}, ATTENTION | {"output_bias": "b"}, "output_bias belongs to output_weights, which is missing",
    ),
    "pixels": (
        {"w": (8, 2, 3, 3), "r": (8, 2, 3, 3)}, GRID | {"input_weights": "w", "hidden_weights": "r"},
        "its source gives 3 values, expected 3 x 1 pixels of 2",
    ),
    "kernels": (
        {"w": (8, 1, 3, 3), "r": (8, 2, 5, 5)}, GRID | {"input_weights": "w", "hidden_weights": "r"},
        "its kernels are 3 x 3 and 5 x 5, expected the same odd square",
    ),
    "filters": (
        {"w": (8, 1, 3, 3), "r": (8, 3, 3, 3)}, GRID | {"input_weights": "w", "hidden_weights": "r"},
        "input_weights give 8 values, expected 4 gates of 3",
    ),
    "one convolution": (
        {"w": (8, 2, 3, 3)}, GRID | {"weights": "w"},
        "weights read 2 values and give 8, expected inputs and filters, and 4 filters",
    ),
    "a matrix for a kernel": (
        {"w": (8, 3)}, GRID | {"weights": "w"},
        'weights: "w" has shape (8, 3), expected (4 filters, values, k, k)',
    ),
    "no kernels": ({"w": (8, 3)}, GRID, "input_weights is missing"),
    "sizes": (CLOCKS, CLOCKWORK | {"sizes": [2, 2]}, "sizes are [2, 2], 4 units, expected 5"),
    "periods": (
        CLOCKS, CLOCKWORK | {"periods": [4, 1]},
        "periods are [4, 1], expected one for each of 2 groups, the fastest first",
    ),
    "no grid": (
        {"w": (2, I)}, {"kind": "dense", "weights": "w", "grid": [2, 2]},
        "its weights read 3 values, which are no grid of 2 x 2",
    ),
    "taps": (
        {"w": (2, I)}, {"kind": "conv1d", "weights": "w"},
        'weights: "w" has shape (2, 3), expected (outputs, inputs, taps)',
    ),
    "one to add": ({}, {"kind": "add"}, "reads input, expected 2 to 16 of sources"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_shapes_that_do_not_fit_are_named(tmp_path, case):
    shapes, entry, message = REFUSED[case]
    assert refusal(tmp_path, shapes, **entry) == f'layer "l" ({entry["kind"]}): {message}'


def test_a_window_out_of_bounds_is_named_by_its_place(tmp_path):
    said = refusal(tmp_path, {}, kind="attention", window=0)
    assert said.endswith('net.json: layer "l" (attention): Expected `int` >= 1 - at `$.layers[0].window`')


def test_channels_that_nothing_counts(tmp_path):
    places = written(tmp_path, arrays(), '[[layers]]\nkind = "pool"\nname = "p"\nwindow = 3\nmode = "max"\n')
    with pytest.raises(ConversionError, match=r'layer "p" \(pool\): reads the channels, .* add inputs = N'):
        readers.read(**places)


def test_convolution_pooling_and_two_branches(tmp_path):
    """Causal convolution as Keras and as PyTorch store it, pooling, and both branches put together."""
    found = {"w": normal("w", 2, I, 3), "b": normal("b", 2)}
    found["k"] = found["w"].transpose(2, 1, 0)
    conv = {"kind": "conv1d", "bias": "b", "dilation": 2, "activation": "relu", "sources": ["input"]}
    entries = [
        conv | {"name": "torch", "weights": "w"},
        conv | {"name": "keras", "weights": "k", "transposed": True},
        {"kind": "pool", "name": "largest", "window": 4, "mode": "max", "sources": ["input"]},
        {"kind": "concat", "name": "all", "sources": ["torch", "keras", "largest"]},
    ]
    reading = readers.read(**written(tmp_path, found, json.dumps({"layers": entries}), "net.json"))
    y = reading.model.run(X)
    padded = np.concatenate([np.zeros((4, I), np.float32), X])
    exact = [np.einsum("oik,ki->o", found["w"], padded[t : t + 5 : 2]) + found["b"] for t in range(len(X))]
    np.testing.assert_allclose(y[:, :2], np.maximum(exact, 0), atol=1e-5)
    np.testing.assert_array_equal(y[:, 2:4], y[:, :2])
    np.testing.assert_array_equal(y[:, 4:], [X[max(t - 3, 0) : t + 1].max(axis=0) for t in range(len(X))])


def test_a_decoder_stands_behind_a_chain_only(tmp_path):
    entries = [{"kind": "embedding", "name": "e", "weights": "m"}, ATTENTION | {"name": "a"}]
    decoder = {"ends_with": 1, "start": 1, "end": 1, "steps": 2, "layers": entries[:1]}
    places = written(tmp_path, arrays(), json.dumps({"layers": entries, "decoder": decoder}), "net.json")
    with pytest.raises(
        ConversionError, match=r'layer "a" \(attention\): a decoder, and what stands in front'
    ):
        readers.read(**places)


def test_an_order_of_gates_that_is_missing_says_what_it_may_be(tmp_path):
    """With the name of the layer, whose number alone says little."""
    with pytest.raises(ConversionError) as refused:
        readers.read(**written(tmp_path, arrays(), TOML.replace('gates = "igfo"', "")))
    assert 'net.toml: layer "rnn" (lstm): Object missing required field `gates`' in str(refused.value)
    assert "PyTorch and Keras stack the rows of an LSTM ifgo" in str(refused.value)


CLOCK = """
[[layers]]
kind = "clockwork"
name = "clock"
input_weights = "w"
hidden_weights = "r"
sizes = [2, 4]
periods = [1, 3]
"""


def test_weights_that_a_clockwork_layer_does_not_look_at_are_counted(tmp_path):
    hidden = normal("past", 6, 6).astype(np.float32)
    proofs = []
    for _ in range(2):
        inputs = normal("clockwork", 6, I).astype(np.float32)
        proofs.append(readers.read(**written(tmp_path, {"w": inputs, "r": hidden}, CLOCK)).proof)
        hidden[2:, :2] = 0.0
    assert proofs[0].endswith('; left out: 8 weights with which groups of "clock" would see faster ones')
    assert "left out" not in proofs[1]
