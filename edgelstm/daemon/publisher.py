"""The one thread that publishes: alerts from the outbox until the broker has them, scores and states as they come."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.config import Config
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.metrics import Histogram
from edgelstm.daemon.topics import ONLINE, Topics
from edgelstm.mqtt_link import Link, Sent
from edgelstm.outbox import Outbox, Outgoing

if TYPE_CHECKING:
    from edgelstm.daemon.watched import Watched

_log = logging.getLogger(__name__)
WINDOW = 64
"""Alerts on the way at the same time."""
MOST_SCORES = 10_000
IDLE_S = 0.5


class Publisher:
    """Publishes through the out-link, alerts in the order they were decided.

    A new connection begins with the oldest alert that is still in the outbox, whatever was on its way on the one before.
    """

    def __init__(
        self,
        config: Config,
        database: Path,
        counters: Counters,
        info: Callable[[], bytes],
        health: Callable[[], bytes],
    ) -> None:
        self.link: Link | None = None  # set before the thread starts
        self.waiting = 0  # alerts in the outbox
        self._config, self._database, self._counters = config, database, counters
        self._topics, self._info, self._health = Topics.of(config), info, health
        self._scores: deque[Outgoing] = deque(maxlen=MOST_SCORES)
        self._states: dict[str, tuple[float, bytes, tuple[object, ...]]] = {}
        self._due: dict[str, bytes] = {}  # retained states to publish, the newest of each stream
        self._kept: dict[str, bytes] = {}  # retained messages by topic, and those of them that are due
        self._kept_due: dict[str, bytes] = {}
        self.delivery_s = Histogram()
        self.progress_s = time.monotonic()
        self._lock = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._generation = 0  # of the connection that everything has been published on
        self._on_the_way: dict[Sent, int] = {}  # to the place in the outbox
        self._urgent: deque[tuple[Outgoing, threading.Semaphore]] = deque()
        self._urgent_on_the_way: dict[Sent, threading.Semaphore] = {}
        self._sent_s: dict[Sent, float] = {}
        self._cursor = 0  # the last place that was published on this connection
        self._delivered: list[int] = []  # places that are to be deleted
        self._refused = 0  # alerts that the broker did not want on this connection
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        assert self.link is not None
        self.link.on_published = self._wake.set
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> None:
        """Publish what waits, for at most `timeout_s`, and return."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def connected(self, session_kept: bool) -> None:
        """Look at once: a new connection is there."""
        self._wake.set()

    def hand_over(self, scores: Sequence[Outgoing], streams: Sequence[Watched], *, alerts: bool) -> None:
        """Take what a batch has to tell; called by the worker, after the batch is committed."""
        now = time.monotonic()
        interval_s = self._config.publish.state_interval
        with self._lock:
            if len(self._scores) + len(scores) > MOST_SCORES:
                self._counters.add("dropped_scores", len(self._scores) + len(scores) - MOST_SCORES)
            self._scores.extend(scores)
            for stream in streams:
                key = (stream.state_name, stream.detector.open_alert is not None)
                last_s, _, published = self._states.get(stream.name, (-1e9, b"", ()))
                if key != published or now - last_s >= interval_s:
                    payload = stream.state()
                    self._states[stream.name] = (now, payload, key)
                    self._due[stream.name] = payload
            wanted = bool(scores or self._due or alerts)
        if wanted:
            self._wake.set()

    def reply(self, topic: str, payload: bytes) -> None:
        """Publish a word to the sender of a payload as soon as there is a connection."""
        with self._lock:
            self._scores.append(Outgoing(topic, payload, "reply"))
        self._wake.set()

    def keep(self, topic: str, payload: bytes) -> None:
        """Publish a retained message, now and on every new connection; nothing where it is published already."""
        with self._lock:
            if self._kept.get(topic) == payload:
                return
            self._kept[topic] = self._kept_due[topic] = payload
        self._wake.set()

    def forget(self, stream: str) -> None:
        """Remember no state of a stream that is evicted; what the broker keeps of it stays there."""
        with self._lock:
            self._states.pop(stream, None)
            self._kept.pop(self._topics.stream(stream, "availability"), None)

    def remove(self, stream: str, topics: Sequence[str]) -> None:
        """Take retained messages of a stream that is gone back from the broker, also from one that is away now."""
        with self._lock:
            self._states.pop(stream, None)
            self._due.pop(stream, None)
            gone = dict.fromkeys(topics, b"")
            self._kept |= gone
            self._kept_due |= gone
        self._wake.set()

    def keep_again(self, prefix: str) -> None:
        """Publish retained messages below a topic once more: somebody asks for them."""
        with self._lock:
            self._kept_due |= {topic: kept for topic, kept in self._kept.items() if topic.startswith(prefix)}
        self._wake.set()

    def deliver(self, alerts: Sequence[Outgoing], timeout_s: float) -> bool:
        """Publish alerts past the outbox, where it cannot be written; return whether the broker has taken them in time."""
        if not alerts:
            return True
        if self.link is None or not self.link.connected:
            return False
        taken = threading.Semaphore(0)
        with self._lock:
            self._urgent.extend((alert, taken) for alert in alerts)
        self._wake.set()
        end_s = time.monotonic() + timeout_s
        return all(taken.acquire(timeout=max(0.0, end_s - time.monotonic())) for _ in alerts)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as exc:
            self.failure = exc
            _log.exception("event=publisher-failed")

    def _work(self) -> None:
        assert self.link is not None
        outbox = Outbox(self._database)
        next_health_s = next_count_s = 0.0
        while True:
            self._wake.wait(IDLE_S)
            self.progress_s = time.monotonic()
            self._wake.clear()
            self._turn(outbox)
            if self.link.connected and time.monotonic() >= next_health_s:
                self.link.publish(self._topics.health, self._health())
                next_health_s = time.monotonic() + self._config.publish.health_interval
            stopping = self._stopping.is_set()
            if stopping or time.monotonic() >= next_count_s:
                self.waiting = outbox.size()[0]
                next_count_s = time.monotonic() + IDLE_S
            if stopping and (not self.link.connected or self.waiting <= self._refused):
                outbox.close()
                return

    def _turn(self, outbox: Outbox) -> None:
        """Publish what there is, alerts first; what the broker has taken is deleted after, for nobody waits for that."""
        assert self.link is not None
        self._note_delivered()
        if self.link.connected:
            node = self._begin_connection(outbox)
            self._publish_urgent()
            self._publish_alerts(outbox)
            self._publish_retained(node)
            self._publish_scores()
        self._delete_delivered(outbox)

    def _begin_connection(self, outbox: Outbox) -> dict[str, bytes]:
        """On a new connection, begin with the oldest alert and have all retained messages due: the broker may have lost them.

        Returns who we are, to be told there.
        """
        assert self.link is not None
        if self.link.generation == self._generation:
            return {}
        self._delete_delivered(outbox)
        with self._lock:
            self._generation, self._cursor = self.link.generation, 0
            self._on_the_way.clear()
            self._sent_s.clear()
            self._urgent_on_the_way.clear()
            self._refused = 0
            self._due = {name: payload for name, (_, payload, _) in self._states.items()}
            self._kept_due = dict(self._kept)
            return {self._topics.status: ONLINE, self._topics.info: self._info()}

    def _publish_retained(self, node: dict[str, bytes]) -> None:
        """Publish the states that changed, behind the alerts that changed them, for those are waited for."""
        assert self.link is not None
        with self._lock:
            due, self._due = self._due, {}
            kept, self._kept_due = self._kept_due, {}
        messages = {
            **kept,
            **node,
            **{self._topics.stream(name, "state"): payload for name, payload in due.items()},
        }
        for topic, payload in messages.items():
            self.link.publish(topic, payload, qos=1, retain=True)

    def _publish_alerts(self, outbox: Outbox) -> None:
        """Publish what waits in the outbox, oldest first, as far as the window allows."""
        assert self.link is not None
        room = WINDOW - len(self._on_the_way)
        for message in outbox.messages_after(self._cursor, room) if room > 0 else ():
            sent = self.link.publish(message.topic, message.payload, qos=1)
            if sent is None:
                return
            self._on_the_way[sent] = message.sequence
            self._sent_s[sent] = time.monotonic()
            self._cursor = message.sequence

    def _publish_urgent(self) -> None:
        assert self.link is not None
        with self._lock:
            urgent = list(self._urgent)
            self._urgent.clear()
        for alert, taken in urgent:
            sent = self.link.publish(alert.topic, alert.payload, qos=1)
            if sent is not None:
                self._urgent_on_the_way[sent] = taken

    def _publish_scores(self) -> None:
        assert self.link is not None
        with self._lock:
            scores = list(self._scores)
            self._scores.clear()
        for score in scores:
            if self.link.publish(score.topic, score.payload) is None:
                self._counters.add("dropped_scores")

    def _note_delivered(self) -> None:
        """Note what the broker has taken; what it refuses stays, and is tried again on the next connection."""
        assert self.link is not None
        while not self.link.published.empty():
            sent, taken = self.link.published.get()
            waiting = self._urgent_on_the_way.pop(sent, None)
            if waiting is not None and taken:
                waiting.release()
            sequence = self._on_the_way.pop(sent, None)
            if sequence is None:
                continue
            self.delivery_s.add(time.monotonic() - self._sent_s.pop(sent, time.monotonic()))
            if taken:
                self._delivered.append(sequence)
            else:
                self._refused += 1
                self._counters.complain(
                    "publish_refused", self._topics.node, "check the broker's access rules"
                )

    def _delete_delivered(self, outbox: Outbox) -> None:
        """Delete what the broker has taken from the database."""
        if not self._delivered:
            return
        try:
            outbox.delete(self._delivered)
        except (
            sqlite3.Error
        ) as exc:  # tried again; after a restart it would be published again, with the same id
            self._counters.complain("delete_failed", str(self._database), str(exc))
            return
        self._counters.add("alerts_delivered", len(self._delivered))
        self._delivered.clear()
