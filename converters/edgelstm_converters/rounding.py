"""Rounding weights to int8 so that what they give changes least on calibration samples, not so that each changes least.

The manner of GPTQ (Frantar et al. 2023, after Hassibi and Stork 1993): columns are rounded one after another, and what
rounding one changes is made up for in those that are left, as the covariance of the inputs says. What is left of the mean goes
into the bias (Nagel et al. 2019). Every row takes this, or plain rounding, or plain rounding with the bias corrected: whichever
is best on a part of the samples that was held back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMIT = 127
HELD_BACK = 0.25
DAMPING = 0.01
FEWEST_SAMPLES_A_COLUMN = 2
"""Below this the covariance is mostly chance, and plain rounding is kept."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """int8 weights (rows, columns), and what to add to each row's result to make up for the mean of what they lose."""

    weights: NDArray[np.int8]
    correction: Doubles


def round_rows(columns: Doubles, scale: Doubles, samples: Doubles | None) -> Rounded:
    """Round `columns / scale` to whole numbers.

    columns  (rows, columns), what multiplies the inputs
    scale    (rows,), of one step of the result
    samples  (samples, columns), inputs as calibration saw them, in order; None where there are none
    """
    plain = np.rint(columns / scale[:, None]).astype(np.int8)
    none = Rounded(plain, np.zeros(len(columns)))
    if samples is None or len(samples) * (1.0 - HELD_BACK) < FEWEST_SAMPLES_A_COLUMN * columns.shape[1]:
        return none
    cut = int(len(samples) * (1.0 - HELD_BACK))
    fit, held = samples[:cut], samples[cut:]
    mean = fit.mean(axis=0)
    compensated = _compensated(columns, scale, np.cov(fit, rowvar=False, bias=True).reshape(len(mean), -1))
    candidates = [
        none,
        _corrected(columns, scale, plain, mean),
        _corrected(columns, scale, compensated, mean),
    ]
    errors = np.stack([_errors(columns, scale, candidate, held) for candidate in candidates])
    best = errors.argmin(axis=0)
    rows = np.arange(len(columns))
    return Rounded(
        np.stack([candidate.weights for candidate in candidates])[best, rows],
        np.stack([candidate.correction for candidate in candidates])[best, rows],
    )


def _corrected(columns: Doubles, scale: Doubles, weights: NDArray[np.int8], mean: Doubles) -> Rounded:
    return Rounded(weights, (columns - weights * scale[:, None]) @ mean)


def _errors(columns: Doubles, scale: Doubles, rounded: Rounded, samples: Doubles) -> Doubles:
    """Return the mean square of what every row loses on samples."""
    lost = samples @ (columns - rounded.weights * scale[:, None]).T - rounded.correction
    result: Doubles = np.square(lost).mean(axis=0)
    return result


def _compensated(columns: Doubles, scale: Doubles, covariance: Doubles) -> NDArray[np.int8]:
    """Round column by column, those that vary most first."""
    variance = np.diag(covariance)
    order = np.argsort(-variance, kind="stable")
    damped = covariance[np.ix_(order, order)] + np.eye(len(order)) * (DAMPING * variance.mean() + 1e-12)
    inverse = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper: row j holds how column j is made up for
    left = columns[:, order] / scale[:, None]
    rounded = np.empty_like(left)
    for j in range(left.shape[1]):
        rounded[:, j] = np.clip(np.rint(left[:, j]), -LIMIT, LIMIT)
        lost = (left[:, j] - rounded[:, j]) / inverse[j, j]
        left[:, j:] -= lost[:, None] * inverse[j, j:]
    back = np.empty_like(rounded)
    back[:, order] = rounded
    return back.astype(np.int8)
