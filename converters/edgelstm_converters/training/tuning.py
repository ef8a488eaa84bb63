"""A search over networks with Optuna: the smallest whose error is near the best, and the front of all tried."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edgelstm.errors import UsageError
from edgelstm.stream import LoadedModel
from edgelstm_converters.training import checkpoint, loop, study, workflow
from edgelstm_converters.training.dataset import Dataset
from edgelstm_converters.training.settings import TrainingSettings
from edgelstm_converters.training.trial_error import Measure, Watched, measure_of

TIMED_SAMPLES, TIMED_ROUNDS = 2000, 5
LATENCY_THAT_COUNTS = 1.05
"""A time that is shorter by less than that is noise, and puts no network on the front."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network takes on a target: bytes, and time or instructions of a sample, in the target's unit."""

    bytes: int
    latency: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a network is to run on.

    cost  of a model, told samples for it, float32 (samples, channels); raises DoesNotFit
    """

    name: str
    bytes_name: str
    latency_name: str
    cost: Callable[[LoadedModel, NDArray[np.float32]], Cost]


class DoesNotFit(Exception):
    """A network is too large for the target."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One network that was trained to its end.

    error     what is made small: the loss, or one minus the score of the labels
    loss      on the validation stretch, in nats a value: 0.02 more is a spread 2 % wider
    """

    number: int
    settings: TrainingSettings
    error: float
    loss: float
    bytes: int
    latency: float


def host() -> Target:
    """Return this machine as a target."""
    return Target("host", "bytes of weights", "us a sample on this machine", _cost_here)


def search(
    data: Dataset,
    base: TrainingSettings,
    trials: int,
    where: str,
    told: Callable[[str], None] = lambda line: None,
    *,
    target: Target | None = None,
    budget: str = "1 per week",
    heartbeat_s: int = study.HEARTBEAT_S,
    grace_s: int = study.GRACE_S,
) -> list[Tried]:
    """Try networks until the study has as many trials as asked, those of earlier runs and other machines counted.

    base    what is not searched: task, seed, shares
    where   a file, or the URL of a database that several processes and machines share
    budget  of the detector that the labels judge

    What is made small is said by `trial_error`: where labels name faults in the validation stretch, one minus the score of events or
    classes there, else the loss. Networks that are worse than the median of the others on their way are given up (pruned), by
    the same.
    """
    import optuna

    target = target or host()
    measure = measure_of(data, base.task, budget)
    told(measure.why)
    judged_by = [measure.name, budget] if measure.name else []
    name = f"edgelstm-{'-'.join([checkpoint.fingerprint(base, data)[:12], target.name, *judged_by])}"
    opened = study.open_study(where, name, heartbeat_s=heartbeat_s, grace_s=grace_s, rungs=bool(measure.name))
    done, running = study.counted(opened)
    if done or running:
        told(f"{study.shown(where)}: goes on after {done} trials")

    def objective(trial: Any) -> float:
        # by the trial's number: processes that share a study must not draw alike, and a search is repeatable
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            opened.sampler = optuna.samplers.TPESampler(
                seed=base.seed + trial.number, multivariate=False, constant_liar=True
            )
        return _objective(trial, data, base, target, measure)

    study.run_trials(opened, trials, objective, told, partial(_line, measure.name), grace_s=grace_s)
    finished = [trial for trial in opened.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not finished:
        raise UsageError(f"none of {len(opened.trials)} trials came to an end: ask for more with --trials")
    return [
        Tried(
            trial.number,
            _settings(base, trial.params),
            float(trial.value),
            float(trial.user_attrs["loss"]),
            int(trial.user_attrs["bytes"]),
            float(trial.user_attrs["latency"]),
        )
        for trial in finished
    ]


def choose(tried: list[Tried], tolerance: float) -> Tried:
    """Return the smallest network whose error is at most `tolerance` above the best; of networks of which the labels say nothing
    good, by the loss."""
    judged_by = "loss" if labels_are_mute(tried) else "error"
    errors = [float(getattr(one, judged_by)) for one in tried]
    near = [
        (error, one) for error, one in zip(errors, tried, strict=True) if error <= min(errors) + tolerance
    ]
    return min(near, key=lambda found: (found[1].bytes, found[0], found[1].latency, found[1].loss))[1]


def labels_are_mute(tried: list[Tried]) -> bool:
    """Return whether the networks were judged by labels, and none found anything."""
    return all(one.error == 1.0 != one.loss for one in tried)


def front(tried: Iterable[Tried]) -> list[Tried]:
    """Return those that no other one beats in error, bytes and latency at once, the smallest first."""
    kept: list[Tried] = []
    for one in sorted(tried, key=lambda one: (one.bytes, one.error, one.latency)):
        enough = LATENCY_THAT_COUNTS * one.latency
        if not any(other.error <= one.error and other.latency <= enough for other in kept):
            kept.append(one)
    return kept


def _objective(trial: Any, data: Dataset, base: TrainingSettings, target: Target, measure: Measure) -> float:
    import optuna

    settings = _settings(
        base,
        {
            "cell": trial.suggest_categorical("cell", ["lstm", "gru"]),
            "hidden": trial.suggest_categorical("hidden", [8, 16, 24, 32, 48, 64, 96, 128]),
            "layers": trial.suggest_int("layers", 1, 2),
            "learning_rate": trial.suggest_float("learning_rate", 1e-3, 3e-2, log=True),
            "batch": trial.suggest_categorical("batch", [8, 16, 32, 64]),
            "bptt": trial.suggest_categorical("bptt", [32, 64, 128]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
            "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        },
    )
    torch.set_num_threads(1)
    run = loop.begin(settings, data)

    def report(error: float, step: int) -> None:
        trial.report(error, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    loop.advance(run, settings, data, Watched(measure, run, settings, data, report), lambda _: None)
    if not np.isfinite(run.best):
        raise optuna.TrialPruned
    model = workflow.convert_network(run, settings, data, "trial").model
    error = run.best if measure.error is None else measure.error(model, settings)
    try:
        cost = target.cost(LoadedModel(model), _samples(data))
    except DoesNotFit:
        trial.set_user_attr("why", f"does not fit {target.name}")
        raise optuna.TrialPruned from None
    trial.set_user_attr("loss", run.best)
    trial.set_user_attr("bytes", cost.bytes)
    trial.set_user_attr("latency", cost.latency)
    return error


def _settings(base: TrainingSettings, chosen: dict[str, Any]) -> TrainingSettings:
    return msgspec.structs.replace(base, **chosen)


def _samples(data: Dataset) -> NDArray[np.float32]:
    return (data.filled[:TIMED_SAMPLES] * data.std + data.mean).astype(np.float32)


def _cost_here(loaded: LoadedModel, x: NDArray[np.float32]) -> Cost:
    stream, least = loaded.stream(), float("inf")
    for _ in range(TIMED_ROUNDS):
        before = time.perf_counter_ns()
        stream.run(x)
        least = min(least, (time.perf_counter_ns() - before) / len(x))
    return Cost(sum(layer.weight_count for layer in loaded.model.layers), least / 1e3)


def _line(judged_by: str, trial: Any) -> str:
    what = " ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
    if trial.state.name != "COMPLETE":
        return f"{trial.user_attrs.get('why', 'given up')}  {what}"
    judged = f"{judged_by} {1.0 - trial.value:.3f}  " if judged_by else ""
    return f"{judged}loss {trial.user_attrs['loss']:.4f}  {what}"
