"""The queue between the in-link and the worker: batches, not messages, pass on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

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
        self._droppable = 0  # those at QoS 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, message: Message) -> None:
        self.extend((message,))

    def extend(self, messages: Sequence[Message]) -> None:
        with self._changed:
            self._messages.extend(messages)
            self._droppable += sum(message.qos == 0 for message in messages)
            while self._droppable and len(self._messages) > self._capacity:
                self._drop_oldest_unacknowledgeable()
            self._changed.notify()

    def take(self, timeout_s: float) -> list[Message]:
        """Return what has come, in order; empty after `timeout_s` without anything, or once closed."""
        with self._changed:
            if not self._messages and not self._closed:
                self._changed.wait(timeout_s)
            if self._closed:
                return []
            taken = [self._messages.popleft() for _ in range(min(len(self._messages), LARGEST_BATCH))]
            if self._droppable:
                self._droppable -= sum(message.qos == 0 for message in taken)
            return taken

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
                self._droppable -= 1
                self._counters.add("dropped_queue_full")
                return
