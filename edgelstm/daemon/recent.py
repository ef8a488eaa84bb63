"""The last samples of a stream, for a new version of its model to be warmed with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST, MOST = 64, 1024


class Recent:
    """A ring of twice as many samples as a warm-up takes, LEAST to MOST; it takes no memory before the first."""

    def __init__(self, warm_up: int, channels: int) -> None:
        self._size, self._channels = min(max(2 * warm_up, LEAST), MOST), channels
        self._count = 0
        self._times = np.empty(0, np.int64)
        self._values = np.empty((0, channels), np.float32)

    def add(self, times_ns: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Take in samples: times int64 (samples,), values float32 (samples, channels)."""
        if not self._count:
            self._times = np.empty(self._size, np.int64)
            self._values = np.empty((self._size, self._channels), np.float32)
        if len(times_ns) == 1:  # by far the most frequent
            at = self._count % self._size
            self._times[at], self._values[at] = times_ns[0], values[0]
            self._count += 1
            return
        times_ns, values = times_ns[-self._size :], values[-self._size :]
        places = np.arange(self._count, self._count + len(times_ns)) % self._size
        self._times[places], self._values[places] = times_ns, values
        self._count += len(times_ns)

    def in_order(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return times and values, oldest first."""
        if self._count <= self._size:
            return self._times[: self._count], self._values[: self._count]
        places = np.arange(self._count, self._count + self._size) % self._size
        return self._times[places], self._values[places]
