"""The radio between the device and the broker: it goes away, comes back with a burst, and repeats itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Link:
    """Keeps up to `capacity` messages while it is down; the oldest are dropped then, and counted.

    outage_every_s, outage_s  the link is down for `outage_s` at the end of every `outage_every_s`; 0: never
    duplicates                probability that a message is sent twice
    """

    rng: np.random.Generator
    outage_every_s: float = 0.0
    outage_s: float = 0.0
    duplicates: float = 0.0
    capacity: int = 10_000
    dropped: int = 0
    _kept: deque[bytes] = field(default_factory=deque)

    def is_down(self, at_s: float) -> bool:
        return self.outage_every_s > 0 and at_s % self.outage_every_s >= self.outage_every_s - self.outage_s

    def send(self, payload: bytes, at_s: float, publish: Callable[[bytes], None]) -> None:
        """Publish `payload` and what was kept before it, or keep it while the link is down."""
        self._kept.append(payload)
        if self.is_down(at_s):
            if len(self._kept) > self.capacity:
                self._kept.popleft()
                self.dropped += 1
            return
        for message in self._drain():
            publish(message)
            if self.duplicates and self.rng.random() < self.duplicates:
                publish(message)

    def _drain(self) -> Iterator[bytes]:
        while self._kept:
            yield self._kept.popleft()
