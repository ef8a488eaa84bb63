"""The one thread that scores: a batch in, its decisions on disk, then its acknowledgements out."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm.alert import Alert
from edgelstm.alert_payload import alert_payload
from edgelstm.config import Config
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.errands import Errands
from edgelstm.daemon.home_assistant import discovery, discovery_topic
from edgelstm.daemon.inbox import Inbox
from edgelstm.daemon.intake import Intake
from edgelstm.daemon.metrics import Histogram
from edgelstm.daemon.positions import MappedPositions, lasting_folder
from edgelstm.daemon.publisher import Publisher
from edgelstm.daemon.rollouts import Rollouts
from edgelstm.daemon.saving import Saving
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.suspects import Suspects
from edgelstm.daemon.topics import OFFLINE, ONLINE, Topics, encode, score_payload
from edgelstm.daemon.watched import Samples, Watched, abandoned
from edgelstm.detector import Detector
from edgelstm.detector_batch import push_together
from edgelstm.device_detector import DeviceDetector
from edgelstm.errors import EdgeLstmError, UsageError
from edgelstm.message import Message
from edgelstm.outbox import Outbox, Outgoing, Position
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdicts

_log = logging.getLogger(__name__)
IDLE_S = 0.25
RETRY_S = 1.0
POSITIONS = "positions"


class Worker:
    """Owns every stream's detector; nothing else touches them."""

    def __init__(
        self,
        config: Config,
        models: Mapping[str, LoadedModel],
        database: Path,
        snapshots: Snapshots,
        publisher: Publisher,
        counters: Counters,
    ) -> None:
        self.inbox = Inbox(config.limits.queue, counters)
        self.failure: BaseException | None = None
        self.outbox: Outbox | None = None  # of this thread; others may look at its numbers
        self._config, self._database, self._snapshots = config, database, snapshots
        self._publisher, self._counters = publisher, counters
        self._topics = Topics.of(config)
        self._intake = Intake(config, models, snapshots, counters, publisher.reply)
        self.streams = self._intake.streams
        self._strict = config.durability.mode == "strict"
        self.errands = Errands()
        self.rollouts = Rollouts(self._intake.replace, self._moved)
        self.batch_s = Histogram()
        self.progress_s = time.monotonic()
        self._next_silence_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._last_score_s: dict[str, float] = {}
        self._decided: list[tuple[str, Alert]] = []  # by the batch at hand
        self._unwritten: dict[str, Position] = {}  # since the disk is full
        self.unwritten = ""  # why the database cannot be written, while it cannot
        self._numbered = any(entry.subject for entry in config.input)
        self._places: dict[str, int] = {}  # how far sources were read that number their messages
        self._samples = self._scored = self._saturated = 0  # of the batch at hand
        self._shown: set[str] = set()  # streams that were announced
        self._saving = Saving(snapshots, self.streams, counters, config.durability)
        self._mapped: MappedPositions | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand, write snapshots, and return."""
        self._stopping.set()
        self.inbox.close()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as exc:
            self.failure = exc
            _log.exception("event=worker-failed")

    def _work(self) -> None:
        durability = self._config.durability
        outbox = Outbox(self._database, durability.outbox_max_bytes, durability.outbox_max_age)
        self.outbox = outbox
        self._suspects = Suspects(
            self._database.parent, self._counters, lasting_folder(self._database.parent)
        )
        if durability.mode != "none":
            self._intake.positions = self._positions_of_before(outbox)
        next_snapshot_s = time.monotonic() + durability.snapshot_interval
        while not self._stopping.is_set():
            self.progress_s = time.monotonic()
            self.errands.do()
            self._look_for_silence()
            batch = self.inbox.take(0.0 if self._saving.may() else IDLE_S)
            for part in self._suspects.apart(batch):
                if self._stopping.is_set():
                    break
                if not self._suspects.is_dead_letter(part):
                    self.process(part, outbox)
                else:
                    self._note_places(part)
                    self._commit(outbox, [], {})
                for origin, messages in groupby(part, attrgetter("origin")):
                    if origin is not None:
                        origin.acknowledge(list(messages))
                self._suspects.acquit(part)
            if time.monotonic() >= next_snapshot_s and not self._saving:
                for name in self._intake.evict_idle(time.monotonic()):
                    self._shown.discard(name)
                    self._last_score_s.pop(name, None)
                    self._publisher.forget(name)
                self._saving.add(self.streams)
                next_snapshot_s = time.monotonic() + durability.snapshot_interval
            self._saving.some()
        self._saving.add(self.streams)
        self._saving.all()
        if not self._strict:  # what is in memory ends with the service
            for stream in self.streams.values():
                stream.recorded = False
            self._commit(outbox, [], self.streams)
        os.sync()
        self._suspects.close()
        if self._mapped is not None:
            self._mapped.close()
        outbox.close()

    def _positions_of_before(self, outbox: Outbox) -> dict[str, Position]:
        """Return where every stream stood at the end of the process before, and leave it in the database."""
        self._mapped = MappedPositions(lasting_folder(self._database.parent) / POSITIONS)
        positions = self._mapped.merged(outbox.positions())
        self._until_written(lambda: outbox.commit([], positions.values()))
        self._mapped.clear()
        return positions

    def process(self, batch: list[Message], outbox: Outbox) -> None:
        """Score a batch, commit what it decided and where its streams stand, publish; then it may be acknowledged."""
        alerts: list[Outgoing] = []
        scores: list[Outgoing] = []
        touched: dict[str, Watched] = {}
        started_s = time.monotonic()
        self._counters.add("messages", len(batch))
        self._suspects.entering(batch)
        for message in batch:
            self._intake.take(message, touched)
        for stream in touched.values():
            if stream.stale or stream.name not in self._shown:
                stream.stale = False
                self._shown.add(stream.name)
                self._show(stream)
            if self.rollouts.known:
                stream.rollout = self.rollouts.of(stream)
        for stream, times_ns, verdicts in self._verdicts(touched):
            self._tell(stream, times_ns, verdicts, alerts, scores)
        for stream in touched.values():
            self._clear_orphan(stream, alerts)
        self._suspects.left()
        self._note_places(batch)
        self._counters.add("samples", self._samples)
        self._counters.add("scored", self._scored)
        self._counters.add("saturated", self._saturated)
        self._samples = self._scored = self._saturated = 0
        committed = self._commit(outbox, alerts, touched)
        # an alert may be heard before it is on disk: decided again after a power failure, it has the same id
        self._publisher.hand_over(scores, list(touched.values()), alerts=bool(alerts))
        if committed and (self._strict or (alerts and self._config.durability.mode == "alerts")):
            self._until_written(outbox.sync)  # the publisher works meanwhile; all that can wait comes after
        self._note_positions(touched)
        for name, alert in self._decided:  # what the log says is in the database
            _log.info(
                "stream=%s event=%s severity=%s score=%.2f threshold=%.2f",
                name, alert.event_type, alert.severity, alert.score, alert.threshold,
            )  # fmt: skip
        self._decided.clear()
        self.batch_s.add(time.monotonic() - started_s)
        self.rollouts.look_after()

    def _moved(self, stream: str) -> None:
        """Tell of a stream that has another version; a snapshot of the one before would be refused after a crash."""
        self._show(self.streams[stream])
        self._saving.add([stream])

    def remove(self, name: str) -> None:
        """Forget a stream for good, and take back what is published of it; samples that still come open it anew."""
        assert self.outbox is not None
        stream = self.streams.get(name)
        position = stream.position(with_state=False) if stream else self._intake.positions.get(name)
        if position is None:
            raise UsageError(f'no stream is named "{name}"; see: edgelstm stream list')
        messages = []
        if position.open_alert is not None:
            event = abandoned(position.open_alert, position.last_time_ns, 0.0, "the stream was removed")
            payload = alert_payload(
                event, node=self._config.node_name, stream=name, model=stream.model.model.name if stream else "",
                model_digest=position.model_digest, topic=stream.topic if stream else None, resumed=False,
            )  # fmt: skip
            messages.append(Outgoing(self._topics.stream(name, "alert"), encode(payload), "cleared"))
        self.outbox.forget_stream(name, messages)
        self._snapshots.remove(name)
        for known in (self.streams, self._intake.positions, self._last_score_s):
            known.pop(name, None)
        self._shown.discard(name)
        self._saving.discard(name)
        topics = [self._topics.stream(name, leaf) for leaf in ("state", "availability")]
        self._publisher.remove(name, [*topics, discovery_topic(self._config, name)])

    def _look_for_silence(self) -> None:
        """Once a second: which streams are silent for too long, or no longer are."""
        now_s = time.monotonic()
        if now_s < self._next_silence_s:
            return
        self._next_silence_s = now_s + 1.0
        for stream in self.streams.values():
            stale = stream.is_stale(now_s)
            if stale != stream.stale:
                stream.stale = stale
                self._publisher.hand_over([], [stream], alerts=False)
                self._show(stream)

    def _show(self, stream: Watched) -> None:
        """Publish what others need to know of a stream that came, went silent or came back."""
        availability = OFFLINE if stream.stale else ONLINE
        self._publisher.keep(self._topics.stream(stream.name, "availability"), availability)
        if self._config.homeassistant.enabled:
            self._publisher.keep(discovery_topic(self._config, stream.name), discovery(self._config, stream))

    def _verdicts(
        self, touched: Mapping[str, Watched]
    ) -> Iterator[tuple[Watched, NDArray[np.int64], Verdicts]]:
        """Score what streams gathered, those of one model and settings in one call; yield times and verdicts of each."""
        together: dict[int, list[tuple[Watched, Detector, Samples]]] = {}
        for stream in touched.values():
            detector = stream.detector
            alone = stream.rollout is not None or isinstance(detector, DeviceDetector)
            samples = None if alone else stream.gathered()
            if samples is None or isinstance(detector, DeviceDetector):
                yield from ((stream, *found) for found in stream.score())
            else:
                together.setdefault(id(stream.input), []).append((stream, detector, samples))
        for group in together.values():
            found = push_together([(detector, *samples) for _, detector, samples in group])
            for (stream, _, (times_ns, values)), verdicts in zip(group, found, strict=True):
                stream.scored(times_ns, values, verdicts)
                yield stream, times_ns, verdicts

    def _tell(
        self,
        stream: Watched,
        times_ns: NDArray[np.int64],
        verdicts: Verdicts,
        alerts: list[Outgoing],
        scores: list[Outgoing],
    ) -> None:
        """Put what was decided to `alerts`, and what else there is to tell to `scores`."""
        scored = np.flatnonzero(verdicts.states >= 0)
        self._samples += len(times_ns)
        self._scored += len(scored)
        self._saturated += stream.detector.take_saturated()
        for alert in verdicts.alerts:
            self._counters.add(f"alerts_{alert.event_type}")
            topic = self._topics.stream(stream.name, "alert")
            alerts.append(Outgoing(topic, stream.event(alert, stream.model.digest), alert.event_type))
            self._decided.append((stream.name, alert))
            stream.recorded = False
        if len(scored) and self._wants_score(stream):
            rows = scored if self._config.publish.scores == "all" else scored[-1:]
            scores.extend(self._score_payloads(stream, times_ns[rows], verdicts, rows))

    def _clear_orphan(self, stream: Watched, alerts: list[Outgoing]) -> None:
        if stream.orphan is not None:
            self._counters.add("alerts_cleared")
            topic = self._topics.stream(stream.name, "alert")
            alerts.insert(0, Outgoing(topic, stream.orphan, "cleared"))
            stream.orphan, stream.recorded = None, False

    def _score_payloads(
        self, stream: Watched, times_ns: NDArray[np.int64], verdicts: Verdicts, rows: NDArray[np.intp]
    ) -> Iterator[Outgoing]:
        topic = self._topics.stream(stream.name, "score")
        for time_ns, score, threshold, state in zip(
            times_ns.tolist(), verdicts.scores[rows].tolist(), verdicts.thresholds[rows].tolist(),
            verdicts.states[rows].tolist(), strict=True,
        ):  # fmt: skip
            payload = score_payload(time_ns, score, threshold, "anomaly" if state else "ok")
            yield Outgoing(topic, payload, "score")

    def _wants_score(self, stream: Watched) -> bool:
        publish = self._config.publish
        if publish.scores != "on_change":
            return publish.scores == "all"
        now = time.monotonic()
        if now - self._last_score_s.get(stream.name, -1e9) < publish.score_interval:
            return False
        self._last_score_s[stream.name] = now
        return True

    def _note_places(self, batch: list[Message]) -> None:
        if self._numbered:
            self._places.update((m.origin.place, m.mid) for m in batch if m.origin and m.origin.place)

    def _commit(self, outbox: Outbox, alerts: list[Outgoing], touched: Mapping[str, Watched]) -> bool:
        """Write what a batch decided and where its streams stand; return whether there was anything to write."""
        behind: list[Watched] = []
        if self._config.durability.mode != "none":
            whole = self._strict or self._numbered
            behind = [stream for stream in touched.values() if whole or not stream.recorded]
        before = dict(outbox.dropped)
        self._unwritten.update((stream.name, stream.position(with_state=self._strict)) for stream in behind)
        if not alerts and not self._unwritten and not self._places:
            return False
        if not self._until_written(
            lambda: outbox.commit(alerts, self._unwritten.values(), self._places), alerts
        ):
            return False
        for stream in behind:
            stream.recorded = True
        self._unwritten.clear()
        self._places.clear()
        for event, dropped in outbox.dropped.items():
            if dropped > before[event]:
                self._counters.add(f"dropped_alerts_{event}", dropped - before[event])
        return True

    def _until_written(self, write: Callable[[], None], alerts: list[Outgoing] | None = None) -> bool:
        """Write until it is written: nothing is acknowledged before, so the broker keeps what we cannot.

        But in `alerts` mode it is enough that the broker has taken the `alerts` themselves: a full disk must not silence
        us. Then positions wait for the next batch, and False is returned.
        """
        while True:
            try:
                write()
                if self.unwritten:
                    self.unwritten = ""
                    _log.info("event=written-again database=%s", self._database)
                return True
            except (sqlite3.Error, OSError) as exc:
                self.unwritten = f"{self._database} cannot be written: {exc}"
                self.progress_s = time.monotonic()  # waiting for a disk is no stall
                self._counters.complain("commit_failed", str(self._database), str(exc))
                if alerts is not None and not self._strict and self._publisher.deliver(alerts, RETRY_S):
                    self._counters.add("alerts_not_stored", len(alerts))
                    return False
                if self._stopping.wait(RETRY_S / 10 if alerts else RETRY_S):
                    raise EdgeLstmError(
                        f"{self._database}: could not be written before the stop: {exc}"
                    ) from exc

    def _note_positions(self, touched: Mapping[str, Watched]) -> None:
        """Note where streams stand for the process after this one, where the database has not got all of it."""
        if self._mapped is None or self._strict or self._numbered:
            return
        try:
            for stream in touched.values():
                self._mapped.write(stream.position(with_state=False))
        except OSError as exc:  # of a stream that there is no room for, the database has an older position
            self._counters.complain("positions_failed", POSITIONS, str(exc))
