"""What a search makes small: what the labels say of a network on the validation stretch, or the loss there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgelstm.errors import UsageError
from edgelstm.model import Model
from edgelstm.stream import LoadedModel
from edgelstm_converters.training import loop, workflow
from edgelstm_converters.training.dataset import Dataset
from edgelstm_converters.training.metrics import class_metrics
from edgelstm_converters.training.settings import TrainingSettings

RUNGS = (1 / 3, 2 / 3)
"""After these shares of its epochs a network is judged by labels, and may be given up: it takes a conversion each time."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How networks are judged.

    name   of what is made large, "" where it is the loss that is made small
    why    what a user should be told of it
    error  of a converted network: one minus what is made large; None: the loss
    """

    name: str
    why: str
    error: Callable[[Model, TrainingSettings], float] | None

    @property
    def error_name(self) -> str:
        return f"1 - {self.name}" if self.name else "validation loss"


def measure_of(data: Dataset, task: str, budget: str) -> Measure:
    """Return how networks are judged: by labelled events where one score tells faults, by classes where there are several, else by
    the loss.

    Raises UsageError where labels that are only there to judge name no fault in the validation stretch.
    """
    first, last = data.split.train, data.split.validate
    rows = f"rows {first + 1:,} to {last:,}"
    if data.labels is None:
        return Measure("", "networks are judged by their loss, as no --label says what is a fault", None)
    faults = data.labels[first:last] != 0
    if not faults.any():
        if task != "classify":
            raise UsageError(
                f"the labels name no fault in {rows}, which judge the networks; "
                "give a recording with faults there, or none and no --label"
            )
        return Measure("", f"networks are judged by their loss, as the labels name no fault in {rows}", None)
    if task == "classify" and len(data.classes) > 2:
        return Measure(
            "class F1",
            f"networks are judged by the F1 of classes in {rows}",
            lambda model, _: 1.0 - _class_f1(model, data),
        )
    events = int(np.count_nonzero(np.diff(np.concatenate([[0], faults.astype(np.int8)])) == 1))
    return Measure(
        "event F1",
        f"networks are judged by the F1 of events: {rows} hold {events}",
        lambda model, settings: 1.0 - _event_f1(model, settings, data, budget),
    )


class Watched:
    """A training whose progress is reported for a search to give it up: by its loss after every epoch, or by its measure at RUNGS."""

    def __init__(
        self, measure: Measure, run: loop.Run, settings: TrainingSettings, data: Dataset,
        report: Callable[[float, int], None],
    ) -> None:  # fmt: skip
        self._measure, self._run, self._settings, self._data = measure, run, settings, data
        self._report = report
        self._rungs = [max(1, math.ceil(share * run.epochs)) for share in RUNGS]

    def __call__(self, progress: loop.Progress) -> None:
        if self._measure.error is None:
            self._report(progress.validation, progress.epoch)
        elif progress.epoch in self._rungs and math.isfinite(progress.validation):
            model = workflow.convert_network(self._run, self._settings, self._data, "trial").model
            rung = self._rungs.index(progress.epoch)
            self._report(self._measure.error(model, self._settings), rung)


def _event_f1(model: Model, settings: TrainingSettings, data: Dataset, budget: str) -> float:
    watching, _ = workflow.calibrate(model, settings, data, budget, data.split.train)
    _, agreement = workflow.watch(LoadedModel(watching), data, data.split.train, data.split.validate)
    assert agreement is not None
    return agreement.event_f1


def _class_f1(model: Model, data: Dataset) -> float:
    assert data.labels is not None
    last = data.split.validate
    x = (data.filled[:last] * data.std + data.mean).astype(np.float32)
    said = LoadedModel(model).stream().run(x)[data.split.train :]
    return class_metrics(said, data.labels[data.split.train : last], len(data.classes)).f1
