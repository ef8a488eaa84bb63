"""How good a classifier is: accuracy, precision, recall, F1, area under the ROC curve, confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ClassMetrics:
    """Of every class but the first, which is taken for normal, the mean; `confusion` is int64 (true, predicted)."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    confusion: NDArray[np.int64]


def class_metrics(outputs: Floats, labels: NDArray[np.int64], classes: int) -> ClassMetrics:
    """Judge logits (samples, 1 or classes) against classes (samples,); one logit is that of the second class."""
    if outputs.shape[1] == 1:
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
    predicted = outputs.argmax(axis=1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    hits = np.diag(confusion).astype(np.float64)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    both = precision + recall
    f1 = np.where(both > 0.0, 2.0 * precision * recall / np.where(both > 0.0, both, 1.0), 0.0)
    areas = [
        area_under_curve(outputs[:, c] - np.delete(outputs, c, axis=1).max(axis=1), labels == c)
        for c in range(1, classes)
    ]
    return ClassMetrics(
        accuracy=float(hits.sum() / max(confusion.sum(), 1)),
        precision=float(precision[1:].mean()),
        recall=float(recall[1:].mean()),
        f1=float(f1[1:].mean()),
        auc=float(np.nanmean(areas)) if np.isfinite(areas).any() else float("nan"),
        confusion=confusion,
    )


def area_under_curve(scores: NDArray[np.floating], true: NDArray[np.bool_]) -> float:
    """Return the chance that a true sample scores above another one, ties counting half; NaN where one kind is missing."""
    positives, negatives = int(true.sum()), int((~true).sum())
    if not positives or not negatives:
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    return float(
        (ranks[places][true].sum() - positives * (positives + 1) / 2.0) / (positives * float(negatives))
    )
