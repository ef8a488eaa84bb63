"""The whole line: a dataset, a trained network, an int8 model, a calibrated detector, and what is known of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgelstm import calibration
from edgelstm.label_score import LabelScore, judge
from edgelstm.model import Model
from edgelstm.output_roles import FAULT_OUTPUT, REBUILT_SUFFIX
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdicts
from edgelstm_converters.conversion import Conversion, convert_with_report
from edgelstm_converters.training import checkpoint, loop, self_check
from edgelstm_converters.training.dataset import Dataset
from edgelstm_converters.training.metrics import ClassMetrics, class_metrics
from edgelstm_converters.training.settings import TrainingSettings

Floats = NDArray[np.float32]
UNLEARNED_RATIO, SMALL_ERROR = 2.0, 0.05
"""A channel that hardly moves on the test stretch is not foretold worse than its last value by an error of so many deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A model with a detector, and what training and the test stretch showed.

    history      (training loss, validation loss) of every epoch
    errors       root mean square error a channel on the test stretch: float32, int8, and repeating the last value
    residuals    float32 (samples, channels) of the int8 model on the test stretch, in deviations
    metrics      of a classifier on the test stretch, int8
    alerts       raised on the test stretch; alerting: whether one was open when it began
    test_budget  how many the budget allows there
    scores       float64 (samples,) on the test stretch
    checks       what the detector finds of faults put into the test stretch
    agreement    of the detector with the labels of the test stretch, where it has labelled events
    """

    model: Model
    data: Dataset
    settings: TrainingSettings
    conversion: Conversion
    found: calibration.Calibration | None
    history: list[tuple[float, float]]
    resumed: int
    errors: dict[str, tuple[float, float, float]]
    residuals: Floats
    metrics: ClassMetrics | None
    float_metrics: ClassMetrics | None
    alerts: int
    alerting: bool
    test_budget: float
    scores: NDArray[np.float64]
    agreement: LabelScore | None
    checks: list[self_check.Checked]
    seconds: float

    @property
    def warnings(self) -> list[str]:
        """What a user should be warned of, a line each."""
        deviation = dict(zip(self.data.names, self.data.std.tolist(), strict=True))
        worse = [
            name
            for name, (_, integer, last) in self.errors.items()
            if integer > UNLEARNED_RATIO * max(last, SMALL_ERROR * deviation[name])
        ]
        if not worse or self.settings.task != "forecast":
            return []
        return [
            f"the forecast of {', '.join(worse)} is more than twice as far off as the last value repeated: it was not learned. "
            "A longer history, more --epochs, or --given for a channel that follows nothing here"
        ]


def train(
    data: Dataset,
    settings: TrainingSettings | None = None,
    *,
    budget: str = "1 per week",
    name: str = "trained",
    say: loop.Say = lambda progress: None,
    checkpoint_path: Path | None = None,
    told: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train a network on a dataset and make it an int8 model with a detector.

    say              is told how far it is after every epoch
    checkpoint_path  where the training is kept after every epoch and resumed from; its caller removes it once the model is kept

    Raises EdgeLstmError where the data cannot be converted or calibrated on.
    """
    import time

    settings = settings or TrainingSettings()
    started = time.monotonic()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small are faster on one core, and sums in one order
    try:
        run = loop.begin(settings, data)
        resumed = _train(run, settings, data, say, checkpoint_path, told)
    finally:
        torch.set_num_threads(threads)
    conversion = convert_network(run, settings, data, name)
    model, found = calibrate(conversion.model, settings, data, budget, data.split.validate)
    return _judge(run, settings, data, conversion, model, found, resumed, time.monotonic() - started)


def _train(
    run: loop.Run,
    settings: TrainingSettings,
    data: Dataset,
    say: loop.Say,
    path: Path | None,
    told: Callable[[str], None],
) -> int:
    """Advance a training to its end; return from which epoch on it was resumed."""
    if path is None:
        loop.advance(run, settings, data, say, lambda _: None)
        return 0
    key = checkpoint.fingerprint(settings, data)
    if path.exists():
        if checkpoint.resume(path, run, key):
            told(f"{path}: goes on after epoch {run.epoch} of {run.epochs}")
        else:
            told(f"{path}: is of other data or settings, or damaged: training begins anew")
    resumed = run.epoch
    loop.advance(run, settings, data, say, lambda now: checkpoint.save(path, now, key))
    return resumed


def output_names(settings: TrainingSettings, data: Dataset) -> tuple[str, ...]:
    """Return what the outputs are called, so that the detector knows them."""
    if settings.task == "forecast":
        return data.watched_names
    if settings.task == "autoencoder":
        return tuple(f"{name}{REBUILT_SUFFIX}" for name in data.watched_names)
    return (FAULT_OUTPUT,) if len(data.classes) == 2 else tuple(f"class_{name}" for name in data.classes)


