"""Settings as the flat arrays that the compiled stages read, and the state they begin from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import MISSING_POLICIES, ChannelBaseline, DetectorSettings
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.logarithm import log10

if TYPE_CHECKING:
    from edgelstm.readout import Readout

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_RUNS = 20.0
"""A tail remembers at least this many runs."""

LEAST_OF_USUAL = 0.5
"""A spread is never held against less than this share of what was usual in the history."""

EARLY_RATIO = 0.5
"""Samples nearer than this many periods to the one before are counted as early."""


def constants_of(settings: DetectorSettings, limits: NDArray[np.float32] | None = None) -> Floats:
    """Return the constants, float64, as laid out in `kernels/detection/layout.py`.

    limits  (2, channels), the least and the largest value that the network takes of each, as in `Program`
    """
    count = len(settings.channels)
    constants = np.zeros(at.FIRST_CHANNEL_CONSTANT + count * at.CHANNEL_CONSTANTS)
    fraction, memory = settings.tail_fraction, float(settings.tail_memory)
    constants[at.TAIL_FRACTION] = fraction
    constants[at.TAIL_SURPRISE] = log10(1.0 / fraction)
    constants[at.TAIL_GAIN] = 1.0 / max(memory * fraction, FEWEST_RUNS)
    constants[at.TAIL_DRIFT] = fraction / memory
    constants[at.TAIL_RISE] = (1.0 - fraction) / memory
    constants[at.ERROR_GAIN] = 1.0 / settings.error_memory
    constants[at.ERROR_MEAN_GAIN] = 1.0 / settings.error_mean_memory
    constants[at.SHORT_GAIN] = 1.0 / settings.level_short
    constants[at.LONG_GAIN] = 1.0 / settings.level_long
    constants[at.SEASON_GAIN] = 1.0 / settings.season_memory
    constants[at.SEASON_MEAN_GAIN] = 1.0 / settings.season_mean_memory
    constants[at.THRESHOLD_LOW] = settings.threshold_low
    constants[at.THRESHOLD_HIGH] = settings.threshold_high
    constants[at.THRESHOLD_STEP] = settings.threshold_step
    constants[at.THRESHOLD_DECAY] = settings.threshold_step / settings.budget_samples
    constants[at.CLEAR_RATIO] = settings.clear_ratio
    constants[at.CRITICAL_RATIO] = settings.critical_ratio
    constants[at.RECOVERY_RATIO] = settings.recovery
    constants[at.FORGETTING] = settings.forgetting
    for c, channel in enumerate(settings.channels):
        own = constants[at.FIRST_CHANNEL_CONSTANT + c * at.CHANNEL_CONSTANTS :]
        own[at.MEAN] = channel.mean
        own[at.ERROR_FLOOR], own[at.LEVEL_FLOOR] = channel.error_floor, channel.level_floor
        least, largest = channel.valid_range or (-math.inf, math.inf)
        if limits is not None:
            least, largest = max(least, float(limits[0, c])), min(largest, float(limits[1, c]))
        own[at.LEAST_VALUE], own[at.LARGEST_VALUE] = least, largest
        own[at.LONGEST_REPEAT] = channel.longest_repeat
        own[at.READOUT_SCALE] = max(channel.level_spread, channel.level_floor)
        own[at.SPREAD_FLOOR] = LEAST_OF_USUAL * _usual_spread(channel)
        for signal, evidence in channel.evidence.items():
            own[at.FIRST_WEIGHT + at.SIGNALS.index(signal)] = evidence.weight
    return constants


def policies_of(
    settings: DetectorSettings,
    forecasts: Sequence[int],
    logit: int,
    spreads: Sequence[int],
    rebuilds: bool = False,
    readout: Readout | None = None,
) -> Ints:
    """Return the policies, int64, as laid out in `kernels/detection/layout.py`.

    forecasts  for each channel, which output of the model forecasts it, or -1
    logit      which output is the logit of a fault, or -1
    spreads    for each channel, which output is the spread of its forecast, or -1
    rebuilds   whether the model rebuilds the sample that it is given, rather than forecast the next one
    readout    what the readout hears, where there is one
    """
    policies = np.zeros(at.FIRST_OUTPUT + at.OUTPUT_TABLES * len(forecasts), np.int64)
    policies[at.ON_MISSING] = MISSING_POLICIES.index(settings.on_missing)
    policies[at.GAP_NS] = int(settings.gap_ratio * settings.period_ns)
    policies[at.EARLY_NS] = int(EARLY_RATIO * settings.period_ns)
    policies[at.GAP_RESET_NS] = settings.gap_reset_ns
    policies[at.WARM_UP] = settings.warm_up
    policies[at.RAISE_AFTER] = settings.raise_after
    policies[at.RAISE_MASK] = (1 << settings.raise_window) - 1
    policies[at.CLEAR_AFTER] = settings.clear_after
    policies[at.UPDATE_INTERVAL_NS] = settings.update_interval_ns
    policies[at.COOLDOWN_NS] = settings.cooldown_ns
    policies[at.FREEZE_TIMEOUT_NS] = settings.freeze_timeout_ns
    policies[at.APART] = int(settings.network == "apart")
    policies[at.LOGIT_OUTPUT] = logit
    policies[at.REBUILDS] = int(rebuilds)
    if settings.season_ns:
        policies[at.SEASON_NS], policies[at.SEASON_BINS] = settings.season_ns, settings.season_bins
    if readout is not None:
        policies[at.READOUT_FEATURES] = readout.features
        policies[at.HIDDEN_HALF], policies[at.HIDDEN_COUNT] = readout.half, readout.hidden
    policies[at.FIRST_OUTPUT :] = [*forecasts, *spreads]
    return policies


def initial_floats(settings: DetectorSettings, readout: Readout | None = None) -> Floats:
    """Return the float64 half of a state before its first sample."""
    count = len(settings.channels)
    channels = np.zeros((count, at.CHANNEL_WORDS))
    seasons = np.zeros((count, settings.season_bins if settings.season_ns else 0))
    for own, season, channel in zip(channels, seasons, settings.channels, strict=True):
        own[at.ERROR_SPREAD], own[at.FIRST_SIGNAL + at.MEAN_ERROR] = (
            channel.error_spread,
            at.MEAN_OF_SCALED_ERROR,
        )
        own[at.SHORT_MEAN], own[at.LONG_MEAN] = channel.mean, channel.mean
        own[at.VARIANCE] = channel.level_spread * channel.level_spread
        own[at.LOWEST_SEEN], own[at.HIGHEST_SEEN] = channel.lowest, channel.highest
        own[at.USUAL_SPREAD] = _usual_spread(channel)
        if channel.season is not None and season.size:
            season[:], own[at.SEASON_SPREAD] = channel.season.means, channel.season.spread
        for signal, tail in channel.evidence.items():
            first = at.FIRST_TAIL + at.SIGNALS.index(signal) * at.TAIL_WORDS
            own[first : first + 3] = tail.threshold, tail.mean_excess, tail.mean_square
    head = np.zeros(at.FIRST_CHANNEL_WORD)
    head[at.THRESHOLD] = settings.threshold
    recovery = np.zeros(count * at.RECOVERY_WORDS if settings.recovery else 0)
    learning = np.zeros(0) if readout is None else readout.initial(settings)
    return np.concatenate([head, channels.reshape(-1), recovery, learning, seasons.reshape(-1)])


def initial_ints(settings: DetectorSettings) -> Ints:
    """Return the int64 half of a state before its first sample."""
    ints = np.zeros(at.FIRST_CHANNEL_INT + len(settings.channels) * at.CHANNEL_INTS, np.int64)
    ints[at.WARM_LEFT] = settings.warm_up
    return ints


def words_kept(settings: DetectorSettings, readout: Readout | None = None) -> Ints:
    """Return which float64 words of a state are in its snapshot: all, but for those of a spread that no channel listens to."""
    floats = initial_floats(settings, readout)
    kept = np.ones(floats.size, bool)
    if not hears_spread(settings):
        end = at.FIRST_CHANNEL_WORD + len(settings.channels) * at.CHANNEL_WORDS
        kept[at.FIRST_CHANNEL_WORD : end].reshape(-1, at.CHANNEL_WORDS)[:, at.OF_SPREAD] = False
    return np.flatnonzero(kept)


def hears_spread(settings: DetectorSettings) -> bool:
    """Return whether any channel listens to how sure the network is."""
    return any("spread" in channel.evidence for channel in settings.channels)


def _usual_spread(channel: ChannelBaseline) -> float:
    return 0.0 if channel.usual_spread is msgspec.UNSET else channel.usual_spread
