"""A masked sample leaves states as they were and gives the last output again, to the bit."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
from float_layer_cases import Floats
from layer_cases import MASKED, Integers

from edgelstm.errors import ConversionError, ModelFileError, SampleError
from edgelstm.layers import Dense, Gru, Lstm, Masking, Window
from edgelstm.model import Channel, Model, Output
from edgelstm.model_check import check
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.execution import Execution
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatDense, FloatLstm, FloatMasking
from edgelstm_converters.readers import Reading

CHANNELS, SAMPLES = 3, 40
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (SAMPLES, CHANNELS)).astype(np.float32)
SKIPPED = RNG.random(SAMPLES) < 0.3
SKIPPED[[0, 1, -1]] = True, False, True
WITH_MASKED = np.where(SKIPPED[:, None], np.float32(MASKED), X)


def model_of(*layers):
    channels = tuple(Channel(name=f"c{n}", gain=2.0**12) for n in range(CHANNELS))
    outputs = tuple(Output(name=f"y{n}", scale=2.0**-16) for n in range(layers[-1].units))
    return Model(channels, outputs, layers)


def masked(*, when="m", **changes):
    make = Integers(3, False)
    mask = Masking("m", (0, 1, 2), (MASKED,) * 3)
    return model_of(
        dataclasses.replace(mask, **changes),
        Lstm("a", make.rows(28, 3), make.rows(28, 7), sources=("input",), when=when),
        Gru("b", make.rows(15, 7), make.rows(15, 5), when=when),
        Dense("d", make.rows(4, 5)),
    )


MODEL = LoadedModel(masked())


def test_it_is_as_if_the_sample_had_not_come():
    given = MODEL.stream().run(X[~SKIPPED])
    found = MODEL.stream().run(WITH_MASKED)
    np.testing.assert_array_equal(found[~SKIPPED], given)
    latest = np.cumsum(~SKIPPED)
    for t in np.flatnonzero(SKIPPED)[1:]:
        np.testing.assert_array_equal(found[t], given[latest[t] - 1])


def test_a_stream_of_many_skips_what_is_masked_in_it():
    stream, many = MODEL.stream(), MODEL.streams(2)
    before = stream.snapshot()
    stream.step(np.full(3, MASKED, np.float32))
    assert stream.snapshot() == before
    rows = np.stack([X[5], np.full(3, MASKED, np.float32)])
    many.step(rows)
    assert many.snapshot(1) == before
    stream.step(X[5])
    assert many.snapshot(0) == stream.snapshot() != before


def test_one_channel_that_differs_is_no_mask():
    x = np.float32([MASKED, MASKED, np.nextafter(np.float32(MASKED), np.float32(1.0))])
    stream = MODEL.stream()
    before = stream.snapshot()
    stream.step(x)
    assert stream.snapshot() != before


def test_a_missing_value_is_no_mask():
    with pytest.raises(SampleError, match="is nan: values have to be finite"):
        MODEL.stream().step(np.float32([MASKED, np.nan, MASKED]))


def test_other_layers_may_run_where_all_is_equal():
    """With `matches`: once the two masks have come, the layer has made two steps."""
    found = LoadedModel(masked(matches=True)).stream().run(WITH_MASKED)
    assert len(np.unique(found, axis=0)) == SKIPPED.sum()


def test_in_a_window_masked_rows_are_skipped_and_none_stand_before_the_first():
    """The window of a short beginning is that of its samples alone, as padding in front of them is."""
    make = Integers(4, False)
    gru = Gru("g", make.rows(15, 3), make.rows(15, 5))
    head = Dense("d", make.rows(4, 5))
    mask = Masking("m", (0, 1, 2), (MASKED,) * 3)
    windowed = Window("w", 6, (dataclasses.replace(gru, when="m"),), ("g",), (5,), sources=("input", "m"))
    found = LoadedModel(model_of(mask, windowed, head)).stream().run(WITH_MASKED)
    stateful = LoadedModel(model_of(gru, head))
    for t in range(1, SAMPLES):
        rows = slice(max(0, t - 5), t + 1)
        kept = WITH_MASKED[rows][~SKIPPED[rows]]
        np.testing.assert_array_equal(found[t], stateful.stream().run(kept)[-1])


WRONG = {
    "no such channel": (
        {"channels": (0, 3, 2)},
        r'layer "m": looks at channel 3, but its source gives 3 values',
    ),
    "a value too few": ({"values": (0.0,)}, r'layer "m": 1 values for 3 channels'),
    "no channel": ({"channels": (), "values": ()}, r'layer "m": looks at no channel'),
    "no float32": ({"values": (0.1, 0.0, 0.0)}, r'layer "m": value 0.1 is no float32'),
    "not finite": ({"values": (float("nan"), 0.0, 0.0)}, r'layer "m": value nan is no float32'),
    "nobody": ({"when": "x"}, r'layer "a": runs when "x" is not 0, which is no layer before it'),
    "three values": (
        {"when": "input"},
        r'layer "a": runs when "input" is not 0, which gives 3 values, expected 1',
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mask_that_cannot_be_is_refused(case):
    changes, message = WRONG[case]
    with pytest.raises(ModelFileError, match=message):
        check(masked(**changes))


def test_a_mask_looks_at_nothing_but_the_newest_sample():
    make = Integers(5, False)
    mask = Masking("m", (0, 1, 2), (MASKED,) * 3)
    gru = Gru("g", make.rows(15, 3), make.rows(15, 5), sources=("input",), when="m")
    with pytest.raises(ModelFileError, match=r'layer "w": its layer "m" looks at the newest sample only'):
        check(model_of(Window("w", 6, (mask, gru), ("g",), (5,))))
    with pytest.raises(ModelFileError, match=r'layer "m": reads computed values, expected the channels'):
        check(model_of(Dense("d", make.rows(3, 3)), mask))


def converted(value, x, **options):
    make = Floats(1)
    layers = (
        FloatMasking("m", 3, (0, 1, 2), (value,) * 3),
        FloatLstm("l", make(32, 3), make(32, 8), make(32), sources=("input",), when="m"),
        FloatDense("d", make(2, 8), make(2)),
    )
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(FloatModel(3, layers), "")):
        return convert_with_report(object(), calibration=x, **options)


def test_a_mask_far_away_costs_no_precision():
    x = np.where(SKIPPED[:, None], np.float32(-999.0), X)
    far, near = converted(-999.0, x), converted(0.0, X[~SKIPPED])
    assert far.model.channels == near.model.channels
    np.testing.assert_allclose(far.found, far.exact, rtol=0, atol=0.02)


def test_a_scaling_holds_for_the_mask_too():
    """The network saw (x - 2) / 4 and a mask of -1: on the channel that is -2."""
    scaling = {f"x{n}": {"mean": 2.0, "std": 4.0} for n in range(3)}
    model = converted(-1.0, X, scaling=scaling).model
    assert model.layers[0].values == (-2.0, -2.0, -2.0)


def test_windowed_execution_keeps_the_mask():
    conversion = converted(MASKED, WITH_MASKED, execution=Execution(window=6))
    assert [layer.kind for layer in conversion.model.layers] == ["masking", "window", "dense"]
    np.testing.assert_allclose(conversion.found, conversion.exact, rtol=0, atol=0.02)
    with pytest.raises(ConversionError, match="cannot take part in masked runs"):
        converted(MASKED, WITH_MASKED, execution=Execution(runs=4, dropout=0.2))
