"""Arrays without a network, and the file that says what they are."""

import json

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm_converters import readers
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLstm
from edgelstm_converters.gate_order import reorder

RNG = np.random.default_rng(6)
I, H, O = 3, 5, 2  # noqa: E741
X = RNG.normal(size=(30, I)).astype(np.float32)
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
    return {name: RNG.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


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
    found = {"a": RNG.normal(size=(3 * H, I)), "b": RNG.normal(size=(3 * H, H)), "c": RNG.normal(size=3 * H)}
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
        (("gates", "order"), r"net\.toml: Object contains unknown field `order`"),
        (('"igfo"', '"ifgo "'), r'layer "rnn" \(lstm\): gates is "ifgo ", expected the order'),
        (('"u"', '"v"'), r'hidden_weights is "v", but the arrays are w, u, b, m'),
        (('weights = "m"', ""), r'layer "head" \(dense\): weights is missing'),
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
        with pytest.raises(ConversionError, match=r"m\.npz: is damaged or no NPZ file"):
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
