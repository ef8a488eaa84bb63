"""An electrocardiogram at 90 Hz: premature beats against normal ones; not for medical claims."""

import numpy as np
from case import Case, data_folder

from edgelstm.sources import recording

BUDGET = "1 per 5 min"
SETTINGS: dict = {}
HEADLINE = "AUC"
HISTORY_S = 120.0
BEAT = 36
"""Samples on each side of a beat that are taken for it: 0.4 s."""


def load() -> list[Case]:
    """Return the one record."""
    path = next(data_folder("ecg").glob("*.csv.gz"))
    data = recording.read(path, ["MLII_mV", "V5_mV"], time_column="seconds")
    import gzip

    with gzip.open(path, "rt") as file:
        kinds = [line.rstrip("\n").rsplit(",", 1)[1] for line in file][1:]
    labels = np.zeros(len(kinds), np.int8)
    beats = [(row, kind) for row, kind in enumerate(kinds) if kind]
    for row, kind in beats:
        if kind != "N":
            labels[max(row - BEAT, 0) : row + BEAT] = 1
    first = int(HISTORY_S * 90)
    return [Case("record 100", data.names, data.times_ns, data.values, first, labels, {"beats": beats})]


def score(cases, watched) -> dict[str, float]:
    """Return premature beats found, normal ones taken for premature, and the area under the ROC curve of the scores."""
    (case,), (seen,) = cases, watched
    peaks, truth, found, false = [], [], 0, 0
    scores = np.nan_to_num(seen.scores)
    premature = [row - case.first for row, kind in case.marks["beats"] if kind != "N" and row >= case.first]
    for row, kind in case.marks["beats"]:
        at = row - case.first
        if at < BEAT or at + BEAT > scores.size:
            continue
        near = slice(at - BEAT // 2, at + BEAT)
        peaks.append(float(scores[near].max()))
        truth.append(kind != "N")
        found += kind != "N" and bool(seen.alarm[near].any())
    for row in seen.raised:
        false += not any(abs(row - at) <= 2 * BEAT for at in premature)
    peaks, truth = np.array(peaks), np.array(truth)
    ranks = np.argsort(np.argsort(peaks, kind="stable"), kind="stable") + 1
    positives, negatives = int(truth.sum()), int((~truth).sum())
    area = (ranks[truth].sum() - positives * (positives + 1) / 2) / max(positives * negatives, 1)
    return {"premature found": found, "of": positives, "false": false, "AUC": float(area)}
