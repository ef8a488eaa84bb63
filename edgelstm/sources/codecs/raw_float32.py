"""Raw little-endian float32: one sample after another, channels within a sample; NaN is a missing value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgelstm.sources.codecs import Decode, PayloadError, Reading

if TYPE_CHECKING:
    from edgelstm.config import InputConfig


def make(entry: InputConfig, channels: tuple[str, ...]) -> Decode:
    """Return the decoder; a payload holds one sample or a batch whose last sample is the newest."""
    row_bytes = 4 * len(channels)

    def decode(payload: bytes) -> list[Reading]:
        if not payload or len(payload) % row_bytes:
            raise PayloadError(f"{len(payload)} bytes are no whole number of {len(channels)} float32")
        rows = np.frombuffer(payload, "<f4").astype(np.float32).reshape(-1, len(channels))
        last = len(rows) - 1
        return [Reading(row, samples_before_last=last - number) for number, row in enumerate(rows)]

    return decode
