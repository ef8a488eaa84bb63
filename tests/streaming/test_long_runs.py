"""State that is blended with its own past keeps its precision, and nothing drifts however long a stream runs."""

import math

import numpy as np
import pytest
from float_layer_cases import FLOAT_CASES, Floats, converted, fed

from edgelstm.layers import Gru, Lstm, RowProduct
from edgelstm.model import Channel, Model, Output
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from edgelstm_converters.float_model import FloatModel


def constant(rows, columns, bias):
    """A product that gives its bias, Q15.16, whatever it reads."""
    none = np.zeros((1, rows), np.int32)
    return RowProduct(
        np.zeros((rows, columns), np.int8), none, none, np.rint(np.float64(bias) * 65536).astype(np.int32)
    )


def settled(layer, samples):
    model = Model((Channel(name="x"),), (Output(name="y", scale=2.0**-15),), (layer,))
    return float(LoadedModel(model).stream().run(np.zeros((samples, 1), np.float32))[-1, 0])


@pytest.mark.parametrize("target", [0.5, -0.05, 0.9])
def test_a_slow_gated_unit_reaches_its_target(target):
    """Held at z = 0.999 for ten thousand samples; a state of 16 bits would stop half a percent short."""
    biases = [0.0, math.log(0.999 / 0.001), math.atanh(target)]
    gru = Gru("g", constant(3, 1, biases), constant(3, 1, [0.0] * 3))
    assert abs(settled(gru, 10_000) - target) < 1e-3


def test_a_slow_cell_reaches_its_target():
    """c = f c + i g settles at i g / (1 - f)."""
    i, f, g = 0.0005, 0.999, 0.8
    biases = [math.log(i / (1 - i)), math.log(f / (1 - f)), math.atanh(g), 20.0]
    lstm = Lstm("l", constant(4, 1, biases), constant(4, 1, [0.0] * 4))
    assert abs(settled(lstm, 20_000) - math.tanh(i * g / (1 - f))) < 1e-3


PERIOD = 480
"""Of the signal, in samples: a multiple of the periods, strides and hops of all cases."""
PERIODS = 2100
SETTLED = 6
"""Periods after which a float network is on its orbit."""


@pytest.mark.slow
@pytest.mark.parametrize("case", FLOAT_CASES)
def test_a_million_steps_do_not_drift(case):
    """On a signal that repeats, the last of a million samples are as far from the float path as the first were, and still the twin's to the bit."""
    model, x = FloatModel(3, FLOAT_CASES[case](Floats(5), 3)), fed(case, 5, PERIOD)
    conversion = converted(model, np.tile(x, (2, 1)))
    orbit = model.run(np.tile(x, (SETTLED, 1)))
    exact = orbit[-PERIOD:]
    size = float(np.abs(exact).max())
    assert np.abs(exact - orbit[-2 * PERIOD : -PERIOD]).max() <= 1e-3 * size, "it has no orbit to stay on"
    loaded = LoadedModel(conversion.model)
    stream = loaded.stream()
    early = stream.run(np.tile(x, (SETTLED, 1)))[-PERIOD:]
    block = np.tile(x, (10, 1))
    for _ in range((PERIODS - SETTLED) // 10):
        late = stream.run(block)[-PERIOD:]
    lost_early, lost_late = (np.sqrt(np.square(y - exact).mean()) for y in (early, late))
    assert lost_late <= 1.1 * lost_early + 1e-5 * size
    state = stream._state.copy()
    context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch())
    last, expected = x[:60], np.empty((60, loaded.outputs), np.float32)
    assert twin.execute_block(context, last, expected) == -1
    np.testing.assert_array_equal(stream.run(last).view(np.int32), expected.view(np.int32))
    np.testing.assert_array_equal(stream._state, state)
