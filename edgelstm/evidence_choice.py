"""Which signals a channel's detector listens to, and how much each of them says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm import season_search
from edgelstm.detector_settings import SIGNALS, ChannelBaseline, DetectorSettings, Evidence
from edgelstm.errors import UsageError
from edgelstm.output_roles import SPREAD_SUFFIX, forecasts_of, logit_of, spreads_of

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
    "spread": 0.6,
}
"""How much each signal says in the score."""

LEAST_FORETOLD = 0.1
"""A network knows when it is unsure where its spread has so much of rank correlation with the error that follows."""


def choose(
    loaded: LoadedModel,
    settings: DetectorSettings,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    given: Sequence[str],
    asked: Mapping[str, float] | None,
) -> DetectorSettings:
    """Give every channel the signals that it can have, with their weights, and tails that are not yet fitted.

    asked  the signals that are to be used, and how much each says; None: WEIGHTS

    Raises UsageError where the network's spread is asked for, and it gives none.
    """
    apart, known = settings.network == "apart", WEIGHTS if asked is None else asked
    forecasts, logit, spreads = forecasts_of(loaded, settings), logit_of(loaded), spreads_of(loaded, settings)
    if asked and "spread" in asked and max(spreads) < 0:
        raise UsageError(
            f'the signal "spread" is asked for, but model "{loaded.model.name}" has no output that is named like a forecast '
            f'and "{SPREAD_SUFFIX}": make one with: edgelstm convert --uncertainty N'
        )
    channels = []
    for channel, forecast, spread, column in zip(
        settings.channels, forecasts, spreads, values.T, strict=True
    ):
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
        if spread >= 0:
            weights["spread"] = 1.0
        weights = {name: known[name] * share for name, share in weights.items() if name in known}
        if logit >= 0 and not apart:
            # trained on this machine's own labels: it counts in full, once for all channels together
            weights["logit"] = len(settings.channels) ** -0.25
        evidence = {
            name: Evidence(weight=weights[name], threshold=1.0, mean_excess=1.0, mean_square=2.0)
            for name in SIGNALS
            if name in weights and channel.name not in given
        }
        step = loaded.model.outputs[spread].scale if "spread" in evidence else msgspec.UNSET
        channels.append(msgspec.structs.replace(channel, evidence=evidence, usual_spread=step))
    return msgspec.structs.replace(settings, channels=tuple(channels))


def with_spread(
    channel: ChannelBaseline,
    spreads: NDArray[np.float64],
    errors: NDArray[np.float64],
    lead: int,
    asked: bool,
) -> ChannelBaseline:
    """Return a channel with the network's usual spread, or, where that foretells no error and is not asked for, deaf to it.

    spreads  float64 (samples,)  of the history; NaN where there is none
    errors   float64 (samples,)  `lead` samples after the spread that belongs to it
    """
    if channel.usual_spread is msgspec.UNSET:
        return channel
    if not asked and not _foretells(spreads[: len(spreads) - lead], errors[lead:]):
        evidence = {name: one for name, one in channel.evidence.items() if name != "spread"}
        return msgspec.structs.replace(channel, evidence=evidence, usual_spread=msgspec.UNSET)
    seen = spreads[np.isfinite(spreads)]
    usual = max(float(seen.mean()) if seen.size else 0.0, channel.usual_spread)
    return msgspec.structs.replace(channel, usual_spread=usual)


def _foretells(spreads: NDArray[np.float64], errors: NDArray[np.float64]) -> bool:
    """Return whether the errors of a history are larger where the network was less sure of the forecast."""
    both = np.isfinite(spreads) & np.isfinite(errors)
    if not both.any():
        return False
    before, after = _ranks(spreads[both]), _ranks(errors[both])
    if before.std() == 0.0 or after.std() == 0.0:
        return False
    return float(np.corrcoef(before, after)[0, 1]) > LEAST_FORETOLD


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the place of each value among all, the same for the same values."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


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
