"""The integers stand for the floats they were made from."""

from unittest import mock

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm.model import Model, Output
from edgelstm.reference.fixed_point import mulr, saturate32
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLstm, FloatModel
from edgelstm_converters.quantize import (
    GATE_SCALE,
    Vector,
    quantize_channels,
    row_product,
    vector_of,
)
from edgelstm_converters.readers import Reading


def rows(rng, *shape):
    return rng.normal(0, 0.4, shape).astype(np.float32)


def convert_from(model, x):
    """Convert layers that come from no file."""
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")):
        return convert_with_report(object(), calibration=x)


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
    found = evaluate(row_product("layer", weights, bias, source, GATE_SCALE), q) / GATE_SCALE
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
    assert len(row_product("a", thin, np.zeros(2, np.float32), source, 1.0).multipliers) == 1
    full = np.full((2, 1300), 0.001, np.float32)
    assert len(row_product("a", full, np.zeros(2, np.float32), source, 1.0).multipliers) == 3


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
        row_product(
            "fc",
            np.ones((1, 1), np.float32),
            np.array([1e9], np.float32),
            Vector(np.ones(1), np.zeros(1)),
            GATE_SCALE,
        )
    with pytest.raises(ConversionError, match='layer "fc": the weights of row 0'):
        row_product(
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
def test_a_chain_of_every_layer_follows_its_float_original(layers):
    """Quantised, streamed by the kernels, and compared with the float path after each layer."""
    rng = np.random.default_rng(3)
    model = FloatModel(3, tuple(random_layers(rng, 3))[:layers])
    x = np.cumsum(rng.normal(0, 0.2, (1500, 3)), axis=0).astype(np.float32) * 0.1
    conversion = convert_from(model, x)
    found, exact = LoadedModel(conversion.model).stream().run(x), model.run(x)
    assert np.sqrt(np.square(found - exact).mean()) < 0.01
    assert conversion.model.provenance.layers[0].snr_db > 30


@pytest.mark.parametrize("seed", range(8))
def test_random_stacks_follow_their_float_originals_row_by_row(seed):
    """Every product of every layer of a random stack: within half a step of each of its weights, and of the result."""
    rng = np.random.default_rng(seed)
    inputs, units, kind = int(rng.integers(1, 9)), int(rng.integers(1, 40)), ("lstm", "gru")[seed % 2]
    x = rng.normal(rng.normal(0, 50, inputs), rng.uniform(0.1, 20, inputs), (400, inputs)).astype(np.float32)
    channels = quantize_channels(tuple(f"c{n}" for n in range(inputs)), ("",) * inputs, x)
    source, columns = vector_of(channels), inputs
    for number in range(3):
        gates = 4 if kind == "lstm" else 3
        w, r = rows(rng, gates * units, columns), rows(rng, gates * units, units)
        if kind == "lstm":
            layer = FloatLstm(f"l{number}", w, r, rows(rng, gates * units))
            biases = layer.bias, np.zeros_like(layer.bias)
        else:
            biases = rows(rng, gates * units), rows(rng, gates * units)
            layer = FloatGru(f"l{number}", w, r, *biases)
        found = layer.quantize((source,), (), np.ones((2, units), np.float32), read=number < 2)
        quantised, after = found.layer, found.vector
        assert (found.scale == 2.0**-15).all()
        check_product(rng, quantised.inputs, w, biases[0], source, GATE_SCALE)
        check_product(rng, quantised.hidden, r, biases[1], after, GATE_SCALE)
        source, columns = after, units
    for last, activation in ((False, "relu"), (False, "sigmoid"), (True, "linear")):
        w, bias = rows(rng, 5, columns), rows(rng, 5)
        dense = FloatDense(f"d{activation}", w, bias, activation)
        found = dense.quantize((source,), (), np.full((2, 5), 3.0, np.float32), read=not last)
        quantised, after, scale = found.layer, found.vector, found.scale[0]
        result_scale = (
            GATE_SCALE
            if activation == "sigmoid"
            else 1.0 / scale
            if last
            else 2.0 ** (quantised.exponent + 8)
        )
        check_product(rng, quantised.product, w, bias, source, result_scale)
        source, columns = after, 5


def check_product(rng, product, weights, bias, source, result_scale):
    """Compare with the float product, on random int16: as far off as its own rounding allows, and not more."""
    exact_weights = weights.astype(np.float64) * source.step
    step = np.abs(exact_weights).max(axis=1) / 127
    for _ in range(5):
        q = rng.integers(-32768, 32768, product.columns)
        found = evaluate(product, q) / result_scale
        exact = exact_weights @ q + weights.astype(np.float64) @ source.offset + bias
        allowed = 0.5 * step * np.abs(q).sum() + 2.5 / result_scale + 1e-9 * np.abs(exact)
        assert (np.abs(found - exact) <= allowed).all()


def test_the_arithmetic_of_this_test_is_that_of_the_kernels():
    """`evaluate` above, used as the measure of a product, gives what a dense layer of the runtime gives."""
    rng = np.random.default_rng(0)
    weights, bias = rows(rng, 4, 3), rows(rng, 4)
    x = rng.normal(0, 1, (50, 3)).astype(np.float32)
    channels = quantize_channels(("a", "b", "c"), ("", "", ""), x)
    quantised = FloatDense("d", weights, bias).quantize(
        (vector_of(channels),), (), np.ones((2, 4), np.float32), read=False
    )
    layer, scale = quantised.layer, float(quantised.scale[0])
    model = Model(
        channels=channels, outputs=tuple(Output(name=n, scale=scale) for n in "pqrs"), layers=(layer,)
    )
    found = LoadedModel(model).stream().run(x)
    for sample, y in zip(x, found, strict=True):
        q = [
            np.rint((v - np.float32(c.offset)) * np.float32(c.gain))
            for v, c in zip(sample, channels, strict=True)
        ]
        expected = evaluate(layer.product, np.array(q, np.int64)).astype(np.float32) * np.float32(scale)
        np.testing.assert_array_equal(y, expected)


def test_a_row_of_zeros_gives_its_bias_exactly():
    weights = np.zeros((2, 4), np.float32)
    product = row_product(
        "d", weights, np.array([0.25, -1.5], np.float32), Vector(np.ones(4), np.zeros(4)), GATE_SCALE
    )
    assert not product.weights.any()
    assert not product.multipliers.any()
    np.testing.assert_array_equal(evaluate(product, np.full(4, 32767)), [16384, -98304])


def test_a_wide_layer_is_a_model_that_runs():
    """2,000 equal inputs of a dense layer: four column blocks, and the kernels agree with the float original."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.8, 1.0, (3, 2000)).astype(np.float32) / 2000
    model = FloatModel(2000, (FloatDense("wide", weights, rows(rng, 3)),))
    x = rng.normal(0, 1, (60, 2000)).astype(np.float32)
    conversion = convert_from(model, x)
    (layer,) = conversion.model.layers
    assert layer.product.multipliers.shape == (4, 3)
    assert conversion.model.provenance.output_snr_db > 30


def test_a_constant_channel_takes_no_part_and_may_move_later():
    rng = np.random.default_rng(1)
    model = FloatModel(2, (FloatLstm("rnn", rows(rng, 32, 2), rows(rng, 32, 8), rows(rng, 32)),))
    x = np.stack([np.cumsum(rng.normal(0, 0.1, 500)), np.full(500, 7.5)], axis=1).astype(np.float32)
    conversion = convert_from(model, x)
    assert conversion.model.provenance.output_snr_db > 30
    moved = x.copy()
    moved[:, 1] += 2.0
    found = LoadedModel(conversion.model).stream().run(moved)
    np.testing.assert_allclose(found, model.run(moved), atol=0.03)


def test_layers_that_grow_past_every_number_are_named():
    weights = np.full((2, 1), 3e38, np.float32)
    model = FloatModel(1, (FloatDense("huge", weights, np.zeros(2, np.float32)),))
    with pytest.raises(ConversionError, match='layer "huge" gives numbers that are not finite'):
        convert_from(model, np.linspace(-9, 9, 50, dtype=np.float32)[:, None])
