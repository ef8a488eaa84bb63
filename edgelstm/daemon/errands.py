"""Calls that other threads have the worker make: it alone may touch streams."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from edgelstm.errors import UnavailableError

ANSWER_S = 5.0


class Errands:
    """Calls for the worker's thread, which alone may touch streams."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], list[Any], threading.Event]] = (
            queue.SimpleQueue()
        )

    def run(self, call: Callable[[], Any]) -> Any:
        """Have `call` made by the worker; return its result, or raise what it raised."""
        result: list[Any] = []
        done = threading.Event()
        self._waiting.put((call, result, done))
        if not done.wait(ANSWER_S):
            raise UnavailableError("the worker does not answer: it is busy or stalled")
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def do(self) -> None:
        """Make the calls that wait; the worker calls this between batches."""
        while not self._waiting.empty():
            call, result, done = self._waiting.get()
            try:
                result.append(call())
            except Exception as exc:
                result.append(exc)
            done.set()
