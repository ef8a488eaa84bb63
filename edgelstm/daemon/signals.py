"""What signals ask of the daemon: to end, or to read its configuration again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


class Signals:
    """Outlives a reload: what comes while one service ends and the next begins is for the next."""

    def __init__(self) -> None:
        self.reload = threading.Event()
        self.ended = False
        self._end: Callable[[], None] = lambda: None

    def heed(self, end: Callable[[], None]) -> None:
        """Call `end` at SIGTERM and SIGINT, note SIGHUP, from now on."""
        self._end = end
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._to_end)
        signal.signal(signal.SIGHUP, lambda *_: self.reload.set())

    def _to_end(self, *_: object) -> None:
        self.ended = True
        self._end()
