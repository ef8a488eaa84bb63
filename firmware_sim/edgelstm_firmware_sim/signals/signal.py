"""What every kind of node provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


class Signal(ABC):
    """A machine with sensors. The same seed gives the same samples, whatever they are asked for."""

    channels: ClassVar[tuple[tuple[str, str], ...]]
    """Name and unit of every channel, in the order of the values."""

    faults: ClassVar[dict[str, str]]
    """What can go wrong, by name, and how it shows."""

    rate_hz: ClassVar[float]
    """Samples per second unless another rate is asked for."""

    def __init__(self, seed: int, rate_hz: float | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.period_s = 1.0 / (rate_hz or self.rate_hz)

    @abstractmethod
    def sample(self, severities: Mapping[str, float]) -> NDArray[np.float32]:
        """Advance by one period and return float32 (channels,), with faults at the severities given."""

    def raw_block(self) -> NDArray[np.float32] | None:
        """Return the raw waveform behind the last sample, float32 (samples,), where the node has one."""
        return None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(name for name, _ in cls.channels)
