"""The compiled kernels and the NumPy twin: every bit of output and state is equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelstm.backend import kernels
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from factories import random_model

pytestmark = pytest.mark.skipif(
    not kernels().compiled.COMPILES, reason="Numba is switched off: nothing to compare"
)

KINDS = ("lstm", "gru", "gru_before", "linear", "relu", "sigmoid", "tanh")
LAYERS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 40)), min_size=1, max_size=4)


def assert_same_bits(seed, inputs, layers, *, extreme, samples=12, loudness=3.0):
    loaded = LoadedModel(random_model(seed, inputs, layers, extreme=extreme))
    rng = np.random.default_rng(seed)
    x = (rng.standard_t(2, (samples, inputs)) * loudness).astype(np.float32)
    stream = loaded.stream()
    y = stream.run(x)
    state, expected = loaded.program.initial_state(), np.full_like(y, np.nan)
    context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch())
    assert twin.execute_block(context, x, expected) == -1
    np.testing.assert_array_equal(y.view(np.int32), expected.view(np.int32))
    np.testing.assert_array_equal(stream._state, state)


@given(seed=st.integers(0, 2**32 - 1), inputs=st.integers(1, 64), layers=LAYERS, extreme=st.booleans())
@settings(max_examples=120)
def test_small_models(seed, inputs, layers, extreme):
    assert_same_bits(seed, inputs, layers, extreme=extreme)


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(("lstm", "gru", "gru_before")),
    units=st.integers(41, 300),
    extreme=st.booleans(),
)
@settings(max_examples=10)
def test_large_layers(seed, kind, units, extreme):
    assert_same_bits(seed, 5, [(kind, units), ("linear", 3)], extreme=extreme, samples=5)


@pytest.mark.parametrize("inputs", [516, 517, 600, 1025])
def test_rows_that_are_split_into_column_blocks(inputs):
    assert_same_bits(
        inputs, inputs, [("lstm", 5), ("gru_before", 13), ("linear", 3)], extreme=True, samples=6
    )


@pytest.mark.parametrize("loudness", [1e-30, 1e6, 1e30])
def test_inputs_at_the_ends_of_the_scale(loudness):
    assert_same_bits(7, 4, [("lstm", 16), ("tanh", 4)], extreme=True, samples=40, loudness=loudness)


def test_states_at_saturation_stay_there_and_equal():
    """A cell that only adds reaches the end of Q7.23 and neither wraps nor parts from the twin."""
    loaded = LoadedModel(random_model(11, 2, [("lstm", 8)], extreme=True))
    stream = loaded.stream()
    state = loaded.program.initial_state()
    stream._state[:, :8] = state[:, :8] = np.array([2**30 - 1, -(2**30)] * 4)
    context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch())
    x = np.full((50, 2), 1e9, np.float32)
    y, expected = stream.run(x), np.empty((50, 8), np.float32)
    twin.execute_block(context, x, expected)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(stream._state, state)
