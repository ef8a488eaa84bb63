"""The same from Python, in the manner of scikit-learn: fit on arrays or DataFrames, then score and predict."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgelstm import model_file
from edgelstm.errors import UsageError
from edgelstm.sources.recording import Recording
from edgelstm.stream import LoadedModel
from edgelstm_converters.training.dataset import examine
from edgelstm_converters.training.settings import TrainingSettings
from edgelstm_converters.training.workflow import Trained, train


class ForecastDetector:
    """An anomaly detector that is trained on normal running; parameters are those of TrainingSettings, and `budget`.

    After `fit`: `trained_` (what training found), `model_` (to be stepped or saved), `feature_names_in_`.
    """

    def __init__(self, *, budget: str = "1 per week", **parameters: Any) -> None:
        self.budget, self.parameters = budget, parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the estimator was made with, as scikit-learn's tools expect."""
        return {"budget": self.budget, **self.parameters}

    def set_params(self, **parameters: Any) -> Self:
        """Change what the estimator was made with."""
        self.budget = parameters.pop("budget", self.budget)
        self.parameters |= parameters
        return self

    def fit(self, x: Any, y: Any = None, *, times_ns: NDArray[np.int64] | None = None) -> Self:
        """Train on normal running.

        x         (samples, channels): an array, or a DataFrame, whose columns are the channels
        y         classes of the samples, 0 for normal; makes it a classifier
        times_ns  int64 (samples,); else the index of a DataFrame where it is of times, else one second apart
        """
        values, names, times = _table(x, times_ns)
        parameters = dict(self.parameters)
        label = None
        if y is not None:
            label = "label"
            values = np.concatenate([values, np.asarray(y, np.float32).reshape(-1, 1)], axis=1)
            names, parameters = (*names, label), {"task": "classify"} | parameters
        settings = TrainingSettings(**parameters)
        one = Recording(times, values, names, 0, None)
        data = examine([one], label=label, keep_all=True, validation=settings.validation, test=settings.test)
        self.trained_: Trained = train(data, settings, budget=self.budget)
        self.model_ = LoadedModel(self.trained_.model)
        self.feature_names_in_ = np.array(data.names, object)
        return self

    def score_samples(self, x: Any, *, times_ns: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return minus the score of every sample, so that lower is less normal; NaN where there is no verdict."""
        return -self._run(x, times_ns)[0]

    def predict(self, x: Any, *, times_ns: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return -1 for samples within an alert and 1 for all others."""
        return np.where(self._run(x, times_ns)[1] == 1, -1, 1).astype(np.int64)

    def save(self, path: str) -> None:
        """Write the model file."""
        self._expect_fitted()
        model_file.save(self.trained_.model, path)

    def _run(self, x: Any, times_ns: NDArray[np.int64] | None) -> tuple[NDArray[Any], NDArray[Any]]:
        self._expect_fitted()
        values, _, times = _table(x, times_ns)
        verdicts = self.model_.detector().push_block(times, values)
        return verdicts.scores, verdicts.states

    def _expect_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise UsageError("this ForecastDetector is not fitted yet: call fit first")


def _table(
    x: Any, times_ns: NDArray[np.int64] | None
) -> tuple[NDArray[np.float32], tuple[str, ...], NDArray[np.int64]]:
    """Return values, names of channels and times of an array or a DataFrame."""
    names = tuple(str(name) for name in x.columns) if hasattr(x, "columns") else ()
    if times_ns is None and getattr(getattr(x, "index", None), "dtype", np.dtype(int)).kind == "M":
        times_ns = np.asarray(x.index.values, "datetime64[ns]").astype(np.int64)
    try:
        values = np.ascontiguousarray(np.asarray(x, np.float32))
    except (TypeError, ValueError) as exc:
        raise UsageError(f"the samples are not made of numbers: {exc}") from None
    if values.ndim != 2 or not len(values):
        raise UsageError(f"the samples have shape {values.shape}, expected (samples, channels)")
    if times_ns is None:
        times_ns = np.arange(len(values), dtype=np.int64) * 10**9
    if len(times_ns) != len(values):
        raise UsageError(f"{len(times_ns)} times for {len(values)} samples")
    return values, names or tuple(f"x{n}" for n in range(values.shape[1])), np.asarray(times_ns, np.int64)
