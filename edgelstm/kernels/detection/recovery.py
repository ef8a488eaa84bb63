"""Recovery: an open alert is followed on the channels that raised it, and clears when these are back.

Baselines are frozen while an alert is open: a channel that had nothing to do with the fault and drifts meanwhile would
keep it open long after the fault. What such a channel shows when the alert clears is its new normal.
"""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    BEARING,
    CHANNEL_CONSTANTS,
    CHANNEL_WORDS,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_WORD,
    FIRST_SIGNAL,
    FIRST_TAIL,
    FIRST_WEIGHT,
    LARGEST_LEVEL,
    LEVEL,
    OPEN_SAMPLES,
    PART,
    RECOVERY_RATIO,
    RECOVERY_WORDS,
    SHARE,
    TAIL_WORDS,
    THRESHOLD,
)
from edgelstm.kernels.detection.score import fourth_power, fourth_root
from edgelstm.kernels.detection.tail import surprise

BEARING_SAMPLES = 20
"""The first samples of an alert say who raised it."""

BEARING_SHARE = 0.3
"""A channel raised the alert if its part came to so much of the loudest one's: three quarters of it in surprise."""

SPEAKS = 0.5
"""A channel that did not, and alone comes to this share of the threshold, has moved to a level of its own."""


@njit(inlined=True)
def follow(constants, floats, ints, reasons, score):
    """Take in a sample of an open alert; return the score of the channels that raised it and are not back.

    reasons  float64 (channels, 6)  SHARE: the channels' parts of the fourth power of `score`
    """
    channels = reasons.shape[0]
    first = FIRST_CHANNEL_WORD + channels * CHANNEL_WORDS
    for c in range(channels):
        level = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS + FIRST_SIGNAL + LEVEL]
        own = floats[first + c * RECOVERY_WORDS :]
        if ints[OPEN_SAMPLES] == 1:
            own[BEARING], own[LARGEST_LEVEL] = 0.0, 0.0
        own[PART] = reasons[c, SHARE]
        if ints[OPEN_SAMPLES] <= BEARING_SAMPLES:
            own[BEARING] = max(own[BEARING], own[PART])
        own[LARGEST_LEVEL] = max(own[LARGEST_LEVEL], level)
    if ints[OPEN_SAMPLES] <= BEARING_SAMPLES:
        return score
    total, least = 0.0, least_bearing(floats, channels)
    for c in range(channels):
        own = floats[first + c * RECOVERY_WORDS :]
        if own[BEARING] >= least and not _is_back(constants, floats, own, c):
            total = total + own[PART]
    return fourth_root(total)


@njit(inlined=True)
def _is_back(constants, floats, own, c):
    """Return whether the level of a channel, where it was the level that spoke, is back from its largest in the alert."""
    channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
    state = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS :]
    weight, largest = channel[FIRST_WEIGHT + LEVEL], own[LARGEST_LEVEL]
    if weight == 0.0 or state[FIRST_SIGNAL + LEVEL] >= constants[RECOVERY_RATIO] * largest:
        return False
    spoke = fourth_power(weight * surprise(largest, constants, state, FIRST_TAIL + LEVEL * TAIL_WORDS))
    return spoke >= BEARING_SHARE * own[BEARING]


@njit(inlined=True)
def least_bearing(floats, channels):
    """Return the part from which on a channel is one of those that raised the alert."""
    first, most = FIRST_CHANNEL_WORD + channels * CHANNEL_WORDS, 0.0
    for c in range(channels):
        most = max(most, floats[first + c * RECOVERY_WORDS + BEARING])
    return BEARING_SHARE * most


@njit(inlined=True)
def has_moved(floats, channels, c, least):
    """Return whether a channel, when the alert clears, is at a level of its own that did not raise it."""
    own = floats[FIRST_CHANNEL_WORD + channels * CHANNEL_WORDS + c * RECOVERY_WORDS :]
    return own[BEARING] < least and own[PART] > fourth_power(SPEAKS * floats[THRESHOLD])
