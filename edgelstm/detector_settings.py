"""What a detector is told: policies, budget and calibrated constants, stored in the model file."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from edgelstm.budget import interval_s
from edgelstm.errors import EdgeLstmError, UsageError

MISSING_POLICIES = ("hold", "skip", "reset")
SIGNALS = ("error", "error_mean", "level", "season", "novelty", "repeat", "logit", "spread")
"""What a channel can show; in the order of `kernels/detection/layout.py`."""
MAX_RAISE_WINDOW = 60
SHORTEST_READOUT = 100
"""Samples; with fewer a readout follows noise."""
SMALLEST_FLOOR = 1e-30
HIGHEST_THRESHOLD = 1e3
"""No score reaches it."""
SURPRISE_CAP = 8.0
"""What one signal can say at most: beyond one in a hundred million a tail is fiction."""


class SettingsError(EdgeLstmError, ValueError):
    """A detector setting is out of range; the message names it (a ValueError too: msgspec adds the place)."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signal of a channel: how much it says, and its upper tail.

    weight       of its surprise in the score, up to 1
    threshold    where the tail begins
    mean_excess  mean of what exceeds it, and mean_square of its square
    """

    weight: float = 1.0
    threshold: float
    mean_excess: float
    mean_square: float

    def __post_init__(self) -> None:
        _range("weight", self.weight, 0.0, 1.0)
        for name in ("threshold", "mean_excess", "mean_square"):
            _range(f"evidence: {name}", getattr(self, name), 1e-300, 1e300)


class Season(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calibration found of a channel's season: the mean of every bin, and the mean residual about it."""

    means: tuple[float, ...]
    spread: float

    def __post_init__(self) -> None:
        for mean in self.means:
            _range("season: means", mean, -1e38, 1e38)
        _range("season: spread", self.spread, 0.0, 1e38)


class ChannelBaseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calibration found of one channel.

    mean            of the history; feeds the network while a channel has not been seen yet
    error_spread    mean absolute forecast error
    error_floor     the least spread that errors are divided by: a quiet signal does not alarm at its first movement
    level_spread    standard deviation around the slow mean
    level_floor     the least spread that level differences are divided by
    lowest, highest extremes of the history
    longest_repeat  the longest run of one value in the history
    valid_range     values outside are missing
    usual_spread    mean spread that the network gives of its forecast, where the signal *spread* is used
    evidence        the signals that are used, by name
    readout         weights that a readout begins with; not set, it forecasts the last value until it has learned
    step_spread     mean absolute step, where a readout is to learn on
    """

    name: str
    mean: float
    error_spread: float
    error_floor: float
    level_spread: float
    level_floor: float
    evidence: dict[str, Evidence]
    lowest: float = 0.0
    highest: float = 0.0
    longest_repeat: int = 1
    valid_range: tuple[float, float] | None = None
    season: Season | None = None
    readout: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET
    step_spread: float | msgspec.UnsetType = msgspec.UNSET
    usual_spread: float | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        where = f'channel "{self.name}"'
        for weight in self.readout or ():
            _range(f"{where}: readout", weight, -1e38, 1e38)
        if self.step_spread is not msgspec.UNSET:
            _range(f"{where}: step_spread", self.step_spread, 0.0, 1e38)
        for name in ("mean", "lowest", "highest"):
            _range(f"{where}: {name}", getattr(self, name), -1e38, 1e38)
        for name in ("error_spread", "level_spread"):
            _range(f"{where}: {name}", getattr(self, name), 0.0, 1e38)
        for name in ("error_floor", "level_floor"):
            _range(f"{where}: {name}", getattr(self, name), SMALLEST_FLOOR, 1e38)
        _range(f"{where}: longest_repeat", self.longest_repeat, 1, 2**31)
        for signal in self.evidence:
            if signal not in SIGNALS:
                raise SettingsError(f'{where}: evidence "{signal}" is unknown; known: {", ".join(SIGNALS)}')
        if self.usual_spread is not msgspec.UNSET:
            _range(f"{where}: usual_spread", self.usual_spread, SMALLEST_FLOOR, 1e38)
        elif "spread" in self.evidence:
            raise SettingsError(f'{where}: evidence "spread" needs usual_spread, which is not set')
        if self.valid_range is not None:
            low, high = self.valid_range
            _range(f"{where}: valid_range", low, -1e300, high)
            _range(f"{where}: valid_range", high, low, 1e300)


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Policies and calibrated constants of an anomaly detector.

    Times are event time in nanoseconds, memories are numbers of samples, scores are -log10 of a probability.
    """

    period_ns: int
    channels: tuple[ChannelBaseline, ...]
    network: Literal["joint", "apart"] = "joint"
    """Whether the network sees all channels at once, or each apart and standardised, with a state of its own."""
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
    season_ns: int = 0  # length of the season; 0: none
    season_bins: int = 24
    season_memory: int = 60  # samples of a bin
    season_mean_memory: int = 12
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
    recovery_ratio: float | msgspec.UnsetType = msgspec.UNSET
    """Below this share of its largest level a channel that raised the alert is back; not set, an alert clears on all."""
    readout_memory: int | msgspec.UnsetType = msgspec.UNSET
    """Samples that a readout of the network's hidden values remembers, which then forecasts; not set, the network does."""
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
        _range("season_ns", self.season_ns, 0, 2**61)
        for channel in self.channels:
            if self.season_ns and (channel.season is None or len(channel.season.means) != self.season_bins):
                raise SettingsError(
                    f'channel "{channel.name}": its season has to have {self.season_bins} means, as season_bins says'
                )
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
            "season_bins",
            "season_memory",
            "season_mean_memory",
        ):
            _range(name, getattr(self, name), 1, 10_000_000)
        _range("tail_fraction", self.tail_fraction, 1e-6, 0.2)
        try:
            interval_s(self.budget)
        except UsageError as exc:  # one of the command line; here it stands in a file
            raise SettingsError(str(exc)) from None
        _range("threshold_low", self.threshold_low, 0.0, HIGHEST_THRESHOLD)
        _range("threshold", self.threshold, self.threshold_low, HIGHEST_THRESHOLD)
        _range("threshold_high", self.threshold_high, self.threshold, HIGHEST_THRESHOLD)
        _range("threshold_step", self.threshold_step, 0.0, 10.0)
        _range("raise_window", self.raise_window, 1, MAX_RAISE_WINDOW)
        _range("raise_after", self.raise_after, 1, self.raise_window)
        _range("clear_after", self.clear_after, 1, 10_000_000)
        _range("clear_ratio", self.clear_ratio, 0.0, 1.0)
        _range("critical_ratio", self.critical_ratio, 1.0, 1e3)
        if self.recovery_ratio is not msgspec.UNSET:
            _range("recovery_ratio", self.recovery_ratio, 0.01, 1.0)
        if self.readout_memory is not msgspec.UNSET:
            _range("readout_memory", self.readout_memory, SHORTEST_READOUT, 10_000_000)

    @property
    def recovery(self) -> float:
        """The recovery ratio, 0 where none is set."""
        return 0.0 if self.recovery_ratio is msgspec.UNSET else self.recovery_ratio

    @property
    def forgetting(self) -> float:
        """What a sample before counts of the one after it to the readout; 0 where there is none."""
        return 0.0 if self.readout_memory is msgspec.UNSET else 1.0 - 1.0 / self.readout_memory

    @property
    def budget_samples(self) -> float:
        """How many samples the budget allows between two alerts, at the nominal period."""
        return interval_s(self.budget) * 1e9 / self.period_ns


def _range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise SettingsError(f"{name} is {value}, expected {low:g} to {high:g}")
