"""What every collection is brought to: a normal history, then a stream with labels, and what a detector said of it."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One recording.

    times_ns   int64   (samples,)
    values     float32 (samples, channels), NaN where missing
    first      the samples before it are history: free to calibrate on, never judged
    labels     int8    (samples,) 1 at fault, 0 normal, -1 unknown
    marks      what else a protocol needs, by name
    """

    name: str
    channels: tuple[str, ...]
    times_ns: np.ndarray
    values: np.ndarray
    first: int
    labels: np.ndarray
    marks: dict = field(default_factory=dict)

    @property
    def history(self):
        return self.times_ns[: self.first], self.values[: self.first]


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What a detector said of a case, for its samples from `first` on.

    scores   float64 (samples - first,)  NaN where there is none
    alarm    bool    (samples - first,)  whether an alert is open
    raised   rows, from `first` on, at which alerts were raised
    cleared  rows at which they were cleared
    asked    how many alerts the budget allows in these samples
    """

    scores: np.ndarray
    alarm: np.ndarray
    raised: list
    cleared: list
    asked: float = float("nan")


def data_folder(collection: str) -> Path:
    """Return the folder of a collection; ends the program, with one line, where it is not there."""
    root = os.environ.get("EDGELSTM_DATA")
    if not root:
        sys.exit(
            "detection: set EDGELSTM_DATA to the folder that holds skab, nab, oilwell3w, smap_msl and ecg"
        )
    folder = Path(root) / collection
    if not folder.is_dir():
        sys.exit(
            f"detection: {folder}: no such folder; EDGELSTM_DATA has to name the folder that holds {collection}"
        )
    return folder


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last index, both inclusive, of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
