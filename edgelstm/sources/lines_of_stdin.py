"""`source = "stdin:"`: a line of standard input is a payload. At its end the daemon stops, with all of it scored."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from edgelstm.message import Message
from edgelstm.sources import Source
from edgelstm.sources.lines import Lines

if TYPE_CHECKING:
    from edgelstm.config import Config, InputConfig


def make(
    entry: InputConfig, address: str, config: Config, on_message: Callable[[Message], None]
) -> StdinSource:
    return StdinSource(entry.name, on_message)


class StdinSource(Source):
    """Reads standard input in a thread of its own."""

    def __init__(self, topic: str, on_message: Callable[[Message], None]) -> None:
        self.ended, self.state = "", "reading"
        self._lines = Lines(topic, self, on_message)
        self._left = threading.Condition()
        self._unacknowledged = 0
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._lines.stop()  # the thread may hang in a read of a terminal, and ends with the process

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self._lines.acknowledged(len(messages))
        with self._left:
            self._unacknowledged -= len(messages)
            self._left.notify()

    def _run(self) -> None:
        for line, _ in self._lines.split(_chunks()):
            with self._left:
                self._unacknowledged += 1
            if not self._lines.hand_on(line):
                return
        with self._left:
            self._left.wait_for(lambda: self._unacknowledged == 0)
        self.ended = self.state = "end of standard input"


def _chunks() -> Iterator[bytes]:
    while chunk := os.read(sys.stdin.fileno(), 65_536):
        yield chunk
