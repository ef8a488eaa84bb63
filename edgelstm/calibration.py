"""Baselines, tails and threshold of a detector, found by running it over normal history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm import evidence_choice, readout_fit, season_search, tail_fit
from edgelstm.blind_forecasts import blind
from edgelstm.budget import interval_s
from edgelstm.detector import Detector
from edgelstm.detector_settings import (
    HIGHEST_THRESHOLD,
    SIGNALS,
    SMALLEST_FLOOR,
    SURPRISE_CAP,
    ChannelBaseline,
    DetectorSettings,
    Evidence,
    Season,
)
from edgelstm.errors import CalibrationError, SampleError
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.spread import DEVIATION_OF_SPREAD, LARGEST_ERROR
from edgelstm.kernels.detection.tail import FLOORS
from edgelstm.output_roles import forecasts_of, rebuilds, spreads_of

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

MINIMUM_ROWS = 100
"""One of them is in a tail of 1 %: fewer say nothing about rare values. A day is better."""

FLOOR_RATIO = 0.05
FLOOR_OF_CONSTANT = 0.05
LEVEL_FLOOR_STEPS = 4.0
SEASON_BINS = 24
SHORTEST_REPEAT = 20
THRESHOLD_STEP = 0.2
"""Files of before have 0.1, with which a stream whose tails were guessed wrong came to its budget too slowly."""

LARGEST_THRESHOLD = 0.95 * SURPRISE_CAP
SMALLEST_THRESHOLD = 2.0
_S = 10**9


@dataclass(frozen=True, slots=True)
class Calibration:
    """Settings, and what the history showed.

    extrapolated  whether the budget is rarer than the history can show, so that the threshold is a tail's guess
    capped        whether the budget asks for more than scores can reach, so that it may be exceeded
    spread        channels of whose forecast the network gives a spread, and whether that is heard
    blind         channels whose forecast is far worse than repeating the last value, and how many times
    """

    settings: DetectorSettings
    rows: int
    scored: int
    span_s: float
    counters: dict[str, int]
    missing: dict[str, int]
    constant: tuple[str, ...]
    largest_score: float
    extrapolated: bool
    capped: bool
    spread: dict[str, bool]
    blind: dict[str, float]


def calibrate(
    loaded: LoadedModel,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    budget: str = "1 per week",
    **choices: Any,
) -> DetectorSettings:
    """Return the settings of a detector for streams like this normal history.

    times_ns  int64   (samples,)
    values    float32 (samples, channels), not finite where missing

    Raises CalibrationError where there is too little of it, saying how much is needed.
    """
    return examine(loaded, times_ns, values, budget, **choices).settings


def examine(
    loaded: LoadedModel,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    budget: str = "1 per week",
    *,
    apart: Sequence[str] | None = None,
    given: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    reach: float = 0.0,
    threshold: float | None = None,
    **choices: Any,
) -> Calibration:
    """Calibrate, and say what was seen.

    apart      names of the channels where the network sees each of them apart
    given      names of channels that only feed the network, as commands do: they show nothing
    weights    the signals that are used, and how much each says; else WEIGHTS, and the network's spread where it foretells errors
    reach      tails begin at the largest of the history, and this share of it is their mean excess; 0: they are fitted
    threshold  the least that it is; else the budget and the history say
    choices    fields of DetectorSettings that are not to be found
    """
    names = tuple(apart) if apart else loaded.channel_names
    if values.ndim != 2 or values.shape[1] != len(names) or len(times_ns) != len(values):
        raise SampleError(
            f"the history has shape {values.shape}, expected (samples, {len(names)}) and as many times"
        )
    times_ns = np.ascontiguousarray(times_ns, np.int64)
    values = np.ascontiguousarray(values, np.float32)
    _expect_rows(len(values))
    interval_s(budget)  # an argument here, which the settings would call their own
    if apart:
        choices["network"] = "apart"
    settings = _first_guess(names, times_ns, values, budget, choices)
    settings = evidence_choice.choose(loaded, settings, times_ns, values, given, weights)
    asked = weights is not None and "spread" in weights
    settings = _fit_baselines(loaded, settings, times_ns, values, reach, asked)
    settings, extrapolated, capped, largest = _fit_threshold(loaded, settings, times_ns, values, threshold)
    trial = Detector(loaded, settings)
    verdicts = trial.push_block(times_ns, values)
    settings = msgspec.structs.replace(settings, history_alerts=trial.counters["raised"])
    settings = readout_fit.begin_with_history(loaded, settings, times_ns, values)
    return Calibration(
        settings=settings,
        rows=len(values),
        scored=int(np.isfinite(verdicts.scores).sum()),
        span_s=float(times_ns[-1] - times_ns[0]) / _S,
        counters=trial.counters,
        missing={
            name: int(count) for name, count in zip(names, (~np.isfinite(values)).sum(axis=0), strict=True)
        },
        constant=tuple(
            name for name, column in zip(names, values.T, strict=True) if evidence_choice.is_constant(column)
        ),
        largest_score=largest,
        extrapolated=extrapolated,
        capped=capped,
        spread={
            channel.name: "spread" in channel.evidence
            for channel, output in zip(settings.channels, spreads_of(loaded, settings), strict=True)
            if output >= 0
        },
        blind=_blind(loaded, settings, values),
    )


def _blind(loaded: LoadedModel, settings: DetectorSettings, values: NDArray[np.float32]) -> dict[str, float]:
    """Return the forecast channels whose error is far beyond what the last value as forecast would have."""
    if rebuilds(loaded):
        return {}
    ratios = {}
    for channel, output, column in zip(
        settings.channels, forecasts_of(loaded, settings), values.T, strict=True
    ):
        steps = np.abs(np.diff(column[np.isfinite(column)].astype(np.float64)))
        if output >= 0 and steps.any():
            ratios[channel.name] = channel.error_spread / float(steps.mean())
    return blind(ratios)


def _expect_rows(rows: int) -> None:
    if rows < MINIMUM_ROWS:
        raise CalibrationError(
            f"the history has {rows} usable rows, at least {MINIMUM_ROWS} are needed; a day of normal running is better"
        )


def _first_guess(
    names: Sequence[str],
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    budget: str,
    choices: dict[str, object],
) -> DetectorSettings:
    """Return settings with plain statistics of the values, and a threshold that no score reaches."""
    steps = np.diff(times_ns)
    steps = steps[steps > 0]
    if steps.size == 0:
        raise CalibrationError("the times of the history do not increase: no period can be told from them")
    period = int(choices.get("period_ns") or max(int(np.median(steps)), 1))  # type: ignore[call-overload]
    found: dict[str, object] = {
        "period_ns": period,
        "gap_reset_ns": 100 * period,
        "update_interval_ns": max(10 * period, 10 * _S),
        "cooldown_ns": 30 * period,
        "freeze_timeout_ns": max(1000 * period, 3600 * _S),
        "threshold_step": THRESHOLD_STEP,
    }
    found.update({name: choice for name, choice in choices.items() if choice is not None})
    if "season_ns" not in found:
        bins = int(found.get("season_bins", SEASON_BINS))  # type: ignore[call-overload]
        found["season_ns"] = season_search.find(times_ns, values, bins)
    baselines = [_statistics(name, column) for name, column in zip(names, values.T, strict=True)]
    if found["season_ns"]:
        bins = int(found.setdefault("season_bins", SEASON_BINS))  # type: ignore[call-overload]
        places = (times_ns % found["season_ns"]) * bins // found["season_ns"]  # type: ignore[operator]
        baselines = [
            msgspec.structs.replace(one, season=_season(column, places, bins))
            for one, column in zip(baselines, values.T, strict=True)
        ]
    return DetectorSettings(
        channels=tuple(baselines),
        budget=budget,
        threshold=HIGHEST_THRESHOLD,
        threshold_low=HIGHEST_THRESHOLD,
        threshold_high=HIGHEST_THRESHOLD,
        history_rows=len(values),
        **found,  # type: ignore[arg-type]
    )


def _statistics(name: str, column: NDArray[np.float32]) -> ChannelBaseline:
    seen = column[np.isfinite(column)].astype(np.float64)
    mean = float(seen.mean()) if seen.size else 0.0
    deviation = float(seen.std()) if seen.size else 0.0
    steps = np.abs(np.diff(seen))
    step = float(steps[steps > 0.0].min()) if (steps > 0.0).any() else 0.0
    if evidence_choice.is_constant(column):
        floor = FLOOR_OF_CONSTANT * max(abs(mean), 1.0)
    else:
        floor = max(FLOOR_RATIO * deviation, step)
    floor = max(floor, SMALLEST_FLOOR)
    return ChannelBaseline(
        name=name,
        mean=mean,
        error_spread=deviation,
        error_floor=floor,
        level_spread=deviation,
        level_floor=max(floor, min(LEVEL_FLOOR_STEPS * step, max(deviation, step))),
        evidence={},
        lowest=float(seen.min()) if seen.size else 0.0,
        highest=float(seen.max()) if seen.size else 0.0,
        longest_repeat=_longest_repeat(seen),
    )


def _longest_repeat(seen: NDArray[np.float64]) -> int:
    """Return the most values in a row that were the same as the one before, at least SHORTEST_REPEAT."""
    moved = np.flatnonzero(np.diff(seen) != 0.0)
    longest = int(np.diff(np.concatenate([[-1], moved, [seen.size - 1]])).max()) - 1 if seen.size else 0
    return max(longest, SHORTEST_REPEAT)


def _season(column: NDArray[np.float32], places: NDArray[np.int64], bins: int) -> Season:
    seen = np.isfinite(column)
    values = column[seen].astype(np.float64)
    means = season_search.bin_means(values, places[seen], bins)
    left = np.abs(values - means[places[seen]])
    return Season(means=tuple(float(mean) for mean in means), spread=float(left.mean()) if left.size else 0.0)


_Traced = dict[str, NDArray[np.float64]]


def _trace(
    loaded: LoadedModel, settings: DetectorSettings, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> _Traced:
    """Run a detector over the history and return every signal, and what spreads are made of, after every sample.

    Each is float64 (samples, channels), NaN where there is none.
    """
    words = {name: (at.FIRST_SIGNAL + n, n) for n, name in enumerate(SIGNALS)}
    words |= {"absolute_error": (at.ABSOLUTE_ERROR, at.ERROR), "variance": (at.VARIANCE, at.LEVEL)}
    words["network_spread"] = (at.NETWORK_SPREAD, at.SPREAD)
    traced = np.full((len(words), *values.shape), np.nan)
    places, needs = zip(*words.values(), strict=True)
    Detector(loaded, settings).trace(times_ns, values, places, needs, traced)
    return dict(zip(words, traced, strict=True))


def _fit_baselines(
    loaded: LoadedModel,
    settings: DetectorSettings,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    reach: float,
    spread_asked: bool,
) -> DetectorSettings:
    """Find spreads, then, with them, tails: two runs over the history."""
    trace = _trace(loaded, settings, times_ns, values)
    scored = int(np.isfinite(trace["level"]).any(axis=1).sum())
    if scored < MINIMUM_ROWS // 2:
        raise CalibrationError(
            f"only {scored} of {len(values)} rows of the history can be scored, at least {MINIMUM_ROWS // 2} are needed: "
            f"{settings.warm_up} samples warm up at the start and after every long gap"
        )
    baselines = [
        msgspec.structs.replace(
            baseline,
            error_spread=_clipped_mean(trace["absolute_error"][:, c], baseline.error_floor),
            error_floor=max(baseline.error_floor, _burst_floor(settings, trace["absolute_error"][:, c])),
            level_spread=float(np.sqrt(_last(trace["variance"][:, c], baseline.level_spread**2))),
            step_spread=_step_spread(settings, baseline, values[:, c]),
        )
        for c, baseline in enumerate(settings.channels)
    ]
    lead = 0 if rebuilds(loaded) else 1  # a forecast is of the next sample
    baselines = [
        evidence_choice.with_spread(
            baseline, trace["network_spread"][:, c], trace["absolute_error"][:, c], lead, spread_asked
        )
        for c, baseline in enumerate(baselines)
    ]
    settings = msgspec.structs.replace(settings, channels=tuple(baselines))
    trace = _trace(loaded, settings, times_ns, values)
    baselines = [
        msgspec.structs.replace(
            baseline,
            evidence={
                name: _tail(trace[name][:, c], settings, FLOORS[SIGNALS.index(name)], one.weight, reach)
                for name, one in baseline.evidence.items()
            },
        )
        for c, baseline in enumerate(settings.channels)
    ]
    return msgspec.structs.replace(settings, channels=tuple(baselines))


def _tail(
    signal: NDArray[np.float64],
    settings: DetectorSettings,
    floors: tuple[float, float],
    weight: float,
    reach: float,
) -> Evidence:
    if reach == 0.0:
        return tail_fit.fit(signal, settings.tail_fraction, *floors, weight)
    return tail_fit.beyond(signal, reach, *floors, weight)


def _burst_floor(settings: DetectorSettings, errors: NDArray[np.float64]) -> float:
    """Return the root mean square of a forecast's errors: where they come in bursts it is far above their mean, and
    measured by their mean the largest of every burst would be cut off alike.

    0 where no network forecasts.
    """
    seen = errors[np.isfinite(errors)]
    if settings.network == "apart" or not seen.size:
        return 0.0
    return float(np.sqrt(np.square(seen).mean()))


def _step_spread(
    settings: DetectorSettings, baseline: ChannelBaseline, column: NDArray[np.float32]
) -> float | msgspec.UnsetType:
    """Return the mean absolute step where it is not the error of the forecast: a readout learns on beside a network that
    hears channels apart."""
    if not settings.forgetting or settings.network != "apart":
        return msgspec.UNSET
    return _clipped_mean(np.abs(np.diff(column.astype(np.float64))), baseline.error_floor)


def _clipped_mean(errors: NDArray[np.float64], floor: float) -> float:
    """Return the mean that the running spread would settle at: what is over 8 times it counts as 8 times."""
    seen = errors[np.isfinite(errors)]
    if seen.size == 0:
        return 0.0
    largest = LARGEST_ERROR * max(DEVIATION_OF_SPREAD * float(seen.mean()), floor)
    return float(np.minimum(seen, largest).mean())


def _last(column: NDArray[np.float64], otherwise: float) -> float:
    seen = column[np.isfinite(column)]
    return float(seen[-1]) if seen.size else otherwise


def _fit_threshold(
    loaded: LoadedModel,
    settings: DetectorSettings,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    asked: float | None,
) -> tuple[DetectorSettings, bool, bool, float]:
    """Choose the threshold that alerts cross as often as the budget says; also: extrapolated, capped, largest."""
    scores = Detector(loaded, settings).push_block(times_ns, values).scores
    scores = scores[np.isfinite(scores)]
    raising = tail_fit.kth_largest(scores, settings.raise_after, settings.raise_window)
    block = settings.raise_window + settings.clear_after + int(settings.cooldown_ns // settings.period_ns)
    level, extrapolated = tail_fit.return_level(raising, block, settings.budget_samples)
    least = SMALLEST_THRESHOLD if asked is None else asked
    threshold = min(max(level if asked is None else asked, least), LARGEST_THRESHOLD)
    chosen = msgspec.structs.replace(
        settings,
        threshold=threshold,
        threshold_low=max(0.8 * threshold, least),
        threshold_high=max(LARGEST_THRESHOLD, threshold),
    )
    return chosen, extrapolated, level > LARGEST_THRESHOLD, float(scores.max())
