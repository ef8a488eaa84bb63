"""Rounding as calibration says: less is lost on samples that it did not see, and never more than by plain rounding."""

from unittest import mock

import numpy as np
import pytest

from edgelstm.model import Channel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatDecoder, FloatDense, FloatRnn
from edgelstm_converters.quantize import RowsSeeing, Vector, balance, row_product, some_rows
from edgelstm_converters.readers import Reading
from edgelstm_converters.report import LOSSLESS_DB
from edgelstm_converters.rounding import round_rows


def lost(columns, scale, rounded, samples):
    return np.square(samples @ (columns - rounded.weights * scale[:, None]).T - rounded.correction).mean()


def correlated(rng, count, columns):
    return (
        rng.normal(size=(count, 3)) @ rng.normal(size=(3, columns))
        + 0.3 * rng.normal(size=(count, columns))
        + 2.0
    )


@pytest.mark.parametrize("columns", [4, 16, 64])
def test_less_is_lost_where_inputs_are_correlated(columns):
    rng = np.random.default_rng(columns)
    weights = rng.normal(size=(12, columns))
    scale = np.abs(weights).max(axis=1) / 127
    samples = correlated(rng, 3000, columns)
    plain, better = round_rows(weights, scale, None), round_rows(weights, scale, samples[:2000])
    unseen = samples[2000:]
    assert lost(weights, scale, better, unseen) < 0.5 * lost(weights, scale, plain, unseen)
    assert np.abs(better.weights.astype(int)).max() <= 127


def test_too_few_samples_change_nothing():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(5, 64))
    scale = np.abs(weights).max(axis=1) / 127
    found = round_rows(weights, scale, correlated(rng, 48, 64))
    np.testing.assert_array_equal(found.weights, round_rows(weights, scale, None).weights)
    assert not found.correction.any()


