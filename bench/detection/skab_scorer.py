"""The two scores of the Skoltech Anomaly Benchmark, written from its published rules.

Outliers: F1, false alarm rate and missed alarm rate of 0/1 predictions, over the test rows of all files together.
Changepoints: a predicted change within the 60 s after a true one earns up to 1, the more the earlier; every other
one costs the false positive weight, a true one without a prediction costs the miss weight; 0 is silence, 100 perfect.
"""

import numpy as np

PROFILES = {"standard": (0.11, 1.0), "low FP": (0.22, 1.0), "low FN": (0.11, 2.0)}
WINDOW_S, STEPS = 60.0, 1000


def outliers(labels: np.ndarray, alarm: np.ndarray) -> dict[str, float]:
    """Return F1, FAR % and MAR % of predictions (rows,) against labels (rows,)."""
    true, alarm = labels == 1, alarm.astype(bool)
    hit, false, missed = (int(part.sum()) for part in (true & alarm, ~true & alarm, true & ~alarm))
    return {
        "F1": 2.0 * hit / max(2 * hit + false + missed, 1),
        "FAR %": 100.0 * false / max(int((~true).sum()), 1),
        "MAR %": 100.0 * missed / max(int(true.sum()), 1),
    }


def changepoints(files: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Score files of (seconds, true changes 0/1, alarm 0/1); a predicted change is where the alarm turns."""
    raw = dict.fromkeys(PROFILES, 0.0)
    missed = false = total = 0
    for seconds, changes, alarm in files:
        turns = np.flatnonzero(np.diff(alarm.astype(np.int8), prepend=0))
        predicted = seconds[turns]
        used = np.zeros(predicted.size, bool)
        previous_end = -np.inf
        for start in seconds[changes == 1]:
            total += 1
            begin, end = max(start, previous_end), start + WINDOW_S
            previous_end = end
            inside = (predicted >= begin) & (predicted <= end)
            used |= inside
            if not inside.any():
                missed += 1
            for name, (false_weight, miss_weight) in PROFILES.items():
                raw[name] += (
                    _reward((predicted[inside][0] - begin) / (end - begin), false_weight)
                    if inside.any()
                    else -miss_weight
                )
        false += int((~used).sum())
        for name, (false_weight, _) in PROFILES.items():
            raw[name] -= false_weight * int((~used).sum())
    scores = {
        name: 100.0 * (raw[name] + miss * total) / ((1.0 + miss) * total)
        for name, (_, miss) in PROFILES.items()
    }
    return {**scores, "missed": missed, "of": total, "false changes": false}


def _reward(part: float, false_weight: float) -> float:
    """Return the reward `part` of the way through a window: 1 at its start, -false_weight at its end, tanh between."""
    step = min(int(part * STEPS), STEPS - 1)
    x = -np.pi / 2 + np.pi * step / (STEPS - 1)
    return float(-false_weight + 0.5 * (1.0 + false_weight) * (1.0 - np.tanh(x) / np.tanh(np.pi / 2)))
