"""What becomes of a sample that is late, missing values or after a gap: each is counted, none becomes zero."""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.error import channel_count
from edgelstm.kernels.detection.layout import (
    CALM,
    CHANNEL_CONSTANTS,
    CHANNEL_INTS,
    CHANNEL_WORDS,
    DUPLICATES,
    EARLY,
    EARLY_NS,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_INT,
    FIRST_CHANNEL_WORD,
    FIRST_SIGNAL,
    GAP_NS,
    GAP_RESET_NS,
    GAPS,
    HAS_FORECAST,
    HAS_LAST,
    HAS_USED,
    HELD,
    HOLD,
    LARGEST_VALUE,
    LAST_NS,
    LATE,
    LEAST_VALUE,
    MEAN_ERROR,
    MEAN_OF_SCALED_ERROR,
    MISSING_VALUES,
    ON_MISSING,
    OUT_OF_RANGE,
    RECENT,
    REPEATS,
    RESET,
    RESETS,
    SAMPLES,
    SEASON_MEAN,
    SHORT_COUNT,
    SKIPPED,
    USED_NS,
    WARM_LEFT,
    WARM_UP,
)
from edgelstm.kernels.rest import rest_of

REFUSED, ACCEPTED, ONLY_HELD = range(3)


@njit(inlined=True)
def admit(constants, policies, floats, ints, network, beginning, time_ns, given, values):
    """Return REFUSED, ACCEPTED, or ONLY_HELD where the sample has no value at all but goes on by held ones.

    given   float32 (channels,)  the sample
    values  float32 (channels,)  written: NaN where a value is missing or outside its channel's valid range
    """
    if ints[HAS_LAST] != 0 and time_ns <= ints[LAST_NS]:
        ints[DUPLICATES if time_ns == ints[LAST_NS] else LATE] += 1
        return REFUSED
    ints[HAS_LAST], ints[LAST_NS] = 1, time_ns
    ints[SAMPLES] += 1
    missing = 0
    for c in range(given.shape[0]):
        values[c] = given[c]
        channel = rest_of(constants, FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS)
        x = np.float64(given[c])
        if np.isfinite(given[c]) and (x < channel[LEAST_VALUE] or x > channel[LARGEST_VALUE]):
            ints[OUT_OF_RANGE] += 1
            values[c] = np.nan
        if not np.isfinite(values[c]):
            missing += 1
    if missing > 0:
        ints[MISSING_VALUES] += missing
        if policies[ON_MISSING] != HOLD:
            ints[SKIPPED] += 1
            if policies[ON_MISSING] == RESET and ints[HAS_USED] != 0:
                reset(policies, floats, ints, network, beginning)
                ints[HAS_USED] = 0
            return REFUSED
        ints[HELD] += missing
    if ints[HAS_USED] != 0:
        _look_for_gap(policies, floats, ints, network, beginning, time_ns - ints[USED_NS])
    ints[HAS_USED], ints[USED_NS] = 1, time_ns
    return ONLY_HELD if missing == given.shape[0] else ACCEPTED


@njit(inlined=True)
def _look_for_gap(policies, floats, ints, network, beginning, elapsed_ns):
    if elapsed_ns >= policies[GAP_RESET_NS]:
        ints[GAPS] += 1
        reset(policies, floats, ints, network, beginning)
    elif elapsed_ns > policies[GAP_NS]:
        ints[GAPS] += 1
        ints[HAS_FORECAST] = 0  # it was made for a sample that never came
    elif elapsed_ns < policies[EARLY_NS]:
        ints[EARLY] += 1


@njit
def reset(policies, floats, ints, network, beginning):
    """Return the network and the short means to their beginning and warm up again; baselines are kept."""
    ints[RESETS] += 1
    ints[WARM_LEFT] = policies[WARM_UP]
    ints[HAS_FORECAST], ints[RECENT], ints[CALM] = 0, 0, 0
    for n in range(network.shape[0]):
        for word in range(network.shape[1]):
            network[n, word] = beginning[n, word]
    for c in range(channel_count(policies)):
        word, own = FIRST_CHANNEL_WORD + c * CHANNEL_WORDS, FIRST_CHANNEL_INT + c * CHANNEL_INTS
        ints[own + SHORT_COUNT], ints[own + REPEATS] = 0, 0
        floats[word + FIRST_SIGNAL + MEAN_ERROR] = MEAN_OF_SCALED_ERROR
        floats[word + SEASON_MEAN] = 0.0
