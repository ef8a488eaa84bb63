"""A linear readout of the network's hidden values that goes on learning, by recursive least squares: what drifts, it follows.

It forecasts the step of every channel from the hidden values of the last recurrent layer, the values of the channels, and
waves of the season. A network that hears the channels apart has a readout for each, of its own hidden values.

Of every network `floats` holds a block: for each channel that it hears the weights of all features, then the features
of the newest sample, the gains, and the covariance of the weights: its lower triangle, row after row.
"""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.error import channel_count, has_error, is_forecast
from edgelstm.kernels.detection.layout import (
    APART,
    CHANNEL_CONSTANTS,
    CHANNEL_INTS,
    CHANNEL_WORDS,
    ERROR_FLOOR,
    ERROR_GAIN,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_INT,
    FIRST_CHANNEL_WORD,
    FORECAST,
    FORGETTING,
    HIDDEN_COUNT,
    HIDDEN_HALF,
    LAST_VALUE,
    MEAN,
    READOUT_FEATURES,
    READOUT_SCALE,
    READOUT_WORDS,
    RECOVERY_RATIO,
    RECOVERY_WORDS,
    SEASON_BINS,
    SEASON_NS,
    SEEN,
    STEP,
    STEP_SPREAD,
)
from edgelstm.kernels.detection.spread import DEVIATION_OF_SPREAD, LARGEST_ERROR, clip, error_scale

HIDDEN_ONE = 32768.0
HARMONICS = 2
"""Of the season, each as two waves a quarter of its length apart."""

FIRST_VARIANCE = 0.1
LARGEST_VARIANCE = 10.0
"""Of a weight, on average; nothing is forgotten beyond it, or what nothing excites would grow without an end."""

LARGEST_LESSON = 3.0
"""Scales of the error that one sample teaches at most: an outlier is no drift."""

LARGEST_FEATURE = 8.0


@njit(inlined=True)
def _block_words(features, heard):
    """Return how many words are kept for a network."""
    return (heard + 2) * features + features * (features + 1) // 2


@njit(inlined=True)
def first_word(constants, channels):
    """Return where in `floats` READOUT_WORDS of the first channel stand; the blocks follow those of the last."""
    recovery = RECOVERY_WORDS if constants[RECOVERY_RATIO] > 0.0 else 0
    return FIRST_CHANNEL_WORD + channels * (CHANNEL_WORDS + recovery)


@njit
def take_step(constants, floats, channels, c, step):
    """Keep the step of a channel and return what it is divided by."""
    own = floats[first_word(constants, channels) + c * READOUT_WORDS :]
    own[STEP] = abs(step)
    return _step_scale(constants, own, c)


@njit(inlined=True)
def _step_scale(constants, own, c):
    channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
    return max(DEVIATION_OF_SPREAD * own[STEP_SPREAD], channel[ERROR_FLOOR])


@njit(inlined=True)
def _block_at(constants, policies, n, heard):
    """Return where in `floats` the block of network `n` begins."""
    channels, words = channel_count(policies), _block_words(policies[READOUT_FEATURES], heard)
    return first_word(constants, channels) + channels * READOUT_WORDS + n * words


@njit
def expect(constants, policies, floats, ints, network, time_ns):
    """Put what the readout expects of the next sample in the place of the network's forecasts.

    network  int32 (networks, words)  its states after this sample
    """
    features, heard = policies[READOUT_FEATURES], channel_count(policies) // network.shape[0]
    for n in range(network.shape[0]):
        block = floats[_block_at(constants, policies, n, heard) :]
        seen = block[heard * features :]
        gains = seen[features:]
        halves = network[n].view(np.int16)[policies[HIDDEN_HALF] :]
        _look(constants, policies, floats, ints, halves, n * heard, heard, time_ns, seen)
        multiply(gains[features:], seen, gains, features)
        for c in range(n * heard, (n + 1) * heard):
            if is_forecast(policies, c):
                channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
                state = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS :]
                step = _sum_of_products(block[(c - n * heard) * features :], seen, features)
                state[FORECAST] = state[LAST_VALUE] + channel[READOUT_SCALE] * clip(step, LARGEST_FEATURE)


