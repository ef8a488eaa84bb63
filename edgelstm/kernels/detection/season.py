"""What a channel is at this time of its season: a mean for each bin, and the mean residual over some samples.

The season's length comes from calibration; its bins divide it evenly, counted from 1970 UTC.
"""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    ERROR_GAIN,
    FIRST_SIGNAL,
    LEVEL_FLOOR,
    SEASON,
    SEASON_GAIN,
    SEASON_MEAN,
    SEASON_MEAN_GAIN,
    SEASON_SPREAD,
)
from edgelstm.kernels.detection.spread import DEVIATION_OF_SPREAD, LARGEST_ERROR, clip

LARGEST_RESIDUAL = 10.0


@njit(inlined=True)
def bin_of(time_ns, season_ns, bins):
    """Return which of the season's bins a time is in."""
    return (time_ns % season_ns) * bins // season_ns


@njit(inlined=True)
def scale(channel, state):
    """Return the spread that the channel's seasonal residuals are divided by."""
    return max(DEVIATION_OF_SPREAD * state[SEASON_SPREAD], channel[LEVEL_FLOOR])


@njit(inlined=True)
def observe(constants, channel, state, expected, x):
    """Bring the mean residual up to a value where `expected` is the mean of its bin."""
    residual = clip((x - expected) / scale(channel, state), LARGEST_RESIDUAL)
    state[SEASON_MEAN] = state[SEASON_MEAN] + constants[SEASON_MEAN_GAIN] * (residual - state[SEASON_MEAN])
    state[FIRST_SIGNAL + SEASON] = abs(state[SEASON_MEAN])


@njit(inlined=True)
def learn(constants, channel, state, floats, bin_at, x):
    """Move the mean of a bin, floats[bin_at], and the spread about it by one value that is taken for normal."""
    largest = LARGEST_ERROR * scale(channel, state)
    residual = clip(x - floats[bin_at], largest)
    floats[bin_at] = floats[bin_at] + constants[SEASON_GAIN] * residual
    state[SEASON_SPREAD] = state[SEASON_SPREAD] + constants[ERROR_GAIN] * (
        abs(residual) - state[SEASON_SPREAD]
    )
