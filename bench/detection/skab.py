"""SKAB: a water loop with faults, 1 Hz, 8 channels; the first 400 rows of a file are history."""

import numpy as np
from case import Case, data_folder
from skab_scorer import changepoints, outliers

from edgelstm.sources import recording

BUDGET = "1 per 8 h"
SETTINGS = {"freeze_timeout_ns": 600 * 10**9, "recovery_ratio": 0.3}
HEADLINE = "changepoint"
HISTORY = 400


def load() -> list[Case]:
    """Return the experiments; the file without a fault has no labels and is not one of them."""
    cases = []
    folder = data_folder("skab")
    for path in sorted(folder.glob("*/*.csv.gz")):
        if path.parent.name == "anomaly-free":
            continue
        data = recording.read(path)
        channels = [n for n, name in enumerate(data.names) if name not in ("anomaly", "changepoint")]
        values = dict(zip(data.names, data.values.T, strict=True))
        cases.append(
            Case(
                name=f"{path.parent.name}/{path.name.split('.')[0]}",
                channels=tuple(data.names[n] for n in channels),
                times_ns=data.times_ns,
                values=np.ascontiguousarray(data.values[:, channels]),
                first=HISTORY,
                labels=values["anomaly"].astype(np.int8),
                marks={"changes": values["changepoint"].astype(np.int8)},
            )
        )
    return cases


def score(cases, watched) -> dict[str, float]:
    """Return F1, FAR and MAR over all files together, and the changepoint scores."""
    labels = np.concatenate([case.labels[case.first :] for case in cases])
    files = [
        (case.times_ns[case.first :] / 1e9, case.marks["changes"][case.first :], found.alarm)
        for case, found in zip(cases, watched, strict=True)
    ]
    change = changepoints(files)
    return {
        **outliers(labels, np.concatenate([found.alarm for found in watched])),
        "changepoint": change["standard"],
        "low FP": change["low FP"],
        "low FN": change["low FN"],
        "missed changes": change["missed"],
        "false changes": change["false changes"],
    }
