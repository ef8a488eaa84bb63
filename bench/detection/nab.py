"""NAB: server, traffic, advertising, tweet and machine series, one value each; the probation is history."""

import json

import numpy as np
from case import Case, Watched, data_folder
from nab_scorer import PROFILES, best_threshold, file_of, normalised, probation, raw_score

from edgelstm.sources import recording
from edgelstm.sources.time_text import to_ns

BUDGET = "1 per week"
SETTINGS = {"level_long": 500, "scores_only": True}
HEADLINE = "standard, in-sample"
CALM, CALM_RATIO, NEW_PEAK = 10, 0.6, 1.1


def load() -> list[Case]:
    """Return the files that are there, in order of their names."""
    folder, cases = data_folder("nab"), []
    windows = json.loads((folder / "windows.json").read_text())
    for name, spans in sorted(windows.items()):
        path = folder / f"{name}.gz"
        if not path.exists():
            continue
        data = recording.read(path, ["value"])
        rows = [tuple(int(np.flatnonzero(data.times_ns == to_ns(at))[0]) for at in span) for span in spans]
        labels = np.zeros(len(data.values), np.int8)
        for first, last in rows:
            labels[first : last + 1] = 1
        cases.append(
            Case(
                name.removesuffix(".csv"),
                data.names,
                data.times_ns,
                data.values,
                probation(len(labels)),
                labels,
                {"windows": rows},
            )
        )
    return cases


def alarms(scores: np.ndarray) -> np.ndarray:
    """Return the scores at which an alert would speak: a new peak of its event, else 0.

    Every alarm row is paid for, so a score that stays high is one alarm and not many. An event ends, and its peak is
    forgotten, when CALM scores in a row are below CALM_RATIO of it.
    """
    out, peak, calm = np.zeros(scores.size), 0.0, 0
    for t, value in enumerate(np.nan_to_num(scores)):
        calm = calm + 1 if value < CALM_RATIO * peak else 0
        if calm >= CALM:
            peak, calm = 0.0, 0
        if value > NEW_PEAK * peak:
            out[t], peak = value, value
    return out


def files_of(cases: list[Case], watched: list[Watched]):
    """Return what the scorer takes."""
    return [
        file_of(np.concatenate([np.zeros(case.first), alarms(found.scores)]), case.marks["windows"])
        for case, found in zip(cases, watched, strict=True)
    ]


def score(cases, watched) -> dict[str, float]:
    """Return, for each profile, the score with the threshold of the other half of the files, and the best possible."""
    files, result = files_of(cases, watched), {}
    halves = files[::2], files[1::2]
    for profile in PROFILES:
        crossed = 0.0
        for ours, others in (halves, halves[::-1]):
            crossed += raw_score(ours, best_threshold(others, profile), profile)[0]
        result[f"{profile}, held back"] = normalised(crossed, files, profile)
        threshold = best_threshold(files, profile)
        raw, found, false = raw_score(files, threshold, profile)
        result[f"{profile}, in-sample"] = normalised(raw, files, profile)
        if profile == "standard":
            result |= {"found": found, "false rows": false, "threshold": threshold}
    return result
