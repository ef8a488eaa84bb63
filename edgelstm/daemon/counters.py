"""What happened, counted; every bound and every rejection has a line here and in the health message."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter

_log = logging.getLogger(__name__)
QUIET_S = 60.0


class Counters:
    """Named counts that any thread may raise, and a log that repeats itself at most once a minute per subject."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._said: dict[tuple[str, str], float] = {}

    def add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count

    def complain(self, name: str, subject: str, reason: str) -> None:
        """Count, and say why, unless the same was said of the same subject within the last minute."""
        now = time.monotonic()
        with self._lock:
            self._counts[name] += 1
            if now - self._said.get((name, subject), -QUIET_S) < QUIET_S:
                return
            if len(self._said) > 10_000:
                self._said.clear()
            self._said[name, subject] = now
        _log.warning("event=%s subject=%s reason=%s", name, subject, reason)

    def snapshot(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._counts.items()))
