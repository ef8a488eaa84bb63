"""From recordings to a model file with a detector: look at the data, train, convert, calibrate. Training needs PyTorch.

    from edgelstm_converters.training import ForecastDetector
    detector = ForecastDetector().fit(history)
    detector.predict(stream)

Names are imported when they are first used: looking at data needs no PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgelstm_converters.training.estimator import ForecastDetector
    from edgelstm_converters.training.settings import TrainingSettings
    from edgelstm_converters.training.workflow import Trained, train

_HOMES = {
    "ForecastDetector": "estimator",
    "TrainingSettings": "settings",
    "Trained": "workflow",
    "train": "workflow",
}

__all__ = ["ForecastDetector", "Trained", "TrainingSettings", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgelstm_converters.training' has no attribute '{name}'")
    return getattr(importlib.import_module(f"edgelstm_converters.training.{_HOMES[name]}"), name)
