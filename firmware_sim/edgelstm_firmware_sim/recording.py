"""A recording made as fast as possible, with what was wrong when."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.faults import Fault, severities
from edgelstm_firmware_sim.signals import NODES

EPOCH_NS = 1_767_225_600 * 10**9  # 2026-01-01, so that a recording is the same whenever it is made


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples of one node; `severity` is the worst fault's, 0 where nothing is wrong."""

    times_ns: NDArray[np.int64]
    values: NDArray[np.float32]  # (samples, channels)
    names: tuple[str, ...]
    severity: NDArray[np.float64]  # (samples,)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a column `timestamp` (RFC 3339, UTC) and a column per channel."""
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["timestamp", *self.names])
            for time_ns, row in zip(self.times_ns.tolist(), self.values, strict=True):
                writer.writerow([_rfc3339(time_ns), *(f"{value:.6g}" for value in row)])


def record(
    node: str,
    seconds: float,
    seed: int = 0,
    faults: Sequence[Fault] = (),
    *,
    rate_hz: float | None = None,
    start_ns: int = EPOCH_NS,
) -> Recording:
    """Return `seconds` of the samples of a node, as they would be measured from `start_ns` on.

    Raises KeyError for a node that is not in NODES.
    """
    signal = NODES[node](seed, rate_hz)
    count = int(seconds / signal.period_s + 0.5)
    values = np.empty((count, len(signal.channels)), np.float32)
    severity = np.zeros(count)
    for number in range(count):
        now = severities(faults, number * signal.period_s)
        severity[number] = max(now.values(), default=0.0)
        values[number] = signal.sample(now)
    times_ns = start_ns + np.rint(np.arange(count) * signal.period_s * 1e9).astype(np.int64)
    return Recording(times_ns, values, signal.names(), severity)


def _rfc3339(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9 // 10**6:03d}Z"
