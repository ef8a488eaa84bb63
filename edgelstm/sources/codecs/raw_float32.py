"""Raw little-endian float32: one sample after another, channels within a sample; NaN is a missing value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgelstm.sources.codecs import Block, Decode, PayloadError

if TYPE_CHECKING:
    from edgelstm.config import InputConfig


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; a payload holds one sample or a batch whose last sample is the newest."""
    row_bytes = 4 * len(channels)

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        if not payload or len(payload) % row_bytes:
            raise PayloadError(f"{len(payload)} bytes are no whole number of {len(channels)} float32")
        return [
            Block(np.frombuffer(payload, "<f4").astype(np.float32, copy=False).reshape(-1, len(channels)))
        ]

    return decode
