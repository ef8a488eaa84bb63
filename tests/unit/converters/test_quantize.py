"""The integers stand for the floats they were made from."""

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm.reference.fixed_point import mulr, saturate32
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLstm, FloatModel
from edgelstm_converters.quantize import GATE_SCALE, Vector, _product, quantize_channels


def rows(rng, *shape):
    return rng.normal(0, 0.4, shape).astype(np.float32)


def evaluate(product, q):
    """What `docs/arithmetic.md` says a row product is."""
    result = product.bias.astype(np.int64)
    blocks = len(product.multipliers)
    for block in range(blocks):
        first = 512 * block
        end = product.columns if block == blocks - 1 else first + 512
        acc = product.weights[:, first:end].astype(np.int64) @ q[first:end]
        result = result + mulr(
            saturate32(acc << product.shifts[block]), product.multipliers[block].astype(np.int64)
        )
    return result


@pytest.mark.parametrize("columns", [1, 5, 300, 700, 1300])
@pytest.mark.parametrize("spread", [1e-4, 1.0, 30.0])
def test_a_row_product_is_close_to_its_float_original(columns, spread):
    rng = np.random.default_rng(columns)
    weights = (rng.normal(0, spread, (6, columns)) / np.sqrt(columns)).astype(np.float32)
    weights[2] = 0.0
    bias = rng.normal(0, spread, 6).astype(np.float32)
    source = Vector(np.full(columns, 2.0**-12), rng.normal(0, 1, columns))
    q = rng.integers(-32768, 32768, columns)
    found = evaluate(_product("layer", weights, bias, source, GATE_SCALE), q) / GATE_SCALE
    exact = weights.astype(np.float64) @ (source.offset + source.step * q) + bias
    step = np.abs(weights * source.step).max(axis=1) / 127  # of a weight, times the most that an input can be
    assert (
        np.abs(found - exact) <= 0.5 * step * np.abs(q).sum() + 3 / GATE_SCALE + 1e-7 * np.abs(exact)
    ).all()
    assert found[2] == np.rint((bias[2]) * GATE_SCALE) / GATE_SCALE


def test_wide_rows_are_split_only_where_they_have_to_be():
    source = Vector(np.ones(1300), np.zeros(1300))
    thin = np.zeros((2, 1300), np.float32)
    thin[:, :10] = 0.001
    assert len(_product("a", thin, np.zeros(2, np.float32), source, 1.0).multipliers) == 1
    full = np.full((2, 1300), 0.001, np.float32)
    assert len(_product("a", full, np.zeros(2, np.float32), source, 1.0).multipliers) == 3


def test_channels_have_headroom_and_constant_ones_are_allowed():
    x = np.array([[0.0, 5.0, 1000.0], [10.0, 5.0, 1001.0]], np.float32)
    wide, constant, offset = quantize_channels(("a", "b", "c"), ("", "", "l/min"), x)
    assert wide.offset == 5.0
    assert 2 * 5.0 <= 32767 / wide.gain < 4 * 5.0 + 1e-3
    assert constant.offset == 5.0
    assert 32767 / constant.gain >= 5.0
    assert offset.offset == 1000.5
    assert offset.unit == "l/min"


def test_values_that_do_not_fit_are_refused_by_layer():
    with pytest.raises(ConversionError, match='layer "fc": the bias of row 0'):
        _product(
            "fc",
            np.ones((1, 1), np.float32),
            np.array([1e9], np.float32),
            Vector(np.ones(1), np.zeros(1)),
            GATE_SCALE,
        )
    with pytest.raises(ConversionError, match='layer "fc": the weights of row 0'):
        _product(
            "fc",
            np.full((1, 1), 1e20, np.float32),
            np.zeros(1, np.float32),
            Vector(np.ones(1), np.zeros(1)),
            1e3,
        )


def random_layers(rng, inputs):
    yield FloatLstm("lstm", rows(rng, 48, inputs), rows(rng, 48, 12), rows(rng, 48))
    yield FloatGru("after", rows(rng, 30, 12), rows(rng, 30, 10), rows(rng, 30), rows(rng, 30))
    yield FloatGru(
        "before", rows(rng, 24, 10), rows(rng, 24, 8), rows(rng, 24), rows(rng, 24), reset_after=False
    )
    yield FloatDense("relu", rows(rng, 9, 8), rows(rng, 9), "relu")
    yield FloatDense("tanh", rows(rng, 7, 9), rows(rng, 7), "tanh")
    yield FloatDense("head", rows(rng, 3, 7), rows(rng, 3))


@pytest.mark.parametrize("layers", range(1, 7))
def test_a_chain_of_every_layer_follows_its_float_original(layers, monkeypatch):
    """Quantised, streamed by the kernels, and compared with the float path after each layer."""
    rng = np.random.default_rng(3)
    model = FloatModel(3, tuple(random_layers(rng, 3))[:layers])
    x = np.cumsum(rng.normal(0, 0.2, (1500, 3)), axis=0).astype(np.float32) * 0.1
    monkeypatch.setattr(
        "edgelstm_converters.readers.read", lambda *_, **__: type("R", (), {"model": model, "proof": ""})
    )
    conversion = convert_with_report(object(), calibration=x)
    found, exact = LoadedModel(conversion.model).stream().run(x), model.run(x)
    assert np.sqrt(np.square(found - exact).mean()) < 0.01
    assert conversion.model.provenance.layers[0].snr_db > 30