def convert_network(run: loop.Run, settings: TrainingSettings, data: Dataset, name: str) -> Conversion:
    """Return a trained network in int8, its scales set by all rows but those of the test stretch."""
    known = np.isfinite(data.values[: data.split.validate]).all(axis=1)
    rows = data.values[: data.split.validate][known]
    if len(rows) < 20:  # some channel is always missing: its held values stand for it
        rows = (data.filled * data.std + data.mean).astype(np.float32)
    outputs = output_names(settings, data)
    scaling = data.scaling
    if settings.task == "autoencoder":
        scaling = scaling | {f"{name}{REBUILT_SUFFIX}": scaling[name] for name in data.names}
    return convert_with_report(
        run.network.deployed().eval(),
        calibration=rows,
        channels=data.names,
        outputs=outputs,
        scaling=scaling,
        name=name,
    )


def calibrate(
    model: Model, settings: TrainingSettings, data: Dataset, budget: str, until: int
) -> tuple[Model, calibration.Calibration | None]:
    """Make the model a detector on the first `until` rows of its own recording; several classes make none.

    Where there are labels it is calibrated on the rows of the first class alone: faults are no normal history.
    """
    if settings.task == "classify" and len(data.classes) > 2:
        return model, None
    rows = np.arange(len(data.values)) < until
    if data.labels is not None:
        rows &= data.labels == 0
    found = calibration.examine(
        LoadedModel(model), data.times_ns[rows], data.values[rows], budget, given=data.given
    )
    return dataclasses.replace(model, detector_settings=found.settings), found


def watch(loaded: LoadedModel, data: Dataset, start: int, stop: int) -> tuple[Verdicts, LabelScore | None]:
    """Run a detector through the rows before `start`, then over [start, stop); the labels judge it there, if there are any."""
    detector = loaded.detector()
    detector.push_block(data.times_ns[:start], data.values[:start])
    verdicts = detector.push_block(data.times_ns[start:stop], data.values[start:stop])
    if data.labels is None or not data.labels[start:stop].any():
        return verdicts, None
    labels = data.labels[start:stop].astype(np.float32)
    return verdicts, judge(data.times_ns[start:stop], verdicts.states, labels, data.period_ns)


def _judge(
    run: loop.Run,
    settings: TrainingSettings,
    data: Dataset,
    conversion: Conversion,
    model: Model,
    found: calibration.Calibration | None,
    resumed: int,
    seconds: float,
) -> Trained:
    start = data.split.validate
    x = (data.filled * data.std + data.mean).astype(np.float32)
    loaded = LoadedModel(model)
    exact, integer = conversion.float_model.run(x)[start:], loaded.stream().run(x)[start:]
    errors, residuals = {}, np.zeros((0, len(data.watched)), np.float32)
    metrics = float_metrics = None
    if settings.task == "classify":
        assert data.labels is not None
        count = len(data.classes)
        metrics = class_metrics(integer, data.labels[start:], count)
        float_metrics = class_metrics(exact, data.labels[start:], count)
    else:
        ahead = 1 if settings.task == "forecast" else 0
        seen_of, watched = x[:, data.watched], data.watched
        truth, usable = seen_of[start + ahead :], data.usable[start + ahead :, watched]
        last = seen_of[start + ahead - 1 : len(x) - 1]
        guesses = exact[: len(truth)], integer[: len(truth)], last
        for c, name in enumerate(data.watched_names):
            seen = usable[:, c]
            of_float, of_int8, of_last = (_rms(guess[seen, c] - truth[seen, c]) for guess in guesses)
            errors[name] = of_float, of_int8, of_last
        residuals = np.where(usable, (integer[: len(truth)] - truth) / data.std[watched], np.nan).astype(
            np.float32
        )
    alerts, allowed, scores, agreement, alerting = 0, 0.0, np.zeros(0), None, False
    checks: list[self_check.Checked] = []
    if found is not None:
        verdicts, agreement = watch(loaded, data, start, data.split.rows)
        alerts = sum(alert.event_type == "raised" for alert in verdicts.alerts)
        first = next(iter(verdicts.alerts), None)
        alerting = bool((verdicts.states[:1] == 1).any()) and (
            first is None or first.time_ns > data.times_ns[start]
        )
        allowed = len(data.values[start:]) / found.settings.budget_samples
        scores = verdicts.scores
        if settings.task != "classify":  # which faults it is to find, its labels say
            checks = self_check.check(loaded, data, settings.seed)
    return Trained(
        model=model,
        data=data,
        settings=settings,
        conversion=conversion,
        found=found,
        history=run.history,
        resumed=resumed,
        errors=errors,
        residuals=residuals,
        metrics=metrics,
        float_metrics=float_metrics,
        alerts=alerts,
        alerting=alerting,
        test_budget=allowed,
        scores=scores,
        agreement=agreement,
        checks=checks,
        seconds=seconds,
    )


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.square(errors, dtype=np.float64).mean())) if errors.size else float("nan")
