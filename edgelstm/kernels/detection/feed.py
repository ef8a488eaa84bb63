"""What the network is given of a sample: all values as they are, or each channel apart, standardised."""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection import readout
from edgelstm.kernels.detection.layout import (
    APART,
    CHANNEL_CONSTANTS,
    CHANNEL_INTS,
    CHANNEL_WORDS,
    FIRST_CHANNEL_CONSTANT,
    FIRST_CHANNEL_INT,
    FIRST_CHANNEL_WORD,
    HAS_FORECAST,
    LAST_VALUE,
    LONG_COUNT,
    LONG_MEAN,
    MEAN,
    READOUT_FEATURES,
    SEEN,
)
from edgelstm.kernels.detection.spread import clip, error_scale, level_scale
from edgelstm.kernels.rest import rest_of

LARGEST_INPUT = 8.0


@njit(inlined=True)
def fill(constants, policies, floats, ints, values, feed):
    """Write the network's inputs; where a value is missing the last one stands for it, or the calibrated mean.

    Joint, `feed` is float32 (1, channels): the values. Apart, it is float32 (channels, 2): how many deviations the
    value is from the long mean, and how many it is from the last value, in deviations of such steps.
    """
    for c in range(values.shape[0]):
        word, own = FIRST_CHANNEL_WORD + c * CHANNEL_WORDS, FIRST_CHANNEL_INT + c * CHANNEL_INTS
        last = floats[word + LAST_VALUE]
        if np.isfinite(values[c]):
            floats[word + LAST_VALUE] = np.float64(values[c])
            ints[own + SEEN] = 1
        channel = rest_of(constants, FIRST_CHANNEL_CONSTANT + c * CHANNEL_CONSTANTS)
        x = floats[word + LAST_VALUE] if ints[own + SEEN] != 0 else channel[MEAN]
        if policies[APART] == 0:
            feed[0, c] = np.float32(x)
            continue
        state = rest_of(floats, word)
        away, step = 0.0, 0.0
        if ints[own + LONG_COUNT] > 0:
            away = (x - state[LONG_MEAN]) / level_scale(channel, state)
        if ints[HAS_FORECAST] != 0:
            scale = error_scale(channel, state)
            if policies[READOUT_FEATURES] > 0:
                scale = readout.take_step(constants, floats, values.shape[0], c, x - last)
            step = (x - last) / scale
        feed[c, 0] = np.float32(clip(away, LARGEST_INPUT))
        feed[c, 1] = np.float32(clip(step, LARGEST_INPUT))