def test_a_row_is_kept_where_the_held_back_part_is_another():
    """The last quarter of the samples is unlike the rest: what the rest says would lose more there, so nothing is done."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(40, 6))
    scale = np.abs(weights).max(axis=1) / 127
    samples = correlated(rng, 400, 6)
    samples[300:] = rng.normal(size=(100, 6)) * 5
    found, held = round_rows(weights, scale, samples), samples[300:]
    plain = round_rows(weights, scale, None)
    for row in range(len(weights)):
        one = [
            np.square(held @ (weights[row] - r.weights[row] * scale[row]) - r.correction[row]).mean()
            for r in (found, plain)
        ]
        assert one[0] <= one[1] + 1e-12


def test_constant_inputs_do_no_harm():
    weights = np.random.default_rng(2).normal(size=(3, 4))
    scale = np.abs(weights).max(axis=1) / 127
    found = round_rows(weights, scale, np.ones((100, 4)))
    np.testing.assert_allclose(
        found.correction, ((weights - found.weights * scale[:, None]) @ np.ones(4)), atol=1e-9
    )


@pytest.mark.parametrize("largest", [127, 126, 90, 64])
def test_int8_weights_are_taken_over(largest):
    """A row that was quantised before keeps its whole numbers, whatever its largest one is."""
    rng = np.random.default_rng(largest)
    integers = rng.integers(-largest, largest + 1, (20, 30))
    integers[:, 0] = largest
    weights = (integers * rng.uniform(0.001, 0.1, (20, 1))).astype(np.float32)
    product = row_product("layer", weights, np.zeros(20, np.float32), Vector.uniform(30, 2.0**-15), 65536.0)
    np.testing.assert_array_equal(product.weights, integers)


def test_rows_of_floats_use_the_whole_range():
    weights = np.random.default_rng(3).normal(size=(50, 20)).astype(np.float32)
    product = row_product("layer", weights, np.zeros(50, np.float32), Vector.uniform(20, 2.0**-15), 65536.0)
    assert (np.abs(product.weights.astype(int)).max(axis=1) == 127).all()


def test_a_channel_that_matters_little_gets_a_coarser_step():
    """Its weights were rounded with an error as large as those of the channel that matters."""
    channels = tuple(Channel(name=name, gain=2.0**10) for name in "abc")
    matrix = np.array([[1.0, 0.2, 0.001], [-0.5, 0.11, 0.0]], np.float32)
    found = balance(channels, [matrix])
    assert [channels[n].gain / found[n].gain for n in range(3)] == [1, 4, 16]
    step = np.array([1 / channel.gain for channel in found])
    largest = np.abs(matrix * step).max(axis=1)
    np.testing.assert_array_equal(largest, np.abs(matrix).max(axis=1) / 2.0**10)  # no row has another scale


def test_channels_that_no_matrix_reads_keep_their_step():
    channels = (Channel(name="a", gain=4.0), Channel(name="b", gain=8.0))
    assert balance(channels, []) == channels


def test_rows_that_saw_other_samples_are_rounded_by_those():
    """And what they never read stays zero, although other columns are made up for by all that they do read."""
    rng = np.random.default_rng(4)
    weights = rng.choice([-1.0, 1.0], (20, 600)) * rng.uniform(0.8, 1.0, (20, 600))
    weights = weights.astype(np.float32)
    weights[10:, :550] = 0.0
    samples = correlated(rng, 3000, 600).astype(np.float32)
    source, none = Vector.uniform(600, 2.0**-10), np.zeros(20, np.float32)
    own = RowsSeeing(slice(10, 20), samples, 550)
    plain = row_product("layer", weights, none, source, 65536.0)
    found = row_product("layer", weights, none, source, 65536.0, [own])
    assert len(found.multipliers) == 2  # blocks
    np.testing.assert_array_equal(found.weights[:10], plain.weights[:10])
    assert not found.weights[10:, :550].any()
    lost_by = [
        np.square(
            samples @ (weights - product.weights * steps_of(product, 2.0**-10))[10:].T
            - product.bias[10:] / 65536.0
        ).mean()
        for product in (found, plain)
    ]
    assert lost_by[0] < 0.5 * lost_by[1]


def steps_of(product, step):
    """What one of the int8 stands for, (rows, columns)."""
    factors = product.multipliers * 2.0 ** (product.shifts - 31.0) / 65536.0 / step
    return np.repeat(factors.T, 512, axis=1)[:, : product.columns]


def test_samples_of_a_period_are_not_picked_at_one_phase():
    rows = np.tile(np.arange(4, dtype=np.float32), 10_000)[
        :, None
    ]  # of which every fourth would be a round step
    found = some_rows(rows, 10_000)
    assert found.shape == (10_000, 1)
    assert np.abs(np.bincount(found[:, 0].astype(int)) - 2500).max() < 200


def test_a_decoder_holds_a_state_that_begins_beyond_what_it_gives():
    """Of a decoder of relu whose state dies away: what it begins with is ten times what it gives."""
    one = np.ones((1, 1), np.float32)
    none = np.zeros(1, np.float32)
    encoder = FloatRnn("e", one, 0 * one, none, "relu")
    inner = FloatRnn("r", 0 * one, 0.1 * one, none, "relu")
    decoder = FloatDecoder("d", (inner,), 3, "r", ("r",), none, symbols=False)
    x = np.random.default_rng(0).uniform(0, 20, (400, 1)).astype(np.float32)
    model = FloatModel(1, (encoder, decoder))
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")):
        conversion = convert_with_report(object(), calibration=x)
    np.testing.assert_allclose(conversion.found, model.run(x), atol=0.01)


@pytest.mark.parametrize(("ratio_db", "kept"), [(LOSSLESS_DB, "calibrated"), (60.0, "nearest")])
def test_of_two_that_lose_nothing_the_calibrated_one_is_kept(ratio_db, kept):
    """Of two that lose the same the plain one, but for outputs that are symbols, where there is nothing to tell them apart by."""
    rng = np.random.default_rng(6)
    weights = rng.normal(size=(8, 16)).astype(np.float32)
    model = FloatModel(16, (FloatDense("d", weights, np.zeros(8, np.float32), "linear"),))
    x = correlated(rng, 800, 16).astype(np.float32)
    with (
        mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")),
        mock.patch("edgelstm_converters.report.snr_db", return_value=ratio_db),
    ):
        conversion = convert_with_report(object(), calibration=x)
    assert conversion.model.provenance.rounding == kept
