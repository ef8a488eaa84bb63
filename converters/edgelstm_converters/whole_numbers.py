"""Rows of weights that were int8 before: what one of their whole numbers stands for, so that they keep them, byte for byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST, MOST_UNSIGNED = 127, 255
"""The largest whole number of a weight here, and of one that has a zero of its own in its source."""
FEWEST_STEPS = 64
"""Of a row of which nobody says what it was: one of fewer has a multiple of its numbers that is as many."""

Doubles = NDArray[np.float64]


def steps_of(matrix: NDArray[np.float32], scales: Doubles) -> Doubles:
    """Return what one of the whole numbers of each row (rows, ...) stands for, 0 where the row is none of the source's int8.

    scales  of the source's int8 tensors, in rising order. A row belongs to one where each of its elements is, to the last bit,
            what a whole number times it is in float32; of several, to the one that most rows belong to. Negative: it does,
            but not with numbers of -127 to 127, as asymmetric weights do not.
    """
    rows = matrix.reshape(len(matrix), -1)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    targets = largest[:, None].astype(np.float64) / np.arange(1, MOST_UNSIGNED + 1)
    above = np.searchsorted(scales, targets)
    fitting: dict[float, set[int]] = {}
    for place in (above - 1, above):
        near = scales[np.clip(place, 0, len(scales) - 1)]
        for row, number in np.argwhere(_is_multiple(largest[:, None], near) & (largest > 0.0)[:, None]):
            fitting.setdefault(float(near[row, number]), set()).add(int(row))
    belonging = []
    for scale, some in fitting.items():
        chosen = np.array(sorted(some))
        belonging.append((scale, chosen[_is_multiple(rows[chosen], scale).all(axis=1)]))
    found = np.zeros(len(rows))
    for scale, chosen in sorted(
        belonging, key=lambda pair: len(pair[1])
    ):  # what most rows belong to comes last
        found[chosen] = np.where(largest[chosen] < (MOST + 0.5) * scale, scale, -scale)
    return found


def _is_multiple(values: NDArray[np.float32], scale: Doubles | float) -> NDArray[np.bool_]:
    whole = np.rint(values / scale)
    result: NDArray[np.bool_] = ((whole * scale).astype(np.float32) == values) & (
        np.abs(whole) <= MOST_UNSIGNED
    )
    return result


def row_scales(columns: Doubles, known: Doubles | None = None) -> Doubles:
    """Return the step of every row: a 127th of its largest, or the step that it was quantised with before.

    known  that step, where the source says it; 0 or less where it does not

    Else a row of which every element is a whole number of steps of its largest divided by q, q from 126 down, is
    taken over as it is, too: quantising an already quantised model again would cost as much as the first time.
    """
    largest = np.abs(columns).max(axis=1)
    scale = np.where(largest > 0.0, largest, 1.0) / MOST
    open_ = off_grid(columns, scale)
    if known is not None:
        said = np.flatnonzero((known > 0.0) & (largest < (MOST + 0.5) * known))
        said = said[~off_grid(columns[said], known[said])]
        scale[said], open_[said] = known[said], False
    for steps in range(MOST - 1, FEWEST_STEPS - 1, -1):
        rows = np.flatnonzero(open_)
        if not rows.size:
            break
        some = columns[rows, :8]  # enough to leave most rows alone
        rows = rows[~off_grid(some, largest[rows] / steps)]
        found = rows[~off_grid(columns[rows], largest[rows] / steps)]
        scale[found], open_[found] = largest[found] / steps, False
    return scale


def off_grid(columns: Doubles, scale: Doubles) -> NDArray[np.bool_]:
    """Return which rows are not made of whole numbers of `scale`."""
    steps = columns / scale[:, None]
    off: NDArray[np.bool_] = np.abs(steps - np.rint(steps)).max(axis=1, initial=0.0) > 1e-3
    return off
