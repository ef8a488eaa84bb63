"""SMAP and MSL: telemetry of two spacecraft; one value with commands, a history file and a stream for each channel."""

import csv
import json

import numpy as np
from case import Case, data_folder
from event_score import met

from edgelstm.sources import recording

BUDGET = "1 per 10000 s"
SHARED = {
    "reach": 0.25,
    "threshold": 3.8,
    "error_mean_memory": 30,
    "error_memory": 500,
    "warm_up": 250,
    "cooldown_ns": 300 * 10**9,
    "threshold_step": 0.1,
}
"""It warms up over 250 samples: the published method, which looks at the last 250, is silent in them too."""

SETTINGS = SHARED | {"weights": dict.fromkeys(("error", "level", "novelty", "repeat", "logit"), 1.0)}
TRAINED = SHARED | {"weights": dict.fromkeys(("error", "error_mean", "repeat"), 1.0)}
"""For a network for each channel, trained on its history with the commands given."""
HEADLINE = "F0.5"
GAP_NS = 86_400 * 10**9
"""The stream does not follow on the history, so the detector has to begin anew; how far apart they are is not told."""


def load(commands: bool = False) -> list[Case]:
    """Return one case for each channel: its history, then its stream; with the commands that move in its history."""
    folder = data_folder("smap_msl")
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        labelled = {
            row["channel"]: json.loads(row["anomaly_ranges_inclusive"]) for row in csv.DictReader(file)
        }
    cases = []
    for name, spans in sorted(labelled.items()):
        history = recording.read(folder / "train" / f"{name}.csv.gz", time_column="t")
        moving = [n for n, column in zip(history.names, history.values.T, strict=True) if column.std() > 0.0]
        given = [channel for channel in moving if channel != "value"] if commands else []
        parts = [
            recording.read(folder / part / f"{name}.csv.gz", ["value", *given], time_column="t").values
            for part in ("train", "test")
        ]
        first = len(parts[0])
        labels = np.zeros(first + len(parts[1]), np.int8)
        for start, end in spans:
            labels[first + start : first + end + 1] = 1
        times_ns = np.arange(len(labels), dtype=np.int64) * 10**9
        times_ns[first:] += GAP_NS
        cases.append(
            Case(
                name,
                ("value", *given),
                times_ns,
                np.concatenate(parts),
                first,
                labels,
                {"given": tuple(given)},
            )
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
