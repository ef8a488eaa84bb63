"""Columns that look like labels: what somebody said of a sample is no reading of a sensor, and would give a fault away."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CLEAR = frozenset(
    [
        "label",
        "labels",
        "anomaly",
        "anomalies",
        "anomalous",
        "outlier",
        "outliers",
        "attack",
        "attacks",
        "class",
        "classes",
        "changepoint",
        "changepoints",
        "groundtruth",
    ]
)
AMBIGUOUS = frozenset(["fault", "faults", "faulty", "failure", "failures", "target", "targets"])
"""A set point may be called so too: labels are mostly 0."""
MOST_KINDS = 16


class LabelColumns:
    """Leaves columns that look like labels out of one recording, or of several that belong together.

    wanted  those that are asked for, which stay
    """

    def __init__(self, *wanted: str | None) -> None:
        self._wanted = {name for name in wanted if name is not None}
        self._known: dict[str, bool] = {}
        self._said = False

    def left_out(self, names: Sequence[str], values: NDArray[np.float32]) -> list[str]:
        """Return the names of the columns to leave out, by their names and first values, (samples, columns); what was once
        decided of a name stays so."""
        for name, column in zip(names, values.T, strict=True):
            if name not in self._wanted:
                self._known.setdefault(name, looks_like_labels(name, column))
        found = [name for name in names if self._known.get(name)]
        return found if len(found) < len([name for name in names if name not in self._wanted]) else []

    def note(self, left_out: Sequence[str]) -> list[str]:
        """Return what a user should be told of what was left out, once."""
        if not left_out or self._said:
            return []
        self._said = True
        one = len(left_out) == 1
        listed = ", ".join(f'"{name}"' for name in left_out)
        return [
            f"column{'' if one else 's'} {listed} {'looks' if one else 'look'} like labels: left out; train and score learn or "
            f"measure by {'it' if one else 'one'} with --label {left_out[0]}, --channels takes {'it' if one else 'them'} as readings"
        ]


def looks_like_labels(name: str, column: NDArray[np.float32]) -> bool:
    """Return whether a column is called as labels are, and holds few whole numbers, 0 for normal among them."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.split(r"[\W_]+", apart)]
    said = {*words, "".join(words)}
    known = column[np.isfinite(column)]
    if not (CLEAR | AMBIGUOUS) & said or not known.size:
        return False
    kinds, normal = np.unique(known), float((known == 0.0).mean())
    few = kinds.size <= MOST_KINDS and bool((kinds == np.round(kinds)).all())
    return few and normal > (0.0 if CLEAR & said else 0.5)
