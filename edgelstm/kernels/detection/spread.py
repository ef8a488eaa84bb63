"""What differences of a channel are divided by, and limits that keep one sample from moving a baseline far."""

from math import sqrt

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import ERROR_FLOOR, ERROR_SPREAD, LEVEL_FLOOR, VARIANCE

DEVIATION_OF_SPREAD = 1.2533
"""Standard deviation over mean absolute deviation, for normal errors."""

LARGEST_ERROR = 8.0


@njit(inlined=True)
def clip(x, largest):
    """Return x brought to between -largest and largest."""
    return min(max(x, -largest), largest)


@njit(inlined=True)
def error_scale(channel, state):
    """Return the spread that the channel's errors are divided by."""
    return max(DEVIATION_OF_SPREAD * state[ERROR_SPREAD], channel[ERROR_FLOOR])


@njit(inlined=True)
def level_scale(channel, state):
    """Return the spread that the channel's level differences are divided by."""
    return max(sqrt(state[VARIANCE]), channel[LEVEL_FLOOR])
