"""The queue between the in-link and the worker: batches, not messages, pass on."""

from __future__ import annotations

import threading
from collections import deque

from edgelstm.daemon.counters import Counters
from edgelstm.message import Message

LARGEST_BATCH = 512


class Inbox:
    """Holds at most `capacity` messages.

    At QoS 1 the broker's window of unacknowledged messages is smaller, so nothing is dropped; at QoS 0 the oldest
    is, and counted.
    """

    def __init__(self, capacity: int, counters: Counters) -> None:
        self._capacity, self._counters = capacity, counters
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            if len(self._messages) > self._capacity:
                self._drop_oldest_unacknowledgeable()
            self._changed.notify()

    def take(self, timeout_s: float) -> list[Message]:
        """Return what has come, in order; empty after `timeout_s` without anything, or once closed."""
        with self._changed:
            if not self._messages and not self._closed:
                self._changed.wait(timeout_s)
            if self._closed:
                return []
            return [self._messages.popleft() for _ in range(min(len(self._messages), LARGEST_BATCH))]

    def close(self) -> None:
        """Give nothing more out: what is left was not acknowledged and will be sent again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._messages)

    def _drop_oldest_unacknowledgeable(self) -> None:
        for position, message in enumerate(self._messages):
            if message.qos == 0:
                del self._messages[position]
                self._counters.add("dropped_queue_full")
                return
