"""One stream in the daemon: its detector, where it stands, and what of it is to be published."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from edgelstm.alert import OpenAlert, alert_id
from edgelstm.alert_payload import PAYLOAD_VERSION, alert_payload, timestamp
from edgelstm.config import InputConfig
from edgelstm.daemon.routes import Route
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.topics import encode
from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import ConfigError, EdgeLstmError, SnapshotError
from edgelstm.outbox import Position
from edgelstm.sample import Sample
from edgelstm.sources.codecs import Reading
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdict

_log = logging.getLogger(__name__)
SEQUENCE_WINDOW = 1000
"""A sequence number this little behind the newest is a repeat; further behind, the sender began anew."""


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
        self.published_state: tuple[Any, ...] = ()

    def resume(self, position: Position | None, snapshots: Snapshots) -> int:
        """Go on where the stream stood before a restart; return how many samples its state has not seen."""
        own = position is not None and position.model_digest == self.model.digest
        seen = self._restore_state(position if own else None, snapshots)
        if position is None or not own:
            self.samples = seen or 0
            return 0
        self.detector.adopt(position.open_alert, position.last_time_ns)
        self.last_sequence, self.samples = position.last_sequence, position.samples
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
        if self._is_repeat(reading):
            return None
        time_ns = reading.time_ns
        if time_ns is None:
            time_ns = arrival_ns - reading.samples_before_last * self.period_ns
        verdict = self.detector.push(Sample(reading.values, time_ns, reading.sequence))
        self.samples += 1
        if reading.sequence is not None:
            self.last_sequence = reading.sequence
        if verdict is not None:
            self.verdict = verdict
        return verdict

    def _is_repeat(self, reading: Reading) -> bool:
        """Whether a reading without a time of its own was seen before; times are compared by the detector."""
        if reading.time_ns is not None or reading.sequence is None or self.last_sequence is None:
            return False
        behind = self.last_sequence - reading.sequence
        return 0 <= behind < SEQUENCE_WINDOW and reading.sequence != 0

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
        return encode(
            alert_payload(
                verdict.alert,
                node=self.node,
                stream=self.name,
                model=self.model.model.name,
                model_digest=self.model.digest,
                topic=self.topic,
                resumed=self.resumed,
            )
        )

    @property
    def state_name(self) -> str:
        if self.verdict is None:
            return "warming"
        return self.verdict.state

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
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), **entry.detector}, DetectorSettings)
    except (msgspec.ValidationError, EdgeLstmError) as exc:
        raise ConfigError(f'input "{entry.name}": detector: {exc}') from None
