"""Verdicts against a column of labels: sample by sample, and event by event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How verdicts and labels agree, on samples that have both.

    found, events   labelled events that an alert meets, of how many
    false_events    alerts that meet no labelled event
    false_per_day   of normal samples
    delay_s         median from the start of an event to the first sample of an alert in it
    """

    precision: float
    recall: float
    f1: float
    found: int
    events: int
    false_events: int
    false_per_day: float
    delay_s: float


def judge(
    times_ns: NDArray[np.int64], states: NDArray[np.int8], labels: NDArray[np.float32], period_ns: int
) -> LabelScore:
    """Judge states (-1 none, 0 ok, 1 anomaly) against labels (0 normal, else fault, NaN unknown), all (samples,)."""
    known = (states >= 0) & np.isfinite(labels)
    alarm, fault = (states == 1) & known, (labels != 0) & known
    hit = int((alarm & fault).sum())
    precision, recall = hit / max(int(alarm.sum()), 1), hit / max(int(fault.sum()), 1)
    events, alerts = _runs(fault), _runs(alarm)
    first = [np.flatnonzero(alarm[a : b + 1]) for a, b in events]
    delays = [
        float(times_ns[a + at[0]] - times_ns[a]) / 1e9
        for (a, _), at in zip(events, first, strict=True)
        if at.size
    ]
    false = sum(not fault[a : b + 1].any() for a, b in alerts)
    days = float((known & ~fault).sum()) * period_ns / _DAY_NS
    return LabelScore(
        precision=precision,
        recall=recall,
        f1=2.0 * precision * recall / (precision + recall) if hit else 0.0,
        found=len(delays),
        events=len(events),
        false_events=false,
        false_per_day=false / days if days > 0.0 else 0.0,
        delay_s=float(np.median(delays)) if delays else float("nan"),
    )


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
