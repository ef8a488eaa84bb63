"""Encoders and decoders against PyTorch and against a package's own code, and how many symbols int8 changes."""

from unittest import mock

import numpy as np
import pytest
from float_layer_cases import Floats, assert_same
from phoneme_cases import installed, letters_of, listed, pronounced, written

from edgelstm import model_file
from edgelstm.errors import ConversionError
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.gate_order import reorder
from edgelstm_converters.layers import (
    FloatDense,
    FloatEmbedding,
    FloatGru,
    FloatLstm,
    FloatRnn,
    encoder_decoder,
)
from edgelstm_converters.readers import Reading

UNITS, SYMBOLS, END, START = 24, 11, 0, 1


def parts_of(module, layer=0):
    found = {name: value.detach().numpy() for name, value in module.named_parameters()}
    return [found[f"{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def lstm(name, module, layer=0):
    w, r, b, c = parts_of(module, layer)
    return FloatLstm(name, w, r, b + c)


def gru(name, module, layer=0):
    return FloatGru(name, *(reorder(part, "run", "run") for part in parts_of(module, layer)))


def dense(name, module):
    return FloatDense(name, module.weight.detach().numpy(), module.bias.detach().numpy())


def converted(layers, x):
    model = FloatModel(x.shape[1], layers)
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")):
        return model, convert_with_report(object(), calibration=x)


def sentences(seed, count):
    """Symbols other than the one that ends, and that one behind every few of them."""
    rng = np.random.default_rng(seed)
    return [[*rng.integers(2, SYMBOLS, rng.integers(1, 9)).tolist(), END] for _ in range(count)]


def samples_of(found):
    return np.concatenate(found).astype(np.float32)[:, None]


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_sentences_are_decoded_as_by_torch(kind):
    """Two layers; argmax fed back through an embedding, until the symbol that ends."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    recurrent, made = {"lstm": (torch.nn.LSTM, lstm), "gru": (torch.nn.GRU, gru)}[kind]
    read, spoken = torch.nn.Embedding(SYMBOLS, 8), torch.nn.Embedding(SYMBOLS, 8)
    encoder, decoder = (recurrent(8, UNITS, 2, batch_first=True) for _ in range(2))
    head = torch.nn.Linear(UNITS, SYMBOLS)
    with torch.no_grad():
        for value in (*encoder.parameters(), *decoder.parameters()):
            value.mul_(8.0)  # so that what is said depends on what was read
        head.bias.zero_()
    layers = encoder_decoder(
        (FloatEmbedding("e", read.weight.detach().numpy()), made("a", encoder), made("b", encoder, 1)),
        (FloatEmbedding("f", spoken.weight.detach().numpy()), made("c", decoder), made("d", decoder, 1), dense("h", head)),
        steps=7, start=np.float32([START]), end=END, ends_with=END,
    )  # fmt: skip
    found, exact = sentences(0, 80), []
    with torch.no_grad():
        for symbols in found:
            _, state = encoder(read(torch.tensor([symbols])))
            given, said = START, []
            while len(said) < 7 and (not said or said[-1] != END):
                y, state = decoder(spoken(torch.tensor([[given]])), state)
                said.append(given := int(head(y[0, -1]).argmax()))
            exact.append(said + [END] * (7 - len(said)))
    x = samples_of(found)
    ends = np.flatnonzero(x[:, 0] == END)
    model, conversion = converted(layers, x)
    np.testing.assert_array_equal(model.run(x)[ends], exact)
    assert len(np.unique(exact, axis=0)) > 20
    assert (np.array(exact) == END).any()
    y = LoadedModel(conversion.model).stream().run(x)
    assert (y[ends] != exact).any(axis=1).mean() < 0.1
    np.testing.assert_array_equal(y[ends[3] : ends[4]], np.tile(y[ends[3]], (ends[4] - ends[3], 1)))  # held


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_values_are_decoded_as_by_torch(kind):
    """The forecast of the next five samples from the last twelve, each forecast given to the next step."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)
    recurrent, made = {"lstm": (torch.nn.LSTM, lstm), "gru": (torch.nn.GRU, gru)}[kind]
    encoder, decoder = (recurrent(3, UNITS, batch_first=True) for _ in range(2))
    head = torch.nn.Linear(UNITS, 3)
    layers = encoder_decoder(
        (made("a", encoder),), (made("c", decoder), dense("h", head)),
        steps=5, start=np.float32([0.1, 0, -0.2]), symbols=False, window=12, hop=4,
    )  # fmt: skip
    x = np.random.default_rng(0).normal(0, 1, (400, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, 12, axis=0).transpose(0, 2, 1)[::4].copy()
    with torch.no_grad():
        _, state = encoder(torch.from_numpy(windows))
        given, exact = torch.tensor([0.1, 0, -0.2]).expand(len(windows), 1, 3), []
        for _ in range(5):
            y, state = decoder(given, state)
            given = head(y)
            exact.append(given[:, 0].numpy())
    model, conversion = converted(layers, x)
    exact = np.concatenate(exact, axis=1)
    assert_same(model.run(x)[11::4], exact)
    y = LoadedModel(conversion.model).stream().run(x)
    assert 10 * np.log10(exact.var() / np.square(y[11::4] - exact).mean()) > 30
    np.testing.assert_array_equal(y[12:15], y[[11, 11, 11]])


def test_words_become_phonemes(tmp_path):
    """g2p-en, from its own NPZ file: calibrated on 21 words of its list, tried on 124 others."""
    if not installed():
        pytest.skip("g2p_en is not installed")
    path, words = written(tmp_path), listed()
    seen, others = words[::18], words[1::3]
    calibration, x = (letters_of(some) for some in (seen, others))
    found = convert_with_report(path, calibration=calibration, architecture=tmp_path / "g2p.toml")
    exact, ends = pronounced(others), np.flatnonzero(x[:, 0] == 2)
    np.testing.assert_array_equal(found.float_model.run(x)[ends], exact)
    model_file.save(found.model, tmp_path / "g2p.elstm")
    loaded = LoadedModel(model_file.load(tmp_path / "g2p.elstm"))
    y = loaded.stream().run(x)[ends]
    assert len(others) > 100 and not set(seen) & set(others)
    assert (y != exact).any(axis=1).sum() <= len(others) // 50, "one word in fifty"


def test_chains_that_do_not_fit_are_refused():
    make = Floats(0)
    gru_of = lambda name, i: FloatGru(name, make(36, i), make(36, 12), make(36), make(36))  # noqa: E731
    encoder, head = (gru_of("a", 1),), FloatDense("h", make(4, 12), make(4))
    decoder, options = (gru_of("c", 1), head), {"steps": 3, "start": np.zeros(1, np.float32)}
    for changes, message in (
        ({}, "an encoder ends either with a symbol or with its window"),
        ({"ends_with": 0, "window": 4}, "an encoder ends either with a symbol or with its window"),
        ({"ends_with": 0, "decoder": (head,)}, "the encoder has 1 recurrent layers, the decoder 0"),
        (
            {"ends_with": 0, "encoder": (gru_of("a", 2),)},
            "a symbol ends sequences of one channel, but .* reads 2",
        ),
        (
            {"ends_with": 0, "encoder": (FloatRnn("a", make(5, 1), make(5, 5), make(5)),)},
            "the recurrent layers of encoder and decoder differ in size or kind",
        ),
    ):
        with pytest.raises(ConversionError, match=message):
            encoder_decoder(**{"encoder": encoder, "decoder": decoder, **options, **changes})
