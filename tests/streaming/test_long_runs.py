"""State that is blended with its own past keeps its precision, and nothing drifts however long a stream runs."""

import math

import numpy as np
import pytest
from float_layer_cases import Floats

from edgelstm.layers import Gru, Lstm, RowProduct
from edgelstm.model import Channel, Model, Output
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.layers import FloatDense, FloatGru, FloatLstm


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_million_steps_do_not_drift(kind):
    """A signal of period 100: the output of the last period is that of the thousandth sample, and that of the float path."""
    from unittest import mock

    from edgelstm_converters.float_model import FloatModel
    from edgelstm_converters.readers import Reading

    make = Floats(5)
    cell = FloatLstm("c", make(48, 2), make(48, 12, spread=0.7), make(48))
    if kind == "gru":
        cell = FloatGru("c", make(36, 2), make(36, 12, spread=0.7), make(36), make(36))
    model = FloatModel(2, (cell, FloatDense("d", make(2, 12), make(2))))
    phase = np.arange(100) * 2 * np.pi / 100
    period = np.stack([np.sin(phase), np.cos(3 * phase)], axis=1).astype(np.float32)
    x = np.tile(period, (20, 1))
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")):
        conversion = convert_with_report(object(), calibration=x)
    stream = LoadedModel(conversion.model).stream()
    early = stream.run(x)[-100:]
    np.testing.assert_allclose(early, model.run(x)[-100:], rtol=0, atol=0.02)
    for _ in range(499):
        late = stream.run(x)
    np.testing.assert_allclose(late[-100:], early, rtol=0, atol=2.0**-12)
