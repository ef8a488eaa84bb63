"""One stream in the daemon: its detector, where it stands, and what of it is to be published."""

from __future__ import annotations

import logging

import msgspec

from edgelstm.alert import Alert, OpenAlert, alert_id
from edgelstm.alert_payload import PAYLOAD_VERSION, alert_payload, timestamp
from edgelstm.config import InputConfig, explain
from edgelstm.daemon.routes import Route
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.topics import encode
from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import ConfigError, SnapshotError
from edgelstm.outbox import Position
from edgelstm.sample import Sample
from edgelstm.sources.codecs import Reading
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdict

_log = logging.getLogger(__name__)
SEQUENCE_WINDOW = 1000
"""A sequence number this little behind the newest is a repeat; further behind, the sender began anew."""
SET_BACK_NS = 60 * 10**9
"""So long may samples be far in the past, one after the other, before we believe that their clock was set back."""


class Watched:
    """A stream that samples have come for."""

    def __init__(self, route: Route, node: str) -> None:
        self.name, self.topic, self.node = route.stream, route.topic, node
        self.input, self.model = route.input, route.model
        settings = settings_of(route.input, route.model)
        self.detector = route.model.detector(settings)
        self.period_ns = settings.period_ns
        self.samples = 0
        self.last_sequence: int | None = None
        self.verdict: Verdict | None = None
        self.resumed = False
        self.snapshot_samples = -1
        self.orphan: bytes | None = None  # the last event of an alert that nobody watches over any more
        self._gap_reset_ns = settings.gap_reset_ns
        self._late_since_ns: int | None = None

    def resume(self, position: Position | None, snapshots: Snapshots) -> int:
        """Go on where the stream stood before a restart; return how many samples its state has not seen."""
        own = position is not None and position.model_digest == self.model.digest
        seen = self._restore_state(position if own else None, snapshots)
        if position is None or not own:
            if position is not None and position.open_alert is not None:
                self._abandon(
                    position.open_alert,
                    position.model_digest,
                    position.last_time_ns,
                    "the model was replaced",
                )
            self.samples = seen or 0
            return 0
        self.last_sequence, self.samples = position.last_sequence, position.samples
        if (
            seen is not None and seen > position.samples
        ):  # a power failure took the newest positions, and no alert
            self.samples = seen
            return 0
        self.detector.adopt(position.open_alert, position.last_time_ns)
        skipped = position.samples - (seen or 0)
        self.resumed = skipped > 0
        return skipped

    def _restore_state(self, position: Position | None, snapshots: Snapshots) -> int | None:
        if position is not None and position.state is not None:
            try:
                self.detector.restore(position.state)
                return position.samples
            except SnapshotError as exc:
                _log.warning("stream=%s event=state-refused reason=%s", self.name, exc)
        seen, refused = snapshots.load(self.name, self.detector.restore)
        for reason in refused:
            _log.warning("stream=%s event=snapshot-refused reason=%s", self.name, reason)
        return seen

    def push(self, reading: Reading, arrival_ns: int) -> Verdict | None:
        """Give one reading to the detector; raises SampleError."""
        time_ns = self._time_of(reading, arrival_ns)
        verdict = self.detector.push(Sample(reading.values, time_ns, reading.sequence))
        self.samples += 1
        if reading.sequence is not None:
            self.last_sequence = reading.sequence
        if verdict is not None:
            self.verdict = verdict
        return verdict

    def is_repeat(self, reading: Reading, *, sent_before: bool) -> bool:
        """Whether a reading without a time of its own was seen already; times are compared by the detector.

        A sender that begins anew counts from 0 or 1; the broker does not say of its samples that it `sent` them `before`.
        """
        if reading.time_ns is not None or reading.sequence is None or self.last_sequence is None:
            return False
        behind = self.last_sequence - reading.sequence
        began_anew = reading.sequence <= 1 < behind and not sent_before
        return 0 <= behind < SEQUENCE_WINDOW and not began_anew

    def clock_was_set_back(self, reading: Reading, arrival_ns: int) -> bool:
        """Whether a minute of samples was far in the past; then the stream begins anew, for they are its present."""
        last_ns = self.detector.last_time_ns
        if reading.time_ns is None or last_ns is None or reading.time_ns > last_ns - self._gap_reset_ns:
            self._late_since_ns = None
            return False
        if self._late_since_ns is None:
            self._late_since_ns = arrival_ns
        if arrival_ns - self._late_since_ns < SET_BACK_NS:
            return False
        opened = self.detector.open_alert
        if opened is not None:
            self._abandon(opened, self.model.digest, last_ns, "the clock of the samples was set back")
        self.detector.reset()
        self._late_since_ns, self.verdict = None, None
        return True

    def _time_of(self, reading: Reading, arrival_ns: int) -> int:
        """Return the reading's own time, else its arrival, which must not go back: the order is that of the link."""
        if reading.time_ns is not None:
            return reading.time_ns
        time_ns = arrival_ns - reading.samples_before_last * self.period_ns
        last_ns = self.detector.last_time_ns
        return time_ns if last_ns is None else max(time_ns, last_ns + 1)

    def position(self, *, with_state: bool) -> Position:
        return Position(
            name=self.name,
            model_digest=self.model.digest,
            last_time_ns=self.detector.last_time_ns,
            last_sequence=self.last_sequence,
            samples=self.samples,
            open_alert=self.detector.open_alert,
            state=self.detector.snapshot() if with_state else None,
        )

    def save(self, snapshots: Snapshots) -> bool:
        """Write a snapshot if there is anything new; return whether there was."""
        if self.snapshot_samples == self.samples:
            return False
        snapshots.save(self.name, self.samples, self.detector.snapshot())
        self.snapshot_samples = self.samples
        return True

    def alert(self, verdict: Verdict) -> bytes:
        """Return the payload of the alert event that `verdict` carries."""
        assert verdict.alert is not None
        return self._event(verdict.alert, self.model.digest)

    def _abandon(self, opened: OpenAlert, model_digest: str, time_ns: int | None, note: str) -> None:
        """Clear an alert that will not be watched any more: readers must not wait for its end for ever."""
        event = Alert(
            event_type="cleared", time_ns=opened.opened_ns if time_ns is None else time_ns, opened_ns=opened.opened_ns,
            severity=opened.severity, score=0.0, peak_score=opened.peak_score, threshold=self.detector.threshold,
            samples=opened.samples, channels=(), note=note,
        )  # fmt: skip
        self.orphan = self._event(event, model_digest)
        _log.warning("stream=%s event=abandoned reason=%s", self.name, note)

    def _event(self, alert: Alert, model_digest: str) -> bytes:
        return encode(
            alert_payload(
                alert,
                node=self.node,
                stream=self.name,
                model=self.model.model.name,
                model_digest=model_digest,
                topic=self.topic,
                resumed=self.resumed,
            )
        )

    @property
    def state_name(self) -> str:
        if self.detector.open_alert is not None:
            return "anomaly"
        return "warming" if self.detector.samples_until_ready else "ok"

    def state(self) -> bytes:
        """Return the payload of the retained state topic."""
        verdict, opened = self.verdict, self.detector.open_alert
        return encode(
            {
                "v": PAYLOAD_VERSION,
                "ts": timestamp(verdict.time_ns) if verdict else None,
                "state": self.state_name,
                "score": verdict.score if verdict else None,
                "threshold": verdict.threshold if verdict else self.detector.threshold,
                "problem": "ON" if opened else "OFF",
                "alert_id": self._alert_id(opened) if opened else None,
                "severity": opened.severity if opened else None,
                "samples": self.samples,
                "samples_until_ready": self.detector.samples_until_ready,
                "counters": self.detector.counters,
                "model": self.model.model.name,
                "model_version": self.model.digest[:12],
                "topic": self.topic,
                "resumed": self.resumed,
            }
        )

    def _alert_id(self, opened: OpenAlert) -> str:
        return alert_id(self.node, self.name, self.model.digest, opened.opened_ns)


def settings_of(entry: InputConfig, model: LoadedModel) -> DetectorSettings:
    """Return the detector settings of the model file, with what the input overrides.

    Raises ConfigError for a model without a detector, and for an override that is none or out of range.
    """
    settings = model.model.detector_settings
    if settings is None:
        raise ConfigError(
            f'input "{entry.name}": model "{entry.model}" carries no detector; make it one with: edgelstm calibrate'
        )
    if not entry.detector:
        return settings
    changes = dict(entry.detector)
    if "threshold" in changes:  # one that is asked for stays: the budget moves it between these two
        for bound in ("threshold_low", "threshold_high"):
            changes.setdefault(bound, changes["threshold"])
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), **changes}, DetectorSettings)
    except msgspec.ValidationError as exc:
        raise ConfigError(f'input "{entry.name}": detector: {explain(str(exc), DetectorSettings)}') from None
