"""What becomes of a sample that is late, missing values or after a gap: each is counted, none becomes zero."""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    CALM,
    CHANNEL_CONSTANTS,
    CHANNEL_INTS,
    CHANNEL_WORDS,
    DUPLICATES,
    EARLY,
    EARLY_NS,
    ERROR_MEAN,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_INT,
    FIRST_CHANNEL_WORD,
    GAP_NS,
    GAP_RESET_NS,
    GAPS,
    HAS_FORECAST,
    HAS_LAST,
    HAS_USED,
    HELD,
    HOLD,
    LAST_NS,
    LAST_VALUE,
    LATE,
    MEAN,
    MEAN_OF_SCALED_ERROR,
    MISSING_VALUES,
    ON_MISSING,
    RECENT,
    RESET,
    RESETS,
    SAMPLES,
    SEEN,
    SHORT_COUNT,
    SKIPPED,
    USED_NS,
    WARM_LEFT,
    WARM_UP,
)

REFUSED, ACCEPTED, ONLY_HELD = range(3)


@njit
def admit(policies, floats, ints, network, time_ns, values):
    """Return REFUSED, ACCEPTED, or ONLY_HELD where the sample has no value at all but goes on by held ones."""
    if ints[HAS_LAST] != 0 and time_ns <= ints[LAST_NS]:
        ints[DUPLICATES if time_ns == ints[LAST_NS] else LATE] += 1
        return REFUSED
    ints[HAS_LAST], ints[LAST_NS] = 1, time_ns
    ints[SAMPLES] += 1
    missing = 0
    for c in range(values.shape[0]):
        if not np.isfinite(values[c]):
            missing += 1
    if missing > 0:
        ints[MISSING_VALUES] += missing
        if policies[ON_MISSING] != HOLD:
            ints[SKIPPED] += 1
            if policies[ON_MISSING] == RESET and ints[HAS_USED] != 0:
                reset(policies, floats, ints, network)
                ints[HAS_USED] = 0
            return REFUSED
        ints[HELD] += missing
    if ints[HAS_USED] != 0:
        _look_for_gap(policies, floats, ints, network, time_ns - ints[USED_NS])
    ints[HAS_USED], ints[USED_NS] = 1, time_ns
    return ONLY_HELD if missing == values.shape[0] else ACCEPTED


@njit
def _look_for_gap(policies, floats, ints, network, elapsed_ns):
    if elapsed_ns >= policies[GAP_RESET_NS]:
        ints[GAPS] += 1
        reset(policies, floats, ints, network)
    elif elapsed_ns > policies[GAP_NS]:
        ints[GAPS] += 1
        ints[HAS_FORECAST] = 0  # it was made for a sample that never came
    elif elapsed_ns < policies[EARLY_NS]:
        ints[EARLY] += 1


@njit
def reset(policies, floats, ints, network):
    """Return the network and the short means to their beginning and warm up again; baselines are kept."""
    ints[RESETS] += 1
    ints[WARM_LEFT] = policies[WARM_UP]
    ints[HAS_FORECAST], ints[RECENT], ints[CALM] = 0, 0, 0
    network[:] = 0
    for c in range(channel_count(floats)):
        ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS + SHORT_COUNT] = 0
        floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS + ERROR_MEAN] = MEAN_OF_SCALED_ERROR


@njit
def channel_count(floats):
    """Return the number of channels that a state is for."""
    return (floats.shape[0] - FIRST_CHANNEL_WORD) // CHANNEL_WORDS


@njit
def fill(constants, floats, ints, values, feed):
    """Write what the network is fed: the values, and where one is missing the last one, or the calibrated mean."""
    for c in range(values.shape[0]):
        word, own = FIRST_CHANNEL_WORD + c * CHANNEL_WORDS, FIRST_CHANNEL_INT + c * CHANNEL_INTS
        if np.isfinite(values[c]):
            feed[c] = values[c]
            floats[word + LAST_VALUE] = np.float64(values[c])
            ints[own + SEEN] = 1
        elif ints[own + SEEN] != 0:
            feed[c] = np.float32(floats[word + LAST_VALUE])
        else:
            feed[c] = np.float32(constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS + MEAN])
