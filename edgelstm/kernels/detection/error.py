"""Forecast error, scaled by its running spread, and the mean of it over a few samples."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    ABSOLUTE_ERROR,
    APART,
    CHANNEL_INTS,
    ERROR,
    ERROR_GAIN,
    ERROR_MEAN_GAIN,
    ERROR_SPREAD,
    FIRST_CHANNEL_INT,
    FIRST_OUTPUT,
    FIRST_SIGNAL,
    FORECAST,
    HAS_FORECAST,
    MEAN_ERROR,
    OUTPUT_TABLES,
    PRESENT,
)
from edgelstm.kernels.detection.spread import LARGEST_ERROR, error_scale

LARGEST_SCALED_ERROR = 10.0


@njit(inlined=True)
def channel_count(policies):
    """Return how many channels there are: each has a word in every table behind the policies."""
    return (policies.shape[0] - FIRST_OUTPUT) // OUTPUT_TABLES


@njit(inlined=True)
def is_forecast(policies, c):
    """Return whether channel `c` has a forecast at all."""
    return policies[APART] != 0 or policies[FIRST_OUTPUT + c] >= 0


@njit(inlined=True)
def has_error(policies, ints, c):
    """Return whether the forecast of channel `c` counts: there is one, and it was made from a value of its own."""
    at = FIRST_CHANNEL_INT + c * CHANNEL_INTS
    return is_forecast(policies, c) and ints[HAS_FORECAST] != 0 and ints[at + PRESENT] != 0


@njit(inlined=True)
def observe(constants, channel, state, x):
    """Bring the error and its mean up to a value for which a forecast stands in `state`."""
    error = abs(x - state[FORECAST])
    scaled = error / error_scale(channel, state)
    state[ABSOLUTE_ERROR] = error
    state[FIRST_SIGNAL + ERROR] = scaled
    mean = state[FIRST_SIGNAL + MEAN_ERROR]
    step = min(scaled, LARGEST_SCALED_ERROR) - mean
    state[FIRST_SIGNAL + MEAN_ERROR] = mean + constants[ERROR_MEAN_GAIN] * step


@njit(inlined=True)
def learn(constants, channel, state):
    """Move the spread by one error that is taken for normal."""
    largest = LARGEST_ERROR * error_scale(channel, state)
    step = min(state[ABSOLUTE_ERROR], largest) - state[ERROR_SPREAD]
    state[ERROR_SPREAD] = state[ERROR_SPREAD] + constants[ERROR_GAIN] * step
