"""What a detector is told: policies, budget and calibrated constants, stored in the model file."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from edgelstm.budget import interval_s
from edgelstm.errors import EdgeLstmError

MISSING_POLICIES = ("hold", "skip", "reset")
MAX_RAISE_WINDOW = 60
SMALLEST_FLOOR = 1e-30
SURPRISE_CAP = 8.0
"""What one signal can say at most: beyond one in a hundred million a tail is fiction."""


class SettingsError(EdgeLstmError, ValueError):
    """A detector setting is out of range; the message names it (a ValueError too: msgspec adds the place)."""


class Tail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The upper tail of one signal: its threshold, and the mean and mean square of what exceeds it."""

    threshold: float
    mean_excess: float
    mean_square: float

    def __post_init__(self) -> None:
        _positive("tail.threshold", self.threshold)
        _positive("tail.mean_excess", self.mean_excess)
        _positive("tail.mean_square", self.mean_square)


class ChannelBaseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calibration found of one channel.

    mean          of the history; feeds the network while a channel has not been seen yet
    error_spread  mean absolute forecast error
    error_floor   the least spread that errors are divided by: a quiet signal does not alarm at its first movement
    level_spread  standard deviation around the slow mean
    level_floor   the least spread that level differences are divided by
    """

    name: str
    mean: float
    error_spread: float
    error_floor: float
    level_spread: float
    level_floor: float
    error_tail: Tail
    error_mean_tail: Tail
    level_tail: Tail
    error_weight: float = 0.6
    error_mean_weight: float = 1.0
    level_weight: float = 1.0

    def __post_init__(self) -> None:
        where = f'channel "{self.name}"'
        _range(f"{where}: mean", self.mean, -1e38, 1e38)
        for name in ("error_spread", "level_spread"):
            _range(f"{where}: {name}", getattr(self, name), 0.0, 1e38)
        for name in ("error_floor", "level_floor"):
            _range(f"{where}: {name}", getattr(self, name), SMALLEST_FLOOR, 1e38)
        for name in ("error_weight", "error_mean_weight", "level_weight"):
            _range(f"{where}: {name}", getattr(self, name), 0.0, 1.0)


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Policies and calibrated constants of an anomaly detector.

    Times are event time in nanoseconds, memories are numbers of samples, scores are -log10 of a probability.
    """

    period_ns: int
    channels: tuple[ChannelBaseline, ...]
    # input policy
    on_missing: Literal["hold", "skip", "reset"] = "hold"
    gap_ratio: float = 1.5  # periods between samples from which on it is a gap
    gap_reset_ns: int  # a gap of this length resets the stream
    warm_up: int = 30
    # evidence
    error_memory: int = 2000
    error_mean_memory: int = 8
    level_short: int = 16
    level_long: int = 1000
    # tail probability
    tail_fraction: float = 0.01
    tail_memory: int = 500
    # budget
    budget: str = "1 per week"
    threshold: float
    threshold_low: float
    threshold_high: float
    threshold_step: float = 0.1  # up after an alert; down again over one budget interval without
    # alert life cycle
    raise_after: int = 3
    raise_window: int = 5
    clear_after: int = 10
    clear_ratio: float = 0.7
    critical_ratio: float = 1.25
    update_interval_ns: int
    cooldown_ns: int
    freeze_timeout_ns: int
    # what the calibration saw, for the reader
    history_rows: int = 0
    history_alerts: int = 0

    def __post_init__(self) -> None:
        for name in ("period_ns", "gap_reset_ns", "freeze_timeout_ns"):
            _range(name, getattr(self, name), 1, 2**61)
        for name in ("update_interval_ns", "cooldown_ns"):
            _range(name, getattr(self, name), 0, 2**61)
        if not self.channels:
            raise SettingsError("channels is empty: a detector needs the baseline of every channel")
        _range("gap_ratio", self.gap_ratio, 1.0, 1e6)
        for name in (
            "warm_up",
            "error_memory",
            "error_mean_memory",
            "level_short",
            "level_long",
            "tail_memory",
        ):
            _range(name, getattr(self, name), 1, 10_000_000)
        _range("tail_fraction", self.tail_fraction, 1e-6, 0.2)
        interval_s(self.budget)
        _range("threshold_low", self.threshold_low, 0.0, 1e3)
        _range("threshold", self.threshold, self.threshold_low, 1e3)
        _range("threshold_high", self.threshold_high, self.threshold, 1e3)
        _range("threshold_step", self.threshold_step, 0.0, 10.0)
        _range("raise_window", self.raise_window, 1, MAX_RAISE_WINDOW)
        _range("raise_after", self.raise_after, 1, self.raise_window)
        _range("clear_after", self.clear_after, 1, 10_000_000)
        _range("clear_ratio", self.clear_ratio, 0.0, 1.0)
        _range("critical_ratio", self.critical_ratio, 1.0, 1e3)

    @property
    def budget_samples(self) -> float:
        """How many samples the budget allows between two alerts, at the nominal period."""
        return interval_s(self.budget) * 1e9 / self.period_ns


def _range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise SettingsError(f"{name} is {value}, expected {low:g} to {high:g}")


def _positive(name: str, value: float) -> None:
    _range(name, value, 1e-300, 1e300)
