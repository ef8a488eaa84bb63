"""From the float32 sample to int16; twin in `reference/input_stage.py`."""

import numpy as np

from edgelstm.kernels.compiled import njit


@njit(inlined=True)
def quantize_input(sample, offsets, gains, quantized):
    """Write `sat16(rint((x - offset) * gain))`, three IEEE float32 operations, each rounded by itself.

    sample     float32 (channels,)  finite
    offsets    float32 (channels,)
    gains      float32 (channels,)  2**-64 to 2**64
    quantized  int16   (channels,)  written
    """
    for channel in range(sample.shape[0]):
        scaled = np.rint((sample[channel] - offsets[channel]) * gains[channel])
        quantized[channel] = min(max(scaled, np.float32(-32768.0)), np.float32(32767.0))
