"""Trials of a study that several processes share: never more than asked, and none lost to a process that was killed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from edgelstm.errors import UnavailableError, UsageError

HEARTBEAT_S, GRACE_S = 10, 60
"""How often a running trial is heard of, and after what silence it is taken for dead."""

POLL_S = 0.5
AT_ONCE_S = 2.0
"""After so long the tables are there that another process was making."""
UNSAFE = "?#{}%"
"""What a name of a file cannot have that goes into the address of a database."""

Objective = Callable[[Any], float]
Told = Callable[[str], None]


class _Withdrawn(Exception):
    """A trial was begun while others that were begun before it are as many as asked."""


def open_study(
    where: str, name: str, *, heartbeat_s: int = HEARTBEAT_S, grace_s: int = GRACE_S, rungs: bool = False
) -> Any:
    """Open a study, or begin it, in a file (SQLite) or in the database of a URL.

    rungs  whether trials report at a few steps alone, each of which may give one up; else a step is an epoch, and the first are free

    Raises UsageError where it is no such file, UnavailableError where the database or its driver is not there.
    """
    import optuna
    from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = where if "://" in where else _url_of(where)
    waiting = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}

    def opened() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                url, engine_kwargs=waiting, heartbeat_interval=heartbeat_s, grace_period=grace_s
            )
        return optuna.create_study(
            study_name=name,
            storage=storage,
            load_if_exists=True,
            direction="minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0 if rungs else 5),
        )

    try:
        try:
            return opened()
        except (IntegrityError, OperationalError):  # another process makes the tables at the same moment
            time.sleep(AT_ONCE_S)
            return opened()
    except ImportError as exc:
        first = str(exc).splitlines()[0]
        raise UnavailableError(f"--study {shown(where)}: the database needs a driver: {first}") from None
    except (SQLAlchemyError, RuntimeError) as exc:
        first = str(getattr(exc, "orig", None) or exc).splitlines()[0]
        raise UsageError(f"--study {shown(where)}: cannot be opened as a study: {first}") from None


def run_trials(
    study: Any,
    trials: int,
    objective: Objective,
    told: Told,
    line: Callable[[Any], str],
    *,
    grace_s: int = GRACE_S,
) -> None:
    """Run trials until `trials` have come to an end, those of all processes counted, or wait for those that run elsewhere.

    A trial is begun before it is known to be one too many, because only its number, which the database gives, has an order that
    all processes see alike: then it is withdrawn, and does not count.
    """
    seen = _Unbegun(grace_s)
    waits = False
    while True:
        seen.fail_dead(study)
        finished, running = counted(study)
        if finished >= trials:
            return
        if finished + running >= trials:
            if not waits:
                told(f"waits for {running} that another process runs")
            waits = True
            time.sleep(POLL_S)
            continue
        waits = False
        _run_one(study, trials, objective, told, line)


def counted(study: Any) -> tuple[int, int]:
    """Return how many trials have come to an end, given up or not, and how many run."""
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    return sum(state in ("COMPLETE", "PRUNED") for state in states), states.count("RUNNING")


def shown(where: str) -> str:
    """Return a file or a URL without the password in it."""
    if "://" not in where:
        return where
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return str(make_url(where).render_as_string(hide_password=True))
    except ArgumentError:
        return where.split("://")[0] + "://..."


def _run_one(study: Any, trials: int, objective: Objective, told: Told, line: Callable[[Any], str]) -> None:
    import optuna

    of_objective: list[BaseException] = []

    def guarded(trial: Any) -> float:
        trial.set_user_attr("begun", True)
        before = [one for one in study.get_trials(deepcopy=False) if one.number < trial.number]
        if sum(one.state.name != "FAIL" for one in before) >= trials:
            raise _Withdrawn
        try:
            return objective(trial)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise
        except BaseException as exc:
            of_objective.append(exc)
            raise

    def say(_: Any, trial: Any) -> None:
        if trial.state.name != "FAIL":
            told(f"{counted(study)[0]}/{trials}  {line(trial)}")

    try:
        study.optimize(guarded, n_trials=1, catch=(_Withdrawn,), callbacks=[say])
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError) as exc:
        if exc in of_objective:
            raise
        told(
            "a trial of this process was not heard of for so long that others gave it up; it goes on with another"
        )


class _Unbegun:
    """Trials that run but have said nothing yet: a process killed in its first moment leaves one without a heartbeat."""

    def __init__(self, grace_s: int) -> None:
        self._grace_s = grace_s
        self._since: dict[int, float] = {}

    def fail_dead(self, study: Any) -> None:
        """Fail what was not heard of within the time of grace."""
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if "begun" in trial.user_attrs:
                continue
            since = self._since.setdefault(trial.number, time.monotonic())
            if time.monotonic() - since > self._grace_s:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _url_of(path: str) -> str:
    bad = next((c for c in UNSAFE if c in path), None)
    if bad:
        raise UsageError(
            f'--study {path}: the name of a study cannot have a "{bad}"; choose another with --study'
        )
    return f"sqlite:///{path}"
