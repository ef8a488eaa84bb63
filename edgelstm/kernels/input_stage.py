"""From the float32 sample to int16; twins in `reference/input_stage.py`."""

import numpy as np

from edgelstm.kernels.compiled import njit


@njit(inlined=True)
def quantize_input(sample, channels, offsets, gains, quantized):
    """Write `sat16(rint((x - offset) * gain))`, three IEEE float32 operations, each rounded by itself; return whether it saturated.

    sample     float32 (channels,)  finite
    offsets    float32 (channels,)
    gains      float32 (channels,)  2**-64 to 2**64
    quantized  int16   (channels,)  written
    """
    changed = np.int32(0)  # bits that limits changed
    for channel in range(channels):
        scaled = np.rint((sample[channel] - offsets[channel]) * gains[channel])
        limited = min(max(scaled, np.float32(-32768.0)), np.float32(32767.0))
        changed |= np.float32(limited).view(np.int32) ^ np.float32(scaled).view(np.int32)
        quantized[channel] = limited
    return changed != 0


@njit
def match(sample, channels, values, count, equal):
    """Return `equal`, 0 or 1, where every one of the channels has its value, else the other.

    sample    float32 (all channels,)
    channels  int32   (>= count,)  their numbers
    values    float32 (>= count,)
    """
    for n in range(count):
        if sample[channels[n]] != values[n]:
            return 1 - equal
    return equal
