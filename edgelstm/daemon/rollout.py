"""A new version of a model beside the one in force: watched in the shadow, put in force between two samples, taken back by itself.

    shadow      both judge every sample, what the old one says counts
    probation   both judge every sample, what the new one says counts
    passed      the new one alone
    failed      the old one alone

A stream changes at its next sample, warmed with its recent ones. Each sample counts in exactly one version: where the new one
fails on it, the old one, which has seen every sample too, judges it instead.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from edgelstm.config import ModelConfig
from edgelstm.daemon.watched import Watched
from edgelstm.detector import Detector
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdicts

SHADOW, PROBATION, PASSED, FAILED = "shadow", "probation", "passed", "failed"
TIMED = 10
"""After so many blocks, the median times of a sample are compared; a phase has no fewer."""
TIMES_AS_SLOW = 4.0


class Rollout:
    """One change of one model, from `old` to `new`; owned by the worker's thread.

    phase    one of the four above
    reason   why it failed
    samples  judged by the new version in this phase
    moved    streams that changed their version since somebody looked
    """

    def __init__(self, entry: ModelConfig, old: LoadedModel, new: LoadedModel, phase: str = SHADOW) -> None:
        self.entry, self.old, self.new = entry, old, new
        self.phase, self.reason, self.samples = phase, "", 0
        self.moved: list[str] = []
        self._others: dict[str, Detector] = {}  # of the version that is not in force, by stream
        self._blocks = 0  # in this phase
        self._alerts = {"old": 0, "new": 0}
        self._times_s: dict[str, list[float]] = {"old": [], "new": []}

    @property
    def in_force(self) -> LoadedModel:
        return self.new if self.phase in (PROBATION, PASSED) else self.old

    @property
    def is_over(self) -> bool:
        return self.phase in (PASSED, FAILED)

    @property
    def is_due(self) -> bool:
        """Whether the new version has judged enough samples for the next phase, in enough blocks to be timed."""
        return not self.is_over and self.samples >= self.entry.shadow_samples and self._blocks >= TIMED

    def advance(self) -> None:
        """Go to the next phase: streams take it up at their next sample."""
        self.phase = PROBATION if self.phase == SHADOW else PASSED
        self.samples = self._blocks = 0
        if self.is_over:
            self._others.clear()

    def fail(self, reason: str) -> None:
        """Let the old version judge from the next sample on."""
        self.phase, self.reason = FAILED, reason

    def push(self, stream: Watched, times_ns: NDArray[np.int64], values: NDArray[np.float32]) -> Verdicts:
        """Judge a block of samples; return what the version in force says of it."""
        self._settle(stream)
        if self.is_over:
            self._others.pop(stream.name, None)
            return stream.own_detector.push_block(times_ns, values)
        other = self._others.get(stream.name)
        if other is None:
            missing = self.new if self.phase == SHADOW else self.old
            other = self._others[stream.name] = stream.another(missing)
        if self.phase == SHADOW:
            verdicts = self._timed("old", stream.own_detector, times_ns, values)
            self._try(other, times_ns, values)
            return verdicts
        verdicts = self._timed("old", other, times_ns, values)
        tried = self._try(stream.own_detector, times_ns, values)
        if tried is not None:
            return tried
        stream.use(self.old, other, self.reason, said=False)
        self.moved.append(stream.name)
        return verdicts

    def _settle(self, stream: Watched) -> None:
        """Put the version in force to work on a stream, before its next sample."""
        wanted = self.in_force
        if stream.model is wanted:
            return
        ready, before, model = self._others.pop(stream.name, None), stream.own_detector, stream.model
        stream.use(wanted, ready or stream.another(wanted), self.reason or "the model was replaced")
        if not self.is_over and model in (self.old, self.new):
            self._others[stream.name] = before
        self.moved.append(stream.name)

    def _try(
        self, detector: Detector, times_ns: NDArray[np.int64], values: NDArray[np.float32]
    ) -> Verdicts | None:
        """Let the new version judge; None where it has failed, on these samples or with them."""
        try:
            verdicts = self._timed("new", detector, times_ns, values)
        except Exception as exc:  # whatever it is, the old version can go on
            self.fail(f"{type(exc).__name__} while scoring: {str(exc)[:200]}")
            return None
        judged = verdicts.states >= 0
        self.samples += int(judged.sum())
        self._blocks += 1
        alerts = self._alerts
        if not (
            np.isfinite(verdicts.scores[judged]).all() and np.isfinite(verdicts.thresholds[judged]).all()
        ):
            self.fail("a score is not finite")
        elif alerts["new"] > alerts["old"] + self.entry.alert_budget:
            self.fail(f"raised {alerts['new']} alerts where the version before raised {alerts['old']}")
        elif len(self._times_s["new"]) >= TIMED:
            self._compare_times()
        return None if self.phase == FAILED else verdicts

    def _timed(
        self, which: str, detector: Detector, times_ns: NDArray[np.int64], values: NDArray[np.float32]
    ) -> Verdicts:
        started_s = time.perf_counter()
        verdicts = detector.push_block(times_ns, values)
        self._times_s[which].append((time.perf_counter() - started_s) / len(values))
        self._alerts[which] += sum(alert.event_type == "raised" for alert in verdicts.alerts)
        return verdicts

    def _compare_times(self) -> None:
        """Fail where the new version spends more than its budget, or than a multiple of what the old one takes."""
        old_s, new_s = (statistics.median(self._times_s[which]) for which in ("old", "new"))
        for times_s in self._times_s.values():
            times_s.clear()
        allowed_s = float(self.entry.latency_budget) or TIMES_AS_SLOW * old_s
        if new_s > allowed_s:
            self.fail(
                f"takes {new_s * 1e6:.0f} us a sample, the version before {old_s * 1e6:.0f}, allowed are {allowed_s * 1e6:.0f}"
            )
