"""Faults that begin, grow to their full size over a ramp, and may stop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by its name; severity 0 to 1 grows linearly over `ramp_s` from `start_s` on.

    Times are seconds since the device was switched on.
    """

    name: str
    start_s: float
    ramp_s: float = 20.0
    stop_s: float | None = None

    def severity(self, at_s: float) -> float:
        """Return how far the fault has grown at `at_s`: 0 before and after, 1 at its full size."""
        if at_s < self.start_s or (self.stop_s is not None and at_s >= self.stop_s):
            return 0.0
        return 1.0 if self.ramp_s <= 0 else min(1.0, (at_s - self.start_s) / self.ramp_s)


def severities(faults: Iterable[Fault], at_s: float) -> dict[str, float]:
    """Return the severity of every fault that is on, by name."""
    found: dict[str, float] = {}
    for fault in faults:
        severity = fault.severity(at_s)
        if severity > 0.0:
            found[fault.name] = max(severity, found.get(fault.name, 0.0))
    return found
