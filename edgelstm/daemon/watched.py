"""One stream in the daemon: its detector, where it stands, and what of it is to be published."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgelstm.alert import Alert, OpenAlert, alert_id
from edgelstm.alert_payload import PAYLOAD_VERSION, alert_payload, timestamp
from edgelstm.daemon.recent import Recent
from edgelstm.daemon.routes import Route, settings_of
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.topics import encode
from edgelstm.detector import Detector
from edgelstm.device_detector import DeviceDetector
from edgelstm.device_verdict import DeviceVerdict
from edgelstm.errors import SnapshotError
from edgelstm.outbox import Position
from edgelstm.sources.codecs import Block
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdicts

if TYPE_CHECKING:
    from edgelstm.daemon.rollout import Rollout

_log = logging.getLogger(__name__)
SEQUENCE_WINDOW = 1000
"""A sequence number this little behind the newest is a repeat; further behind, the sender began anew."""
SEQUENCE_LEAP = 1_000_000
"""A sequence number so far ahead is no gap: the sender counts from somewhere else."""
SET_BACK_NS = 60 * 10**9
"""So long may samples be far in the past or ahead, one after the other, before we believe their clock."""


Samples = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Times and values."""
Gathered = tuple[NDArray[np.int64], NDArray[np.float32], DeviceVerdict | None]
"""Times and values of one block, and the verdict that came with its only sample where a device decides."""


