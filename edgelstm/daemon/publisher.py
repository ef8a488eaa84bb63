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
from edgelstm.daemon.topics import ONLINE, Topics
from edgelstm.mqtt_link import Link
from edgelstm.outbox import Outbox, Outgoing

if TYPE_CHECKING:
    from edgelstm.daemon.watched import Watched

_log = logging.getLogger(__name__)
WINDOW = 64
"""Alerts on the way at the same time."""
MOST_SCORES = 10_000
IDLE_S = 0.5


class Publisher:
    """Publishes through the out-link. Every message it hands to the link is known here by its id."""

    def __init__(
        self,
        config: Config,
        database: Path,
        counters: Counters,
        info: Callable[[], bytes],
        health: Callable[[], bytes],
    ) -> None:
        self.link: Link | None = None  # set before the thread starts
        self.progress_s = time.monotonic()
        self.waiting = 0  # alerts in the outbox
        self._config, self._database, self._counters = config, database, counters
        self._topics, self._info, self._health = Topics.of(config), info, health
        self._scores: deque[Outgoing] = deque(maxlen=MOST_SCORES)
        self._states: dict[str, tuple[float, bytes, tuple[object, ...]]] = {}
        self._due: dict[str, bytes] = {}  # retained states to publish, the newest of each stream
        self._lock = threading.Lock()
        self._wake, self._stopping, self._announce = threading.Event(), threading.Event(), threading.Event()
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
        """Tell everybody that we are here and how every stream is: the broker may have lost it."""
        self._announce.set()
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

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as exc:
            self.failure = exc
            _log.exception("event=publisher-failed")

    def _work(self) -> None:
        assert self.link is not None
        outbox = Outbox(self._database)
        on_the_way: dict[int, int] = {}  # message id to place in the outbox; 0: not from there
        cursor, next_health_s = 0, 0.0
        while True:
            self._wake.wait(IDLE_S)
            self._wake.clear()
            self._forget_delivered(outbox, on_the_way)
            if self.link.connected:
                self._publish_retained(on_the_way)
                cursor = self._publish_alerts(outbox, on_the_way, cursor)
                self._publish_scores(on_the_way)
                if time.monotonic() >= next_health_s:
                    self._send(self._topics.health, self._health(), 0, False, on_the_way, 0)
                    next_health_s = time.monotonic() + self._config.publish.health_interval
            self.waiting = outbox.size()[0] if on_the_way or not self.link.connected else 0
            self.progress_s = time.monotonic()
            if self._stopping.is_set() and (not self.link.connected or not self.waiting):
                outbox.close()
                return

    def _publish_alerts(self, outbox: Outbox, on_the_way: dict[int, int], cursor: int) -> int:
        """Publish what waits in the outbox, oldest first, as far as the window allows; return the new cursor."""
        room = WINDOW - sum(1 for sequence in on_the_way.values() if sequence)
        for message in outbox.messages_after(cursor, max(room, 0)):
            if not self._send(message.topic, message.payload, 1, False, on_the_way, message.sequence):
                break
            cursor = message.sequence
        return cursor

    def _publish_retained(self, on_the_way: dict[int, int]) -> None:
        with self._lock:
            if self._announce.is_set():
                self._announce.clear()
                self._due = {name: payload for name, (_, payload, _) in self._states.items()}
                node = {self._topics.status: ONLINE, self._topics.info: self._info()}
            else:
                node = {}
            due, self._due = self._due, {}
        messages = {**node, **{self._topics.stream(name, "state"): payload for name, payload in due.items()}}
        for topic, payload in messages.items():
            self._send(topic, payload, 1, True, on_the_way, 0)

    def _publish_scores(self, on_the_way: dict[int, int]) -> None:
        with self._lock:
            scores = list(self._scores)
            self._scores.clear()
        for score in scores:
            self._send(score.topic, score.payload, 0, False, on_the_way, 0)

    def _send(
        self, topic: str, payload: bytes, qos: int, retain: bool, on_the_way: dict[int, int], sequence: int
    ) -> bool:
        assert self.link is not None
        mid = self.link.publish(topic, payload, qos=qos, retain=retain)
        if mid is None:
            return False
        on_the_way[mid] = sequence
        return True

    def _forget_delivered(self, outbox: Outbox, on_the_way: dict[int, int]) -> None:
        assert self.link is not None
        delivered = []
        while not self.link.published.empty():
            sequence = on_the_way.pop(self.link.published.get(), 0)
            if sequence:
                delivered.append(sequence)
        if not delivered:
            return
        try:
            outbox.delete(delivered)
            self._counters.add("alerts_delivered", len(delivered))
        except sqlite3.Error as exc:  # they will be published again after a restart, with the same ids
            self._counters.complain("delete_failed", str(self._database), str(exc))
