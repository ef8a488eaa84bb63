"""The device's idea of the time: a cheap crystal that runs a little fast or slow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """UTC as the device believes it: off by `offset_s` at switch-on, then by `drift_ppm` more with every second."""

    started_ns: int
    offset_s: float = 0.0
    drift_ppm: float = 0.0

    def reads_ns(self, true_ns: int) -> int:
        """Return what the device reads when the true time is `true_ns`."""
        since = true_ns - self.started_ns
        return true_ns + round(self.offset_s * 1e9 + since * self.drift_ppm * 1e-6)
