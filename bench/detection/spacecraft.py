"""SMAP and MSL: telemetry of two spacecraft; one value with commands, a history file and a stream for each channel."""

import csv
import json

import numpy as np
from case import Case, data_folder
from event_score import met

from edgelstm.sources import recording

BUDGET = "1 per 10000 s"
SETTINGS: dict = {}
HEADLINE = "F0.5"
MINIMUM_HISTORY = 300


def load() -> list[Case]:
    """Return one case for each channel: its history, then its stream."""
    folder = data_folder("smap_msl")
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        labelled = {
            row["channel"]: json.loads(row["anomaly_ranges_inclusive"]) for row in csv.DictReader(file)
        }
    cases = []
    for name, spans in sorted(labelled.items()):
        history, stream = (
            recording.read(folder / part / f"{name}.csv.gz", ["value"]).values for part in ("train", "test")
        )
        labels = np.zeros(len(history) + len(stream), np.int8)
        for first, last in spans:
            labels[len(history) + first : len(history) + last + 1] = 1
        times_ns = np.arange(len(labels), dtype=np.int64) * 10**9
        cases.append(
            Case(name, ("value",), times_ns, np.concatenate([history, stream]), len(history), labels)
        )
    return cases


def score(cases, watched) -> dict[str, float]:
    """Return precision, recall and F0.5 of alerts against labelled ranges, over all channels."""
    found = false = missed = 0
    for case, seen in zip(cases, watched, strict=True):
        counts = met(case.labels[case.first :], seen)
        found, false, missed = found + counts[0], false + counts[1], missed + counts[2]
    precision, recall = found / max(found + false, 1), found / max(found + missed, 1)
    both = 1.25 * precision * recall / max(0.25 * precision + recall, 1e-9)
    return {
        "F0.5": both,
        "precision": precision,
        "recall": recall,
        "found": found,
        "false": false,
        "missed": missed,
    }
