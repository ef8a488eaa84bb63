"""Baselines, tails and threshold of a detector, found by running it over normal history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm import tail_fit
from edgelstm.detector import Detector, forecasts_of
from edgelstm.detector_settings import SMALLEST_FLOOR, SURPRISE_CAP, ChannelBaseline, DetectorSettings, Tail
from edgelstm.errors import EdgeLstmError, SampleError
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.evidence import DEVIATION_OF_SPREAD, LARGEST_ERROR
from edgelstm.kernels.detection.tail import FLOORS

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

MINIMUM_ROWS = 300
"""Three of them are in a tail of 1 %: fewer say nothing about rare values."""

FLOOR_RATIO = 0.05
FLOOR_OF_CONSTANT = 0.05
LONG_MEMORIES = 3
DRIFT_ROWS, DRIFTING_SHARE, DRIFTING_WEIGHT = 50, 0.5, 0.3
"""A channel whose mean over so many rows has so much of its variance drifts."""

LEVEL_FLOOR_STEPS = 4.0
UNREACHABLE = 1e3
LARGEST_THRESHOLD = 0.95 * SURPRISE_CAP
SMALLEST_THRESHOLD = 3.0
_S = 10**9

_PLACEHOLDER = Tail(threshold=1.0, mean_excess=1.0, mean_square=2.0)


class CalibrationError(EdgeLstmError):
    """The history cannot be calibrated on (EX_DATAERR)."""

    exit_code = 65


@dataclass(frozen=True, slots=True)
class Calibration:
    """Settings, and what the history showed.

    extrapolated  whether the budget is rarer than the history can show, so that the threshold is a tail's guess
    capped        whether the budget asks for more than scores can reach, so that it may be exceeded
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


def calibrate(
    loaded: LoadedModel, times_ns: NDArray[np.int64], values: NDArray[np.float32], budget: str = "1 per week"
) -> DetectorSettings:
    """Return the settings of a detector for streams like this normal history.

    times_ns  int64   (samples,)
    values    float32 (samples, channels), not finite where missing

    Raises CalibrationError where there is too little of it, saying how much is needed.
    """
    return examine(loaded, times_ns, values, budget).settings


def examine(
    loaded: LoadedModel,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    budget: str = "1 per week",
    **choices: object,
) -> Calibration:
    """Calibrate, and say what was seen; `choices` are fields of DetectorSettings that are not to be found."""
    if values.ndim != 2 or values.shape[1] != len(loaded.channel_names) or len(times_ns) != len(values):
        raise SampleError(
            f"the history has shape {values.shape}, expected (samples, {len(loaded.channel_names)}) and as many times"
        )
    times_ns = np.ascontiguousarray(times_ns, np.int64)
    values = np.ascontiguousarray(values, np.float32)
    _expect_rows(len(values))
    settings = _first_guess(loaded, times_ns, values, budget, choices)
    settings = _fit_baselines(loaded, settings, times_ns, values)
    settings, extrapolated, capped, largest = _fit_threshold(loaded, settings, times_ns, values)
    trial = Detector(loaded, settings)
    verdicts = trial.push_block(times_ns, values)
    settings = msgspec.structs.replace(settings, history_alerts=trial.counters["raised"])
    return Calibration(
        settings=settings,
        rows=len(values),
        scored=int(np.isfinite(verdicts.scores).sum()),
        span_s=float(times_ns[-1] - times_ns[0]) / _S,
        counters=trial.counters,
        missing={
            name: int(count)
            for name, count in zip(loaded.channel_names, (~np.isfinite(values)).sum(axis=0), strict=True)
        },
        constant=tuple(
            name for name, column in zip(loaded.channel_names, values.T, strict=True) if _is_constant(column)
        ),
        largest_score=largest,
        extrapolated=extrapolated,
        capped=capped,
    )


def _expect_rows(rows: int) -> None:
    if rows < MINIMUM_ROWS:
        raise CalibrationError(
            f"the history has {rows} usable rows, at least {MINIMUM_ROWS} are needed; a day of normal running is better"
        )


def _first_guess(
    loaded: LoadedModel,
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
    }
    found.update({name: choice for name, choice in choices.items() if choice is not None})
    baselines = (
        _statistics(name, column) for name, column in zip(loaded.channel_names, values.T, strict=True)
    )
    return DetectorSettings(
        channels=tuple(baselines),
        budget=budget,
        threshold=UNREACHABLE,
        threshold_low=UNREACHABLE,
        threshold_high=UNREACHABLE,
        history_rows=len(values),
        **found,  # type: ignore[arg-type]
    )


def _statistics(name: str, column: NDArray[np.float32]) -> ChannelBaseline:
    seen = column[np.isfinite(column)].astype(np.float64)
    mean = float(seen.mean()) if seen.size else 0.0
    deviation = float(seen.std()) if seen.size else 0.0
    steps = np.abs(np.diff(seen))
    step = float(steps[steps > 0.0].min()) if (steps > 0.0).any() else 0.0
    if _is_constant(column):
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
        error_tail=_PLACEHOLDER,
        error_mean_tail=_PLACEHOLDER,
        level_tail=_PLACEHOLDER,
    )


