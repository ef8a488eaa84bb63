"""Verdicts against a column of labels: sample by sample, and event by event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAY_NS = 86_400 * 10**9
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How verdicts and labels agree, on samples that have both.

    found, events   labelled events that an alert meets, of how many
    alerts          stretches of samples in an alert
    false_events    alerts that meet no labelled event
    false_per_day   of normal samples
    delay_s         median from the start of an event to the first sample of an alert in it
    """

    precision: float
    recall: float
    f1: float
    found: int
    events: int
    alerts: int
    false_events: int
    false_per_day: float
    delay_s: float

    @property
    def event_f1(self) -> float:
        """Harmonic mean of the share of events that are found and the share of alerts that meet one; 0 to 1.

        Long events and long alerts count as short ones do: 2 TP / (2 TP + FP + FN) with found events, false alerts and
        missed events, where several alerts in one event are no false ones. 1 where there was nothing to find and nothing was
        said.
        """
        missed = self.events - self.found
        total = 2 * self.found + self.false_events + missed
        return 2 * self.found / total if total else 1.0

    @property
    def line(self) -> str:
        """All of it for a reader."""
        delay = f", median delay {self.delay_s:.3g} s" if self.found else ""
        return (
            f"precision {self.precision:.3f}, recall {self.recall:.3f}, F1 {self.f1:.3f}; "
            f"{self.found} of {self.events} events found{delay}; "
            f"{self.false_events} false event{'' if self.false_events == 1 else 's'}, {self.false_per_day:.3g} per day of normal samples; event F1 {self.event_f1:.3f}"
        )


class Agreement:
    """Verdicts and labels, part by part; runs go on from one part to the next."""

    def __init__(self) -> None:
        self._hits = self._alarms = self._faults = self._normal = 0
        self._events = self._alerts = self._false = 0
        self._delays_s: list[float] = []
        self._event_ns: int | None = None  # start of the labelled event that goes on
        self._event_found = False
        self._alert_met: bool | None = None  # whether the alert that goes on has met an event
        self._period_ns = 0

    def add(
        self,
        times_ns: NDArray[np.int64],
        states: NDArray[np.int8],
        labels: NDArray[np.float32],
        period_ns: int,
    ) -> None:
        """Take in states (-1 none, 0 ok, 1 anomaly) and labels (0 normal, else fault, NaN unknown), all (samples,)."""
        known = (states >= 0) & np.isfinite(labels)
        alarm, fault = (states == 1) & known, (labels != 0) & known
        self._period_ns = self._period_ns or period_ns
        self._hits += int((alarm & fault).sum())
        self._alarms += int(alarm.sum())
        self._faults += int(fault.sum())
        self._normal += int((known & ~fault).sum())
        self._add_events(times_ns, alarm, fault)
        self._add_alerts(alarm, fault)

    def _add_events(self, times_ns: NDArray[np.int64], alarm: Flags, fault: Flags) -> None:
        if fault.size and not fault[0]:
            self._event_ns = None
        for first, last in _runs(fault):
            if first or self._event_ns is None:
                self._events += 1
                self._event_ns, self._event_found = int(times_ns[first]), False
            at = np.flatnonzero(alarm[first : last + 1])
            if at.size and not self._event_found:
                self._event_found = True
                self._delays_s.append(float(times_ns[first + at[0]] - self._event_ns) / 1e9)
            if last + 1 < fault.size:
                self._event_ns = None

    def _add_alerts(self, alarm: Flags, fault: Flags) -> None:
        if alarm.size and not alarm[0]:
            self._end_alert()
        for first, last in _runs(alarm):
            if self._alert_met is None:
                self._alerts += 1
                self._alert_met = False
            self._alert_met |= bool(fault[first : last + 1].any())
            if last + 1 < alarm.size:
                self._end_alert()

    def _end_alert(self) -> None:
        self._false += self._alert_met is False
        self._alert_met = None

    def result(self) -> LabelScore:
        """Return how they agree so far."""
        precision, recall = self._hits / max(self._alarms, 1), self._hits / max(self._faults, 1)
        false = self._false + (self._alert_met is False)
        days = float(self._normal) * self._period_ns / _DAY_NS
        return LabelScore(
            precision=precision,
            recall=recall,
            f1=2.0 * precision * recall / (precision + recall) if self._hits else 0.0,
            found=len(self._delays_s),
            events=self._events,
            alerts=self._alerts,
            false_events=false,
            false_per_day=false / days if days > 0.0 else 0.0,
            delay_s=float(np.median(self._delays_s)) if self._delays_s else float("nan"),
        )


def judge(
    times_ns: NDArray[np.int64], states: NDArray[np.int8], labels: NDArray[np.float32], period_ns: int
) -> LabelScore:
    """Judge all samples at once; arguments as of `Agreement.add`."""
    agreement = Agreement()
    agreement.add(times_ns, states, labels, period_ns)
    return agreement.result()


def _runs(flags: Flags) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
