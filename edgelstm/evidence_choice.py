"""Which signals a channel's detector listens to, and how much each of them says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm import season_search
from edgelstm.detector_settings import SIGNALS, DetectorSettings, Evidence
from edgelstm.output_roles import forecasts_of, logit_of

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

LONG_MEMORIES = 3
DRIFT_ROWS, DRIFTING_SHARE, DRIFTING_WEIGHT = 50, 0.5, 0.3
"""A channel whose mean over so many rows has so much of its variance drifts."""

WEIGHTS = {
    "error": 0.8,
    "error_mean": 0.6,
    "level": 0.8,
    "season": 0.8,
    "novelty": 0.8,
    "repeat": 0.6,
    "logit": 0.8,
}
"""How much each signal says in the score."""


def choose(
    loaded: LoadedModel,
    settings: DetectorSettings,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    given: Sequence[str],
    known: Mapping[str, float],
) -> DetectorSettings:
    """Give every channel the signals that it can have, with their weights, and tails that are not yet fitted."""
    apart = settings.network == "apart"
    forecasts, logit = forecasts_of(loaded, settings), logit_of(loaded)
    channels = []
    for channel, forecast, column in zip(settings.channels, forecasts, values.T, strict=True):
        steadiness = steadiness_of(column, settings.level_long)
        weights = dict.fromkeys(("level", "novelty"), steadiness)
        if forecast >= 0 or apart:
            weights |= {"error": 1.0, "error_mean": 1.0}
        if settings.season_ns and _is_seasonal(times_ns, column, settings):
            weights["season"] = 1.0
        if not is_constant(column):
            weights["repeat"] = 1.0
        if logit >= 0 and apart:
            weights["logit"] = steadiness
        weights = {name: known[name] * share for name, share in weights.items() if name in known}
        if logit >= 0 and not apart:
            # trained on this machine's own labels: it counts in full, once for all channels together
            weights["logit"] = len(settings.channels) ** -0.25
        evidence = {
            name: Evidence(weight=weights[name], threshold=1.0, mean_excess=1.0, mean_square=2.0)
            for name in SIGNALS
            if name in weights and channel.name not in given
        }
        channels.append(msgspec.structs.replace(channel, evidence=evidence))
    return msgspec.structs.replace(settings, channels=tuple(channels))


def _is_seasonal(
    times_ns: NDArray[np.int64], column: NDArray[np.float32], settings: DetectorSettings
) -> bool:
    return (
        season_search.explained(times_ns, column, settings.season_ns, settings.season_bins)
        > season_search.LEAST_FORETOLD
    )


def steadiness_of(column: NDArray[np.float32], level_long: int) -> float:
    """Return less than 1 for a channel that drifts, where the history is too short to know how far it may go."""
    seen = column[np.isfinite(column)].astype(np.float64)
    if seen.size >= LONG_MEMORIES * level_long or seen.size < 2 * DRIFT_ROWS or seen.var() <= 0.0:
        return 1.0
    sums = np.cumsum(np.concatenate([[0.0], seen - seen.mean()]))
    slow = (sums[DRIFT_ROWS:] - sums[:-DRIFT_ROWS]) / DRIFT_ROWS
    return DRIFTING_WEIGHT if slow.var() > DRIFTING_SHARE * seen.var() else 1.0


def is_constant(column: NDArray[np.float32]) -> bool:
    seen = column[np.isfinite(column)]
    return bool(seen.size == 0 or (seen == seen[0]).all())
