"""A sample as raw little-endian float32, and what the device itself decided of it: `edgelstm/device_verdict.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgelstm.device_verdict import verdict_of
from edgelstm.sources.codecs import MISSING, Block, Decode, PayloadError

if TYPE_CHECKING:
    from edgelstm.config import InputConfig


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; a payload holds one sample and one verdict."""
    del entry, period_ns
    row_bytes = 4 * len(channels)

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        del topic, arrival_ns
        if len(payload) < row_bytes:
            raise PayloadError(f"{len(payload)} bytes are no sample of {len(channels)} channels")
        try:
            verdict = verdict_of(payload[row_bytes:], len(channels))
        except ValueError as exc:
            raise PayloadError(str(exc)) from None
        values = np.frombuffer(payload, "<f4", len(channels)).astype(np.float32).reshape(1, -1)
        values[~np.isfinite(values)] = MISSING
        return [Block(values, verdict=verdict)]

    return decode