class Watched:
    """A stream that samples have come for."""

    def __init__(self, name: str, route: Route, node: str, future_s: float = 300.0) -> None:
        self.name, self.topic, self.node = name, route.topic, node
        self.input, self.model = route.input, route.model
        self.detector: Detector | DeviceDetector = (
            DeviceDetector(route.model, route.settings)
            if route.input.format == "device"
            else route.model.detector(route.settings)
        )
        self.period_ns = route.settings.period_ns
        self.samples = self.missing = (
            0  # taken in; not seen although their sequence numbers were passed, not yet told
        )
        self.last_sequence: int | None = None
        self.last_verdict: tuple[int, float, float] | None = None  # time, score, threshold
        self.resumed = self.paused = self.stale = False
        self.recorded = False  # whether the database knows all that it has to of this stream
        self.snapshot_samples = -1
        self.touched_s = 0.0  # when the last sample came, monotonic
        self.orphan: bytes | None = None  # the last event of an alert that nobody watches over any more
        self.rollout: Rollout | None = None  # a change of its model that is on its way
        self._recent = Recent(route.settings.warm_up, len(route.model.channel_names))
        self._gap_reset_ns = route.settings.gap_reset_ns
        self._future_ns = int(future_s * 1e9)
        self._late_since_ns: int | None = None
        self._ahead_since_ns: int | None = None
        self._newest_ns: int | None = None  # of what was gathered or scored
        self._segments: list[list[Gathered]] = [[]]  # anew from one to the next

    def resume(self, position: Position | None, snapshots: Snapshots) -> int:
        """Go on where the stream stood before a restart; return how many samples its state has not seen."""
        skipped = self._resume(position, snapshots)
        self._newest_ns = self.detector.last_time_ns
        return skipped

    def _resume(self, position: Position | None, snapshots: Snapshots) -> int:
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
            if position is not None:  # what another model has judged is not judged again
                self.last_sequence = position.last_sequence
                self.detector.adopt(None, position.last_time_ns)
            return 0
        self.last_sequence, self.samples = position.last_sequence, position.samples
        if (
            seen is not None and seen > position.samples
        ):  # a power failure took the newest positions, and no alert
            self.samples = seen
            return 0
        self.detector.adopt(self._further(position.open_alert), position.last_time_ns)
        skipped = position.samples - (seen or 0)
        self.resumed = skipped > 0
        return skipped

    def _further(self, known: OpenAlert | None) -> OpenAlert | None:
        """Return an open alert as the database has it, or as a snapshot does that saw more of it."""
        own = self.detector.open_alert
        if known is None or own is None or own.opened_ns != known.opened_ns:
            return known
        return max(known, own, key=lambda alert: alert.samples)

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

    def gather(self, block: Block, arrival_ns: int, *, sent_before: bool = False) -> str:
        """Put a block beside those that wait for `score`; return the counter of what is odd about it, "" if nothing is.

        What is `repeated` or of the `future` is left out; after `clock_set_back` the stream begins anew.
        """
        if self.paused:
            return "paused"  # counted
        if self._is_repeat(block, sent_before=sent_before):
            return "repeated"  # counted
        if self._is_of_the_future(block, arrival_ns):
            return "future"  # counted
        set_back = self._clock_was_set_back(block, arrival_ns)
        if set_back:
            self._newest_ns = None
            self._segments.append([])
        if block.sequence is not None:
            self.missing += self._missing_before(block)
            self.last_sequence = block.sequence
        times_ns = self._times_of(block, arrival_ns)
        last_ns = int(times_ns[-1])
        self._newest_ns = last_ns if self._newest_ns is None else max(self._newest_ns, last_ns)
        self._segments[-1].append((times_ns, block.values, block.verdict))
        return "clock_set_back" if set_back else ""

    @property
    def own_detector(self) -> Detector:
        """The detector, where it runs here and not on the device."""
        assert isinstance(self.detector, Detector)
        return self.detector

    def gathered(self) -> Samples | None:
        """Return what waits to be scored, in order; None where the stream begins anew in its middle: `score` does that."""
        if len(self._segments) > 1 or not self._segments[0]:
            return None
        segment, self._segments = self._segments[0], [[]]
        return _joined(segment)

    def score(self) -> Iterator[tuple[NDArray[np.int64], Verdicts]]:
        """Give what was gathered to the detector; yield times and verdicts of it, in order."""
        segments, self._segments = self._segments, [[]]
        for number, segment in enumerate(segments):
            if number:
                self._begin_anew("the clock of the samples was set back")
            if segment:
                times_ns, values = _joined(segment)
                if isinstance(self.detector, DeviceDetector):
                    heard = [verdict for _, _, verdict in segment if verdict is not None]
                    verdicts = self.detector.follow(times_ns, values, heard)
                elif self.rollout is None:
                    verdicts = self.detector.push_block(times_ns, values)
                else:
                    verdicts = self.rollout.push(self, times_ns, values)
                self.scored(times_ns, values, verdicts)
                yield times_ns, verdicts

    def scored(self, times_ns: NDArray[np.int64], values: NDArray[np.float32], verdicts: Verdicts) -> None:
        """Note that the detector has taken samples in, and what it said of them."""
        self.samples += len(times_ns)
        self._recent.add(times_ns, values)
        for row in range(len(times_ns) - 1, -1, -1):
            if verdicts.states[row] >= 0:
                self.last_verdict = (
                    int(times_ns[row]), float(verdicts.scores[row]), float(verdicts.thresholds[row]),
                )  # fmt: skip
                break

    def _is_repeat(self, block: Block, *, sent_before: bool) -> bool:
        """Whether a block without a time of its own was seen already; times are compared by the detector.

        A sender that begins anew counts from 0 or 1; the broker does not say of its samples that it `sent` them `before`.
        """
        if block.time_ns is not None or block.sequence is None or self.last_sequence is None:
            return False
        behind = self.last_sequence - block.sequence
        began_anew = block.sequence <= 1 < behind and not sent_before
        return 0 <= behind < SEQUENCE_WINDOW and not began_anew

    def _missing_before(self, block: Block) -> int:
        """Return how many sequence numbers lie between the newest sample and this one, if it counts samples."""
        if self.last_sequence is None or block.sequence is None or len(block.values) > 1:
            return 0
        missing = block.sequence - self.last_sequence - 1
        return missing if 0 < missing < SEQUENCE_LEAP else 0

    def _is_of_the_future(self, block: Block, arrival_ns: int) -> bool:
        """Whether one time is too far ahead; where a minute of samples is, it is our own clock that is behind."""
        if block.time_ns is None or block.time_ns <= arrival_ns + self._future_ns:
            self._ahead_since_ns = None
            return False
        if self._ahead_since_ns is None:
            self._ahead_since_ns = arrival_ns
        return arrival_ns - self._ahead_since_ns < SET_BACK_NS

    def _clock_was_set_back(self, block: Block, arrival_ns: int) -> bool:
        """Whether a minute of samples was far in the past; then the stream begins anew, for they are its present.

        The clock is the sender's, or our own where samples are stamped at arrival.
        """
        newest_ns = self._newest_ns
        time_ns = arrival_ns if block.time_ns is None else block.time_ns
        if newest_ns is None or time_ns > newest_ns - self._gap_reset_ns:
            self._late_since_ns = None
            return False
        if self._late_since_ns is None:
            self._late_since_ns = arrival_ns
        if arrival_ns - self._late_since_ns < SET_BACK_NS:
            return False
        self._late_since_ns = None
        return True

    def _begin_anew(self, why: str) -> None:
        opened = self.detector.open_alert
        if opened is not None:
            self._abandon(opened, self.model.digest, self.detector.last_time_ns, why)
        self.detector.reset()
        self.last_verdict = None

    def _times_of(self, block: Block, arrival_ns: int) -> NDArray[np.int64]:
        """Return the times of a block's samples: their own, else from its arrival back, but never before what was."""
        count, newest_ns = len(block.values), self._newest_ns
        if block.time_ns is not None or newest_ns is None:
            last_ns = arrival_ns if block.time_ns is None else block.time_ns
        else:
            last_ns = max(arrival_ns, newest_ns + count)
        if count == 1:
            return np.array([last_ns])
        back = np.arange(count - 1, -1, -1)
        first_ns = last_ns - (count - 1) * self.period_ns
        if block.time_ns is None and newest_ns is not None and first_ns <= newest_ns:  # a batch came early
            return last_ns - back * ((last_ns - newest_ns) // count)
        return last_ns - back * self.period_ns

    def another(self, model: LoadedModel) -> Detector:
        """Return a detector of another version of the model, warmed with what is remembered of this stream."""
        detector = model.detector(settings_of(self.input, model))
        detector.push_block(*self._recent.in_order())
        return detector

    def use(self, model: LoadedModel, detector: Detector, note: str, *, said: bool = True) -> None:
        """Let another detector judge from the next sample on.

        An alert of the one before is cleared, if it was `said`; one of the new one, which nobody has heard of, is forgotten.
        """
        opened, newest_ns = self.detector.open_alert, self.detector.last_time_ns
        if opened is not None and said:
            self._abandon(opened, self.model.digest, newest_ns, note)
        detector.take_saturated()  # of samples that the one before has counted
        detector.adopt(None, newest_ns)
        self.model, self.detector, self.snapshot_samples = model, detector, -1
        self.recorded = False

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

    def save(self, snapshots: Snapshots) -> int:
        """Write a snapshot if there is anything new; return how many bytes."""
        if self.snapshot_samples == self.samples:
            return 0
        size = snapshots.save(self.name, self.samples, self.detector.snapshot())
        self.snapshot_samples = self.samples
        return size

    def _abandon(self, opened: OpenAlert, model_digest: str, time_ns: int | None, note: str) -> None:
        """Clear an alert that will not be watched any more: readers must not wait for its end for ever."""
        event = abandoned(opened, time_ns, self.detector.threshold, note)
        self.orphan = self.event(event, model_digest)
        _log.warning("stream=%s event=abandoned reason=%s", self.name, note)

    def event(self, alert: Alert, model_digest: str) -> bytes:
        """Return the payload of an alert event."""
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

    def pause(self, paused: bool) -> None:
        """Let samples pass unseen from now on, or look at them again."""
        self.paused = paused

    def forget(self) -> None:
        """Begin anew, as if there had been no sample; an alert that is open is cleared."""
        newest = self.detector.last_time_ns
        self._begin_anew("the stream was reset by request")
        self.detector.adopt(None, newest)  # samples of before the reset stay known

    def is_stale(self, now_s: float) -> bool:
        """Whether nothing has come for longer than its input's `stale_after`."""
        return 0.0 < self.input.stale_after < now_s - self.touched_s

    @property
    def state_name(self) -> str:
        if self.paused:
            return "paused"
        if self.stale:
            return "stale"
        if self.detector.open_alert is not None:
            return "anomaly"
        return "warming" if self.detector.samples_until_ready else "ok"

    def state(self) -> bytes:
        """Return the payload of the retained state topic."""
        (time_ns, score, threshold), opened = (
            self.last_verdict or (None, None, None),
            self.detector.open_alert,
        )
        return encode(
            {
                "v": PAYLOAD_VERSION,
                "ts": None if time_ns is None else timestamp(time_ns),
                "state": self.state_name,
                "score": score,
                "threshold": self.detector.threshold if threshold is None else threshold,
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


def _joined(segment: list[Gathered]) -> Samples:
    if len(segment) == 1:
        return segment[0][:2]
    return np.concatenate([times for times, _, _ in segment]), np.concatenate(
        [rows for _, rows, _ in segment]
    )


def abandoned(opened: OpenAlert, time_ns: int | None, threshold: float, note: str) -> Alert:
    """Return the last event of an alert that nobody watches over any more."""
    return Alert(
        event_type="cleared", time_ns=opened.opened_ns if time_ns is None else time_ns, opened_ns=opened.opened_ns,
        severity=opened.severity, score=0.0, peak_score=opened.peak_score, threshold=threshold,
        samples=opened.samples, channels=(), note=note,
    )  # fmt: skip
