"""The ends of every range, for as long as it takes: results saturate and never wrap, in machine code as in the twin."""

import dataclasses

import numpy as np
import pytest

from edgelstm.backend import kernels
from edgelstm.model import Dense, Gru, Lstm
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from factories import random_model

pytestmark = pytest.mark.skipif(
    not kernels().compiled.COMPILES, reason="Numba is switched off: nothing to compare"
)

LAYERS = (("lstm", 21), ("gru", 7), ("gru_before", 5), ("linear", 2))
FULL_SCALE = {"all up": 1e9, "all down": -1e9}


def with_weights(model, weight):
    """The model with every weight set to `weight`."""

    def product(old):
        return dataclasses.replace(old, weights=np.full_like(old.weights, weight))

    def layer(old):
        names = ("product",) if isinstance(old, Dense) else ("inputs", "hidden")
        return dataclasses.replace(old, **{name: product(getattr(old, name)) for name in names})

    assert all(isinstance(old, Lstm | Gru | Dense) for old in model.layers)
    return LoadedModel(dataclasses.replace(model, layers=tuple(map(layer, model.layers))))


def assert_next_steps_are_the_twins(stream, x):
    """Step `stream` and a twin that begins at its state; every bit of output and state is equal."""
    program, state = stream.model.program, stream._state.copy()
    context, _ = twin.bind(program.words, state, program.new_scratch())
    expected = np.empty((len(x), program.outputs), np.float32)
    assert twin.execute_block(context, x, expected) == -1
    np.testing.assert_array_equal(stream.run(x), expected)
    np.testing.assert_array_equal(stream._state, state)


@pytest.mark.parametrize("weight", [127, -127])
@pytest.mark.parametrize("direction", FULL_SCALE)
@pytest.mark.parametrize("extreme", [True, False])
def test_all_weights_and_inputs_at_full_scale(weight, direction, extreme):
    stream = with_weights(random_model(5, 3, LAYERS, extreme=extreme), weight).stream()
    assert_next_steps_are_the_twins(stream, np.full((60, 3), FULL_SCALE[direction], np.float32))
    alternating = np.where(np.arange(60)[:, None] % 2, 1e9, -1e9) * np.ones(3)
    assert_next_steps_are_the_twins(stream, alternating.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("direction", FULL_SCALE)
def test_a_million_steps_at_full_scale(direction):
    """The state creeps to where it stays; then the twin, begun there, goes on with the same bits."""
    x = np.full((1000, 3), FULL_SCALE[direction], np.float32)
    for weight in (127, -127):
        stream = with_weights(random_model(6, 3, LAYERS, extreme=True), weight).stream()
        for _ in range(1000):
            stream.run(x)
        assert_next_steps_are_the_twins(stream, x[:30])
        assert_next_steps_are_the_twins(stream, -x[:30])
