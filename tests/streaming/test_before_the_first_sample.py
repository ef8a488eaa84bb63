"""What stands before the first sample is exactly what the network was trained with, in int8 as in float."""

from unittest import mock

import numpy as np
import pytest
from float_layer_cases import Floats

from edgelstm.errors import ConversionError
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import (
    FloatConcat,
    FloatConv1d,
    FloatDense,
    FloatPool,
    FloatSelect,
    FloatWindow,
)
from edgelstm_converters.layers.graph import padding
from edgelstm_converters.quantize import holding, quantize_channels
from edgelstm_converters.readers import Reading

LEVELS = np.float32(
    [0.37, -2.11, 6.3]
)  # of the channels; zero is no step of the first two, and far from the third
RNG = np.random.default_rng(5)
X = (LEVELS + np.sin(RNG.normal(0, 1, (300, 3)))).astype(np.float32)
SCALING = {f"x{n}": {"mean": float(mean), "std": 0.7} for n, mean in enumerate(LEVELS)}


def conv(make, name="l", taps=5, **options):
    return FloatConv1d(name, make(6, 3, taps), make(6), 2, "tanh", **options)


LAYERS = {
    "conv1d": lambda m: (conv(m),),
    "pool": lambda m: (FloatPool("l", "average", 3, 6), FloatDense("d", m(4, 3), m(4), "tanh")),
    "window": lambda m: (FloatWindow("l", 3, 7, (conv(m, "k", 2),), ("k",), (6,)),),
    "select": lambda m: (FloatSelect("s", 1, 2, 3), FloatConv1d("l", m(4, 2, 4), m(4), activation="tanh")),
    "branches": lambda m: (
        conv(m, "a", sources=("input",)),
        FloatDense("b", m(2, 3), m(2), sources=("input",)),
        FloatConcat("l", (6, 3, 2), sources=("a", "input", "b")),
        FloatConv1d("e", m(3, 11, 3), m(3)),
    ),
}


def converted(model, scaling):
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")):
        return convert_with_report(
            object(), calibration=X, scaling=scaling, outputs=[f"y{n}" for n in range(model.outputs)]
        )


@pytest.mark.parametrize("scaling", [None, SCALING], ids=["raw", "scaled"])
@pytest.mark.parametrize("case", LAYERS)
def test_the_first_samples_are_as_near_to_float_as_the_others(case, scaling):
    """A raw channel at 6.3 has a range that reaches to zero; there, int8 rows make their errors of 6.3 instead of 0."""
    reached = 20
    model = FloatModel(3, LAYERS[case](Floats(2)))
    made = converted(model, scaling)
    seen = (X - LEVELS) / np.float32(0.7) if scaling else X
    exact = model.run(seen)
    y = LoadedModel(made.model).stream().run(X)
    first, later = (np.sqrt(np.square(part).mean()) for part in np.split(y - exact, [reached]))
    assert first < 3 * later + (0.0 if scaling else 0.01)
    assert np.abs(exact[:2] - exact[reached:].mean(axis=0)).max() > 0.1  # they do differ from the others


@pytest.mark.parametrize("scaling", [None, SCALING], ids=["raw", "scaled"])
@pytest.mark.parametrize("case", ["conv1d", "window"])
def test_the_ring_begins_at_the_very_number(case, scaling):
    made = converted(FloatModel(3, LAYERS[case](Floats(2))), scaling)
    (layer,), channels = made.model.layers, made.model.channels
    initial = np.zeros(3, np.int64) if layer.initial is None else layer.initial.astype(np.int64)
    stands = [np.float32(c.offset) + q / c.gain for c, q in zip(channels, initial, strict=True)]
    expected = LEVELS if scaling else np.zeros(3)
    assert [float(value) for value in stands] == [float(value) for value in expected]
    stream, state = LoadedModel(made.model).stream(), LoadedModel(made.model).stream()
    stream.run(
        np.repeat(np.float32(expected)[None], 40, axis=0)
    )  # the same stands there once it was measured
    rings = [s._state.view(np.int16)[0, : 3 * 7] for s in (stream, state)]
    np.testing.assert_array_equal(*rings)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-3, 196.1, -2.5e4, 1e7])
def test_a_channel_holds_a_value_and_what_it_held_before(value):
    value = float(np.float32(value))
    x = np.float32([[3.0], [3.7]])
    (before,) = quantize_channels(("a",), ("",), x)
    (after,) = holding((before,), {0: value})
    q = (value - after.offset) * after.gain
    assert q == round(q) and abs(q) <= 32767
    reach = 32767 / before.gain
    for end in (before.offset - reach, before.offset + reach):
        assert abs(end - after.offset) * after.gain <= 32768.5
    assert float(np.float32(after.offset)) == after.offset
    if abs(value - before.offset) < reach / 2:
        assert after.gain >= before.gain / 2


def test_layers_that_do_not_agree_are_refused():
    make = Floats(1)
    layers = conv(make, "a", before=np.ones(3, np.float32)), conv(make, "b", sources=("input",))
    with pytest.raises(
        ConversionError, match="before the first sample, channel 0 is 1 for one layer and 0 for"
    ):
        padding(layers, 3)