def _is_constant(column: NDArray[np.float32]) -> bool:
    seen = column[np.isfinite(column)]
    return bool(seen.size == 0 or (seen == seen[0]).all())


@dataclass(frozen=True, slots=True)
class _Trace:
    """The signals of every scored sample of the history: float64 (samples, channels), NaN where there is none."""

    error: NDArray[np.float64]
    scaled_error: NDArray[np.float64]
    error_mean: NDArray[np.float64]
    level: NDArray[np.float64]
    variance: NDArray[np.float64]


def _trace(
    loaded: LoadedModel, settings: DetectorSettings, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> _Trace:
    """Run a detector over the history and look at its state after every sample."""
    detector = Detector(loaded, settings)
    words = (at.ABSOLUTE_ERROR, at.SCALED_ERROR, at.ERROR_MEAN, at.LEVEL, at.VARIANCE)
    traced = np.full((len(words), *values.shape), np.nan)
    detector.trace(times_ns, values, words, traced)
    forecast = np.array(forecasts_of(loaded)) >= 0
    traced[:3, :, ~forecast] = np.nan
    return _Trace(*traced)


def _fit_baselines(
    loaded: LoadedModel, settings: DetectorSettings, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> DetectorSettings:
    """Find spreads, then, with them, tails: two runs over the history."""
    trace = _trace(loaded, settings, times_ns, values)
    scored = int(np.isfinite(trace.level).any(axis=1).sum())
    if scored < MINIMUM_ROWS // 2:
        raise CalibrationError(
            f"only {scored} of {len(values)} rows of the history can be scored, at least {MINIMUM_ROWS // 2} are needed: "
            f"{settings.warm_up} samples warm up at the start and after every long gap"
        )
    baselines = [
        msgspec.structs.replace(
            baseline,
            error_spread=_clipped_mean(trace.error[:, c], baseline.error_floor),
            level_spread=float(np.sqrt(_last(trace.variance[:, c], baseline.level_spread**2))),
            level_weight=_level_weight(values[:, c], settings.level_long),
        )
        for c, baseline in enumerate(settings.channels)
    ]
    settings = msgspec.structs.replace(settings, channels=tuple(baselines))
    trace = _trace(loaded, settings, times_ns, values)
    signals = (trace.scaled_error, trace.error_mean, trace.level)
    names = ("error_tail", "error_mean_tail", "level_tail")
    baselines = [
        msgspec.structs.replace(
            baseline,
            **{
                name: tail_fit.fit(signal[:, c], settings.tail_fraction, *floors)
                for name, signal, floors in zip(names, signals, FLOORS, strict=True)
            },
        )
        for c, baseline in enumerate(settings.channels)
    ]
    return msgspec.structs.replace(settings, channels=tuple(baselines))


def _clipped_mean(errors: NDArray[np.float64], floor: float) -> float:
    """Return the mean that the running spread would settle at: what is over 8 times it counts as 8 times."""
    seen = errors[np.isfinite(errors)]
    if seen.size == 0:
        return 0.0
    largest = LARGEST_ERROR * max(DEVIATION_OF_SPREAD * float(seen.mean()), floor)
    return float(np.minimum(seen, largest).mean())


def _level_weight(column: NDArray[np.float32], level_long: int) -> float:
    """Return less weight for the level of a channel that drifts, where the history is too short to know how far."""
    seen = column[np.isfinite(column)].astype(np.float64)
    if seen.size >= LONG_MEMORIES * level_long or seen.size < 2 * DRIFT_ROWS or seen.var() <= 0.0:
        return 1.0
    sums = np.cumsum(np.concatenate([[0.0], seen - seen.mean()]))
    slow = (sums[DRIFT_ROWS:] - sums[:-DRIFT_ROWS]) / DRIFT_ROWS
    return DRIFTING_WEIGHT if slow.var() > DRIFTING_SHARE * seen.var() else 1.0


def _last(column: NDArray[np.float64], otherwise: float) -> float:
    seen = column[np.isfinite(column)]
    return float(seen[-1]) if seen.size else otherwise


def _fit_threshold(
    loaded: LoadedModel, settings: DetectorSettings, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> tuple[DetectorSettings, bool, bool, float]:
    """Choose the threshold that alerts cross as often as the budget says; also: extrapolated, capped, largest."""
    scores = Detector(loaded, settings).push_block(times_ns, values).scores
    scores = scores[np.isfinite(scores)]
    raising = tail_fit.kth_largest(scores, settings.raise_after, settings.raise_window)
    block = settings.raise_window + settings.clear_after + int(settings.cooldown_ns // settings.period_ns)
    level, extrapolated = tail_fit.return_level(raising, block, settings.budget_samples)
    threshold = min(max(level, SMALLEST_THRESHOLD), LARGEST_THRESHOLD)
    chosen = msgspec.structs.replace(
        settings,
        threshold=threshold,
        threshold_low=max(0.8 * threshold, SMALLEST_THRESHOLD),
        threshold_high=max(LARGEST_THRESHOLD, threshold),
    )
    return chosen, extrapolated, level > LARGEST_THRESHOLD, float(scores.max())
