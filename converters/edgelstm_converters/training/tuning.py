"""A search over networks with Optuna: the smallest whose validation loss is near the best, and the front of all tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch

from edgelstm.errors import UsageError
from edgelstm.stream import LoadedModel
from edgelstm_converters.training import checkpoint, loop, workflow
from edgelstm_converters.training.dataset import Dataset
from edgelstm_converters.training.settings import TrainingSettings

TIMED_SAMPLES, TIMED_ROUNDS = 2000, 5
LOSS_OF_THE_FAILED = float("inf")


@dataclass(frozen=True, slots=True)
class Tried:
    """One network that was trained to its end.

    loss     on the validation stretch, in nats a value: 0.02 more is a spread 2 % wider
    bytes    of int8 weights
    step_ns  a sample through it, on this machine, in a block
    """

    number: int
    settings: TrainingSettings
    loss: float
    bytes: int
    step_ns: float


def search(
    data: Dataset,
    base: TrainingSettings,
    trials: int,
    storage: str,
    told: Callable[[str], None] = lambda line: None,
) -> list[Tried]:
    """Try networks until the study has as many trials as asked, those of earlier runs and other machines counted.

    base     what is not searched: task, seed, shares
    storage  a file, or the URL of a database that several machines share

    Networks that are worse, half way, than the median of the others are given up (pruned).
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = f"edgelstm-{checkpoint.fingerprint(base, data)[:12]}"
    study = optuna.create_study(
        study_name=name,
        storage=_storage(storage),
        load_if_exists=True,
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=base.seed + len(_known(storage, name))),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=5),
    )
    done = sum(trial.state.is_finished() for trial in study.trials)
    if done:
        told(f"{storage}: goes on after {done} trials")
    if done < trials:
        study.optimize(
            lambda trial: _objective(trial, data, base),
            n_trials=trials - done,
            callbacks=[lambda _, trial: told(_line(trial, trials))],
        )
    finished = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not finished:
        raise UsageError(f"none of {len(study.trials)} trials came to an end: ask for more with --trials")
    return [
        Tried(
            trial.number,
            _settings(base, trial.params),
            float(trial.value),
            int(trial.user_attrs["bytes"]),
            float(trial.user_attrs["step_ns"]),
        )
        for trial in finished
    ]


def choose(tried: list[Tried], tolerance: float) -> Tried:
    """Return the smallest network whose loss is at most `tolerance` above the best."""
    best = min(one.loss for one in tried)
    return min((one for one in tried if one.loss <= best + tolerance), key=lambda one: (one.bytes, one.loss))


def front(tried: list[Tried]) -> list[Tried]:
    """Return those that no other one beats in both loss and bytes, the smallest first."""
    kept: list[Tried] = []
    for one in sorted(tried, key=lambda one: (one.bytes, one.loss)):
        if not kept or one.loss < kept[-1].loss:
            kept.append(one)
    return kept


def _objective(trial: Any, data: Dataset, base: TrainingSettings) -> float:
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

    def say(progress: loop.Progress) -> None:
        trial.report(progress.validation, progress.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    loop.advance(run, settings, data, say, lambda _: None)
    if not np.isfinite(run.best):
        raise optuna.TrialPruned
    loaded = LoadedModel(workflow.convert_network(run, settings, data, "trial").model)
    trial.set_user_attr(
        "bytes", int(sum(value.numel() for value in run.network.deployed().parameters() if value.dim() == 2))
    )
    trial.set_user_attr("step_ns", _step_ns(loaded, data))
    return run.best


def _settings(base: TrainingSettings, chosen: dict[str, Any]) -> TrainingSettings:
    return msgspec.structs.replace(base, **chosen)


def _step_ns(loaded: LoadedModel, data: Dataset) -> float:
    x = (data.filled[:TIMED_SAMPLES] * data.std + data.mean).astype(np.float32)
    stream, least = loaded.stream(), float("inf")
    for _ in range(TIMED_ROUNDS):
        before = time.perf_counter_ns()
        stream.run(x)
        least = min(least, (time.perf_counter_ns() - before) / len(x))
    return least


def _storage(where: str) -> Any:
    """Return the database of a URL, or a journal in a file, which several processes may write."""
    if "://" in where:
        return where
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(where))


def _known(where: str, name: str) -> list[Any]:
    """Return the trials that a study has already."""
    import optuna

    try:
        trials: list[Any] = optuna.load_study(study_name=name, storage=_storage(where)).trials
    except KeyError:
        return []
    return trials


def _line(trial: Any, trials: int) -> str:
    what = " ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
    result = (
        f"loss {trial.value:.4f}"
        if trial.value is not None and trial.state.name == "COMPLETE"
        else "given up"
    )
    return f"{trial.number + 1}/{trials}  {result}  {what}"
