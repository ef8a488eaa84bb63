"""From the float32 sample to int16: the only float arithmetic before the last multiplication."""

import numpy as np


def quantize_input(sample, offsets, gains, quantized):
    """Write `sat16(rint((x - offset) * gain))`, three IEEE float32 operations, each rounded by itself; return whether it saturated.

    sample     float32 (channels,)  finite
    offsets    float32 (channels,)
    gains      float32 (channels,)  2**-64 to 2**64, so that a subnormal sample cannot reach one step
    quantized  int16   (channels,)  written
    """
    with np.errstate(over="ignore"):  # an infinite product saturates like any other
        scaled = np.rint((sample - offsets) * gains)
    limited = np.clip(scaled, -32768.0, 32767.0)
    quantized[: sample.shape[0]] = limited
    return bool((limited != scaled).any())


def match(sample, channels, values, equal):
    """Return `equal`, 0 or 1, where every one of the channels has its value, else the other.

    sample    float32 (all channels,)
    channels  int32   (n,)  their numbers
    values    float32 (n,)
    """
    return equal if (sample[channels] == values).all() else 1 - equal
