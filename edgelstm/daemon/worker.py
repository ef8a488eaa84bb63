"""The one thread that scores: a batch in, its decisions on disk, then its acknowledgements out."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from edgelstm.alert import Alert
from edgelstm.config import Config
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.inbox import Inbox
from edgelstm.daemon.publisher import Publisher
from edgelstm.daemon.routes import Route, Routes
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.topics import Topics, score_payload
from edgelstm.daemon.watched import Watched
from edgelstm.errors import EdgeLstmError, SampleError
from edgelstm.mqtt_link import Link, Message
from edgelstm.outbox import Outbox, Outgoing
from edgelstm.sources.codecs import PayloadError
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdict

_log = logging.getLogger(__name__)
IDLE_S = 0.25
RETRY_S = 1.0
SNAPSHOT_SLICE_S = 0.001


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
        self.link: Link | None = None  # where to acknowledge; set before the thread starts
        self.streams: dict[str, Watched] = {}
        self.failure: BaseException | None = None
        self.outbox: Outbox | None = None  # of this thread; others may look at its numbers
        self._config, self._database, self._snapshots = config, database, snapshots
        self._publisher, self._counters = publisher, counters
        self._topics, self._routes = Topics.of(config), Routes(config, models)
        self._strict = config.durability.mode == "strict"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._last_score_s: dict[str, float] = {}
        self._decided: list[tuple[str, Alert]] = []  # by the batch at hand
        self._to_save: deque[str] = deque()  # streams whose snapshot is due

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
        self._positions = outbox.positions() if durability.mode != "none" else {}
        next_snapshot_s = time.monotonic() + durability.snapshot_interval
        while not self._stopping.is_set():
            batch = self.inbox.take(0.0 if self._to_save else IDLE_S)
            if batch:
                self.process(batch, outbox)
            if time.monotonic() >= next_snapshot_s and not self._to_save:
                self._to_save.extend(self.streams)
                next_snapshot_s = time.monotonic() + durability.snapshot_interval
            self._save_snapshots(SNAPSHOT_SLICE_S)
        self._to_save.extend(self.streams)
        self._save_snapshots(float("inf"))
        outbox.close()

    def process(self, batch: list[Message], outbox: Outbox) -> None:
        """Score a batch; commit what it decided and where its streams stand; publish; only then acknowledge it."""
        alerts: list[Outgoing] = []
        scores: list[Outgoing] = []
        touched: dict[str, Watched] = {}
        for message in batch:
            stream = self._score(message, alerts, scores)
            if stream is not None:
                touched[stream.name] = stream
        committed = self._commit(outbox, alerts, touched)
        for name, alert in self._decided:  # what the log says is in the database
            _log.info(
                "stream=%s event=%s severity=%s score=%.2f threshold=%.2f",
                name, alert.event_type, alert.severity, alert.score, alert.threshold,
            )  # fmt: skip
        self._decided.clear()
        # an alert may be heard before it is on disk: decided again after a power failure, it has the same id
        self._publisher.hand_over(scores, list(touched.values()), alerts=bool(alerts))
        if committed and (self._strict or (alerts and self._config.durability.mode == "alerts")):
            self._until_written(outbox.sync)
        assert self.link is not None
        for message in batch:
            self.link.acknowledge(message)

    def _score(self, message: Message, alerts: list[Outgoing], scores: list[Outgoing]) -> Watched | None:
        """Give the samples of one message to their stream; whatever is wrong with it ends in a count."""
        self._counters.add("messages")
        route = self._routes.find(message.topic)
        if message.retained:  # an old sample that the broker kept: it says nothing of now
            self._counters.add("retained")
            return None
        if route is None:
            self._counters.complain("unrouted", message.topic, "no input's topics match")
            return None
        if len(message.payload) > self._config.mqtt.max_payload:
            self._counters.complain("oversize", message.topic, f"{len(message.payload)} bytes")
            return None
        try:
            readings = route.decode(message.payload)
        except PayloadError as exc:
            self._counters.complain("malformed", message.topic, str(exc))
            return None
        stream = self._stream(route)
        if stream is None:
            return None
        for reading in readings:
            if stream.is_repeat(reading, sent_before=message.repeated):
                self._counters.add("repeated")
                continue
            if stream.clock_was_set_back(reading, message.arrival_ns):
                self._counters.complain("clock_set_back", message.topic, "the stream begins anew")
            try:
                verdict = stream.push(reading, message.arrival_ns)
            except SampleError as exc:
                self._counters.complain("rejected", message.topic, str(exc))
                continue
            self._counters.add("samples")
            if verdict is not None:
                self._counters.add("scored")
                self._publish_verdict(stream, verdict, alerts, scores)
        if stream.orphan is not None:
            self._counters.add("alerts_cleared")
            alerts.insert(0, Outgoing(self._topics.stream(stream.name, "alert"), stream.orphan, "cleared"))
            stream.orphan = None
        return stream

    def _publish_verdict(
        self, stream: Watched, verdict: Verdict, alerts: list[Outgoing], scores: list[Outgoing]
    ) -> None:
        if verdict.alert is not None:
            event = verdict.alert.event_type
            self._counters.add(f"alerts_{event}")
            alerts.append(Outgoing(self._topics.stream(stream.name, "alert"), stream.alert(verdict), event))
            self._decided.append((stream.name, verdict.alert))
        if self._wants_score(stream):
            payload = score_payload(verdict.time_ns, verdict.score, verdict.threshold, verdict.state)
            scores.append(Outgoing(self._topics.stream(stream.name, "score"), payload, "score"))

    def _wants_score(self, stream: Watched) -> bool:
        publish = self._config.publish
        if publish.scores != "on_change":
            return publish.scores == "all"
        now = time.monotonic()
        if now - self._last_score_s.get(stream.name, -1e9) < publish.score_interval:
            return False
        self._last_score_s[stream.name] = now
        return True

    def _stream(self, route: Route) -> Watched | None:
        """Return the stream of a route, made and resumed at its first sample."""
        stream = self.streams.get(route.stream)
        if stream is not None:
            if stream.topic != route.topic:
                self._counters.complain(
                    "stream_conflict", route.topic, f"stream {stream.name} is fed by {stream.topic} already"
                )
                return None
            return stream
        if len(self.streams) >= self._config.limits.max_streams:
            self._counters.complain("stream_limit", route.topic, "limits.max_streams is reached")
            return None
        stream = Watched(route, self._config.node_name)
        skipped = 0
        if self._config.durability.mode != "none":
            skipped = stream.resume(self._positions.get(stream.name), self._snapshots)
            self._counters.add("samples_skipped_by_restart", skipped)
        _log.info(
            "stream=%s event=opened topic=%s samples=%d skipped=%d",
            stream.name,
            stream.topic,
            stream.samples,
            skipped,
        )
        self.streams[stream.name] = stream
        return stream

    def _commit(self, outbox: Outbox, alerts: list[Outgoing], touched: Mapping[str, Watched]) -> bool:
        """Write what a batch decided and where its streams stand; return whether there was anything to write."""
        positions = []
        if self._config.durability.mode != "none":
            positions = [stream.position(with_state=self._strict) for stream in touched.values()]
        if not alerts and not positions:
            return False
        before = dict(outbox.dropped)
        self._until_written(lambda: outbox.commit(alerts, positions))
        for event, dropped in outbox.dropped.items():
            if dropped > before[event]:
                self._counters.add(f"dropped_alerts_{event}", dropped - before[event])
        return True

    def _until_written(self, write: Callable[[], None]) -> None:
        """Write until it is written: nothing is acknowledged before, so the broker keeps what we cannot."""
        while True:
            try:
                write()
                return
            except (sqlite3.Error, OSError) as exc:
                self._counters.complain("commit_failed", str(self._database), str(exc))
                if self._stopping.wait(RETRY_S):
                    raise EdgeLstmError(
                        f"{self._database}: could not be written before the stop: {exc}"
                    ) from exc

    def _save_snapshots(self, at_most_s: float) -> None:
        """Write some of the snapshots that are due: a sample must not wait for those of a thousand streams."""
        if self._config.durability.mode == "none":
            self._to_save.clear()
        end_s = time.monotonic() + at_most_s
        while self._to_save and time.monotonic() < end_s:
            stream = self.streams[self._to_save.popleft()]
            try:
                if stream.save(self._snapshots):
                    self._counters.add("snapshots")
            except OSError as exc:
                self._counters.complain("snapshot_failed", stream.name, exc.strerror or str(exc))