@njit
def _look(constants, policies, floats, ints, halves, first, heard, time_ns, seen):
    """Write the features of a sample to `seen`: hidden values, the values of channels from `first` on, 1, waves."""
    hidden = policies[HIDDEN_COUNT]
    for i in range(hidden):
        seen[i] = np.float64(halves[i]) / HIDDEN_ONE
    for c in range(first, first + heard):
        channel, away = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :], 0.0
        if ints[FIRST_CHANNEL_INT + c * CHANNEL_INTS + SEEN] != 0:
            last = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS + LAST_VALUE]
            away = (last - channel[MEAN]) / channel[READOUT_SCALE]
        seen[hidden + c - first] = clip(away, LARGEST_FEATURE)
    at = hidden + heard
    seen[at] = 1.0
    if policies[SEASON_BINS] > 0:
        phase = np.float64(time_ns % policies[SEASON_NS]) / np.float64(policies[SEASON_NS])
        for harmonic in range(HARMONICS):
            turned = phase * (harmonic + 1.0)
            seen[at + 1 + 2 * harmonic] = wave(turned)
            seen[at + 2 + 2 * harmonic] = wave(turned + 0.25)


@njit(inlined=True)
def wave(turned):
    """Return a wave of length 1, a parabola for either half of it, which is within 0.06 of a sine.

    turned  0 up to 1 + HARMONICS
    """
    while turned >= 1.0:
        turned = turned - 1.0
    if turned < 0.5:
        return 16.0 * turned * (0.5 - turned)
    return -16.0 * (turned - 0.5) * (1.0 - turned)


@njit(inlined=True)
def _sum_of_products(a, b, count):
    total = 0.0
    for i in range(count):
        total = total + a[i] * b[i]
    return total


@njit
def multiply(covariance, seen, gains, features):
    """Write to `gains` the product of the covariance, of which `covariance` is the lower triangle, with the features."""
    first = 0
    for i in range(features):
        row, factor, total = covariance[first:], seen[i], 0.0
        for j in range(i):
            total = total + row[j] * seen[j]
        for j in range(i):
            gains[j] = gains[j] + row[j] * factor
        gains[i] = total + row[i] * factor
        first = first + i + 1


@njit
def learn(constants, policies, floats, ints, networks, values):
    """Learn from a sample that is taken for normal: how far the step of every channel was from what was expected."""
    features, heard = policies[READOUT_FEATURES], channel_count(policies) // networks
    for n in range(networks):
        block = floats[_block_at(constants, policies, n, heard) :]
        seen = block[heard * features :]
        gains = seen[features:]
        covariance = gains[features:]
        variance = _sum_of_products(seen, gains, features)
        if not variance >= 0.0:  # what rounding has made of it is no covariance any more
            begin(covariance, features)
            continue
        kept = constants[FORGETTING] if _trace(covariance, features) < LARGEST_VARIANCE * features else 1.0
        share, taught = 1.0 / (kept + variance), 0
        for c in range(n * heard, (n + 1) * heard):
            if np.isfinite(values[c]) and has_error(policies, ints, c):
                lesson = share * _lesson(constants, floats, ints, policies, c, np.float64(values[c]))
                weights = block[(c - n * heard) * features :]
                for i in range(features):
                    weights[i] = weights[i] + gains[i] * lesson
                taught = 1
        if taught != 0:
            _narrow(covariance, gains, features, share, 1.0 / kept)


@njit
def _lesson(constants, floats, ints, policies, c, x):
    """Return what was not expected of a channel, in its own scale; move the spread of its steps."""
    channel = constants[FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS :]
    state = floats[FIRST_CHANNEL_WORD + c * CHANNEL_WORDS :]
    own = floats[first_word(constants, channel_count(policies)) + c * READOUT_WORDS :]
    if policies[APART] != 0:
        step = min(own[STEP], LARGEST_ERROR * _step_scale(constants, own, c)) - own[STEP_SPREAD]
        own[STEP_SPREAD] = own[STEP_SPREAD] + constants[ERROR_GAIN] * step
    return clip(x - state[FORECAST], LARGEST_LESSON * error_scale(channel, state)) / channel[READOUT_SCALE]


@njit(inlined=True)
def _trace(covariance, features):
    total, at = 0.0, 0
    for i in range(features):
        total = total + covariance[at]
        at = at + i + 2
    return total


@njit
def _narrow(covariance, gains, features, share, widened):
    """Take from the covariance what a sample has said, and widen what is left."""
    first = 0
    for i in range(features):
        row, factor = covariance[first:], share * gains[i]
        for j in range(i + 1):
            row[j] = (row[j] - factor * gains[j]) * widened
        first = first + i + 1


@njit
def begin(covariance, features):
    """Make the weights as unsure as they are in the beginning."""
    at = 0
    for i in range(features):
        for j in range(i):
            covariance[at + j] = 0.0
        covariance[at + i] = FIRST_VARIANCE
        at = at + i + 1
