"""Faults put into the test stretch, one at a time, to see which the finished detector finds there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm.stream import LoadedModel
from edgelstm_converters.training import faults
from edgelstm_converters.training.dataset import Dataset

COUNT = 24
"""Of each kind; each in a channel and at a place of its own."""

LONGEST, SHORTEST = 120, 20
DEVIATIONS = 3.0
CANDIDATES = 64
KINDS = ("level shift", "stuck value", "more noise", "break between channels")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Checked:
    """How many faults of a kind raised an alert while they lasted, of how many, and the median samples until then."""

    kind: str
    found: int
    count: int
    delay: float


def check(loaded: LoadedModel, data: Dataset, seed: int = 0) -> list[Checked]:
    """Return what the detector finds of each kind of fault; nothing where the test stretch is too short for it.

    Every fault begins from the detector's state at its place in the clean recording, never while an alert is open there. A break between
    channels gives a channel values of its own from another time, where it stood at the same value: by itself it looks as
    it always does, and only what goes with other channels can be missed. With one channel alone there is no such kind.
    """
    start, rows = data.split.validate, data.split.rows
    length = min(LONGEST, (rows - start) // 6)
    if length < SHORTEST:
        return []
    rng = np.random.default_rng(seed)
    kinds = KINDS if len(data.names) > 1 else KINDS[:-1]
    asked = [
        (int(rng.integers(start, rows - length)), kind, int(rng.choice(data.watched)))
        for kind in kinds
        for _ in range(COUNT)
    ]
    delays: dict[str, list[int]] = {kind: [] for kind in kinds}
    counts = dict.fromkeys(kinds, 0)
    detector, reached = loaded.detector(), 0
    for at, kind, channel in sorted(asked):
        detector.push_block(data.times_ns[reached:at], data.values[reached:at])
        reached = at
        stretch = slice(at, at + length)
        changed = _at_fault(rng, data, kind, channel, stretch)
        labelled = data.labels is not None and bool(data.labels[stretch].any())
        if changed is None or labelled or detector.open_alert is not None:
            continue
        counts[kind] += 1
        before = detector.snapshot()
        alerts = detector.push_block(data.times_ns[stretch], changed).alerts
        raised = next((alert.time_ns for alert in alerts if alert.event_type == "raised"), None)
        detector.restore(before)
        if raised is not None:
            delays[kind].append(int(np.searchsorted(data.times_ns[stretch], raised)))
    return [
        Checked(kind, len(delays[kind]), counts[kind], float(np.median(delays[kind])) if delays[kind] else np.nan)
        for kind in kinds
        if counts[kind]
    ]  # fmt: skip


def _at_fault(
    rng: np.random.Generator, data: Dataset, kind: str, channel: int, stretch: slice
) -> Floats | None:
    """Return the stretch with a fault in one channel; None where the channel has no value there, or nothing would change."""
    values = data.values[stretch].copy()
    own = values[:, channel].astype(np.float64)
    if not np.isfinite(own[0]) or np.isfinite(own).sum() < len(own) // 2:
        return None
    deviation, whole = float(data.std[channel]), slice(0, len(own))
    size = float(rng.choice([-1.0, 1.0])) * DEVIATIONS * deviation
    if kind == "level shift":
        faults.level_shift(rng, own, own, size, whole)
    elif kind == "stuck value":
        faults.stuck(rng, own, own, size, whole)
    elif kind == "more noise":
        faults.noise(rng, own, own, size, whole)
    else:
        own = _of_another_time(rng, data, channel, stretch)
    if np.array_equal(own.astype(np.float32), values[:, channel], equal_nan=True):
        return None
    values[:, channel] = own
    return values


def _of_another_time(
    rng: np.random.Generator, data: Dataset, channel: int, stretch: slice
) -> NDArray[np.float64]:
    """Return the channel's values from elsewhere in its recording, the place of several whose beginning fits best."""
    column, length = data.values[:, channel], stretch.stop - stretch.start
    starts = rng.integers(0, len(column) - length, CANDIDATES)
    starts = starts[np.abs(starts - stretch.start) >= length]
    if not starts.size:
        return column[stretch].astype(np.float64)
    away = np.abs(column[starts] - column[stretch.start]) + np.abs(
        column[starts + 1] - column[stretch.start + 1]
    )
    best = int(starts[np.argmin(np.where(np.isfinite(away), away, np.inf))])
    return column[best : best + length].astype(np.float64)
