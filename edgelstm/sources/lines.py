"""Lines as messages: split, bounded in length, and held back while too many are not acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from edgelstm.message import Message, Origin

WINDOW = 1000
"""Lines on their way at the same time: beyond, the reader waits, and with it the writer."""
LONGEST = 256 << 10


class Lines:
    """Cuts what a source read into lines and hands them on."""

    def __init__(
        self, topic: str, origin: Origin, on_message: Callable[[Message], None], longest: int = LONGEST
    ) -> None:
        self._topic, self._origin, self._on_message, self._longest = topic, origin, on_message, longest
        self._room = threading.Condition()
        self._waiting = 0
        self._stopping = False

    def stop(self) -> None:
        with self._room:
            self._stopping = True
            self._room.notify_all()

    @property
    def stopping(self) -> bool:
        return self._stopping

    def acknowledged(self, count: int) -> None:
        with self._room:
            self._waiting -= count
            self._room.notify()

    def hand_on(self, line: bytes, mid: int = 0, generation: int = 0) -> bool:
        """Hand a line on as soon as there is room; return whether it went, which it does not after `stop`."""
        with self._room:
            self._room.wait_for(lambda: self._waiting < WINDOW or self._stopping)
            if self._stopping:
                return False
            self._waiting += 1
        arrival_ns = time.time_ns()
        self._on_message(
            Message(self._topic, line, mid, 1, generation, False, arrival_ns, False, self._origin)
        )
        return True

    def split(self, chunks: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
        """Yield every whole line, without its end, and how many bytes were read with it; empty ones are left out.

        Of a line that is too long its beginning is yielded, to be counted as what it is: no payload.
        """
        rest, read, cut = b"", 0, 0
        for chunk in chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                read, cut = read + len(line) + 1 + cut, 0
                if line.strip():
                    yield line.rstrip(b"\r")[: self._longest + 1], read
            if len(rest) > self._longest:
                cut += len(rest) - self._longest - 1
                rest = rest[: self._longest + 1]
        if rest.strip():
            yield rest, read + len(rest) + cut
