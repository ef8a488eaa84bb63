"""The general detector that ships with the package: it needs no training, only some history to know what is normal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm import model_file
from edgelstm.calibration import Calibration, examine
from edgelstm.stream import LoadedModel

GENERAL = Path(__file__).parent / "models" / "general.elstm"
HISTORY_SHARE, MOST_HISTORY, FEWEST_HISTORY = 0.2, 5000, 400
ROWS_THAT_SAY_ALL = int(MOST_HISTORY / HISTORY_SHARE)
"""From so many rows on, how many there are makes no difference to `history_rows`."""


def history_rows(rows: int) -> int:
    """Return how many rows at the start of a recording are taken for normal where nobody says how many."""
    return min(max(int(HISTORY_SHARE * rows), FEWEST_HISTORY), MOST_HISTORY, rows)


def general_detector(
    channels: Sequence[str],
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    budget: str = "1 per week",
    **choices: Any,
) -> tuple[LoadedModel, Calibration]:
    """Return the general model with a detector for channels like those of a normal history, and what it showed.

    times_ns  int64   (samples,)
    values    float32 (samples, channels), not finite where missing

    Raises CalibrationError where the history is too short, ModelFileError where the package is damaged.
    """
    model = model_file.load(GENERAL)
    found = examine(LoadedModel(model), times_ns, values, budget, apart=channels, **choices)
    return LoadedModel(dataclasses.replace(model, detector_settings=found.settings)), found
