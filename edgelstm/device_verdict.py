"""What a device that has a detector of its own says with a sample: its verdict, and where its alert stands.

    flags, updates, 1 byte each | alerts raised so far, 2 bytes | samples of the alert, 4 bytes | score, threshold, peak, float64
    and, by a flag, for each channel: expected, half the width of the band, share, float32

Little-endian. Every verdict says the whole state of the alert, so one that is lost loses nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HEAD = struct.Struct("<BBHIddd")
SCORED, OPEN, CRITICAL, ADOPTED, REASONS = 1, 2, 4, 8, 16
_KNOWN = SCORED | OPEN | CRITICAL | ADOPTED | REASONS
REASON_BYTES = 12


@dataclass(frozen=True, slots=True, eq=False)
class DeviceVerdict:
    """One verdict as it came.

    flags    SCORED, OPEN and so on
    updates  how often alerts were updated, modulo 2**8; raised: how many were raised, modulo 2**16
    samples  of the alert that is open, or of the last one
    reasons  float32 (channels, 3): expected, band, share; None where there are none
    """

    flags: int
    updates: int
    raised: int
    samples: int
    score: float
    threshold: float
    peak: float
    reasons: NDArray[np.float32] | None

    @property
    def scored(self) -> bool:
        return bool(self.flags & SCORED)

    @property
    def open(self) -> bool:
        return bool(self.flags & OPEN)


def verdict_of(content: bytes, channels: int) -> DeviceVerdict:
    """Return the verdict in `content`; raises ValueError, with a short reason, where it is none for so many channels."""
    if len(content) < _HEAD.size:
        raise ValueError(f"{len(content)} bytes are no verdict")
    flags, updates, raised, samples, score, threshold, peak = _HEAD.unpack_from(content)
    expected = _HEAD.size + (REASON_BYTES * channels if flags & REASONS else 0)
    if len(content) != expected or flags & ~_KNOWN:
        raise ValueError(f"a verdict of {len(content)} bytes with flags {flags}, expected {expected} bytes")
    reasons = np.frombuffer(content, "<f4", offset=_HEAD.size).astype(np.float32).reshape(-1, 3)
    if not (np.isfinite([score, threshold, peak]).all() and np.isfinite(reasons).all()):
        raise ValueError("a verdict with a number that is none")
    if flags & OPEN and not flags & REASONS:
        raise ValueError("an open alert without reasons")
    return DeviceVerdict(
        flags, updates, raised, samples, score, threshold, peak, reasons if flags & REASONS else None
    )
