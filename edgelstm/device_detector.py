"""A detector that runs on the device: its verdicts become the events that a detector here would have decided.

The device decides; here it is only followed. Every frame says where the alert stands, so lost, doubled and damaged frames
and a reset of the device change at most when an event is heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm import reasons
from edgelstm.alert import Alert, ChannelReason, OpenAlert
from edgelstm.detector import ADOPTED_NOTE, SEVERITIES
from edgelstm.detector_settings import DetectorSettings
from edgelstm.device_verdict import ADOPTED, CRITICAL, DeviceVerdict
from edgelstm.errors import SnapshotError
from edgelstm.snapshot import seal, unseal
from edgelstm.verdict import Verdicts

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

MAGIC = b"ELSTMDEV"
COUNTERS = ("samples", "scored", "raised", "updated", "cleared", "unheard")
UNHEARD_NOTE = "raised and cleared by the device while nothing of it was heard"
_BEGAN_ANEW = 1 << 15  # more alerts than this are not missed: the device has forgotten how many there were


class _State(msgspec.Struct, kw_only=True):
    open: OpenAlert | None = None
    raised: int | None = None  # how many alerts the device had raised when it was last heard
    updates: int = 0
    last_time_ns: int | None = None
    threshold: float
    counters: dict[str, int]


class DeviceDetector:
    """Follows the detector of one device; has what a daemon asks of a `Detector`."""

    def __init__(self, loaded: LoadedModel, settings: DetectorSettings) -> None:
        self.model, self.settings = loaded, settings
        self.channel_names = tuple(channel.name for channel in settings.channels)
        self.reset()

    def reset(self) -> None:
        """Forget all that was heard."""
        self._state = _State(threshold=self.settings.threshold, counters=dict.fromkeys(COUNTERS, 0))

    def follow(
        self, times_ns: NDArray[np.int64], values: NDArray[np.float32], heard: Sequence[DeviceVerdict]
    ) -> Verdicts:
        """Take in verdicts in the order in which they came.

        times_ns  int64   (samples,), increasing
        values    float32 (samples, channels)
        heard     of each sample
        """
        count = len(heard)
        scores, thresholds = np.full(count, np.nan), np.full(count, np.nan)
        states, alerts = np.full(count, -1, np.int8), []
        for row, verdict in enumerate(heard):
            time_ns = int(times_ns[row])
            self._state.last_time_ns = time_ns
            self._state.counters["samples"] += 1
            if verdict.scored:
                self._state.counters["scored"] += 1
                self._state.threshold = verdict.threshold
                scores[row], thresholds[row], states[row] = verdict.score, verdict.threshold, verdict.open
            for alert in self._events(verdict, values[row], time_ns):
                self._state.counters[alert.event_type] += 1
                alerts.append(alert)
        return Verdicts(scores, thresholds, states, alerts)

    def _events(self, verdict: DeviceVerdict, x: NDArray[np.float32], time_ns: int) -> list[Alert]:
        """Return what has happened since the device was last heard."""
        state, events = self._state, []
        if not (verdict.scored or verdict.open):  # it warms up: nothing is decided
            return []
        new = 0 if state.raised is None else (verdict.raised - state.raised) & 0xFFFF
        if new > _BEGAN_ANEW:
            new = verdict.raised
        opened = state.open
        if opened is not None and (new or not verdict.open):
            events.append(self._event("cleared", verdict, x, time_ns, opened))
            opened = None
        unheard = new
        if verdict.open:
            severity = SEVERITIES[bool(verdict.flags & CRITICAL)]
            if opened is None:
                opened = OpenAlert(
                    opened_ns=time_ns, peak_score=verdict.peak, samples=verdict.samples, severity=severity,
                    announced_ns=time_ns, announced_peak=verdict.peak, announced_severity=severity,
                )  # fmt: skip
                events.append(self._event("raised", verdict, x, time_ns, opened))
                unheard = max(new - 1, 0)
            else:
                opened = msgspec.structs.replace(
                    opened, peak_score=verdict.peak, samples=verdict.samples, severity=severity
                )
                if state.raised is not None and verdict.updates != state.updates:
                    opened = msgspec.structs.replace(
                        opened, announced_ns=time_ns, announced_peak=verdict.peak, announced_severity=severity
                    )
                    events.append(self._event("updated", verdict, x, time_ns, opened))
        elif unheard:
            unheard -= 1
            events += [
                self._event(kind, verdict, x, time_ns, None, UNHEARD_NOTE) for kind in ("raised", "cleared")
            ]
        state.counters["unheard"] += unheard
        state.open, state.raised, state.updates = opened, verdict.raised, verdict.updates
        return events

    def _event(
        self,
        kind: str,
        verdict: DeviceVerdict,
        x: NDArray[np.float32],
        time_ns: int,
        opened: OpenAlert | None,
        note: str = "",
    ) -> Alert:
        if kind == "cleared" and verdict.flags & ADOPTED:
            note = ADOPTED_NOTE
        return Alert(
            event_type=kind,
            time_ns=time_ns,
            opened_ns=opened.opened_ns if opened else time_ns,
            severity=SEVERITIES[bool(verdict.flags & CRITICAL)],
            score=verdict.score,
            peak_score=verdict.peak,
            threshold=verdict.threshold,
            samples=verdict.samples,
            channels=self._reasons(verdict, x),
            note=note,
        )

    def _reasons(self, verdict: DeviceVerdict, x: NDArray[np.float32]) -> tuple[ChannelReason, ...]:
        if verdict.reasons is None:
            return ()
        return reasons.of_device(self.channel_names, x.tolist(), verdict.reasons.tolist())

    def snapshot(self) -> bytes:
        return seal(MAGIC, self.model.digest, msgspec.json.encode(self._state))

    def restore(self, snapshot: bytes) -> None:
        """Go on from what a snapshot holds; raises SnapshotError with the state untouched."""
        try:
            self._state = msgspec.json.decode(unseal(MAGIC, self.model.digest, snapshot), type=_State)
        except msgspec.DecodeError as exc:
            raise SnapshotError(f"the snapshot of a device's detector is damaged: {exc}") from None

    def adopt(self, open_alert: OpenAlert | None, last_time_ns: int | None) -> None:
        """Let what a database knows override the state after a restart: what the device did meanwhile is not known."""
        self._state.open, self._state.raised = open_alert, None
        if last_time_ns is not None:
            self._state.last_time_ns = last_time_ns

    def take_saturated(self) -> int:
        """Return 0: what the device limits, it does not say."""
        return 0

    @property
    def counters(self) -> dict[str, int]:
        """What was heard so far, by name; unheard: alerts of which nothing but their number is known."""
        return dict(self._state.counters)

    @property
    def last_time_ns(self) -> int | None:
        return self._state.last_time_ns

    @property
    def samples_until_ready(self) -> int:
        return 0  # the device knows

    @property
    def threshold(self) -> float:
        return self._state.threshold

    @property
    def open_alert(self) -> OpenAlert | None:
        return self._state.open
