"""The score of the Numenta Anomaly Benchmark, written from its published rules (Lavin and Ahmad 2015, arXiv 1510.03336).

An alarm in a window earns up to 1, the more the earlier; one outside costs up to the false positive weight, the more
the farther after a window; a window without an alarm costs the miss weight. One threshold serves all files of a
corpus and is found by trying every score. 0 is a detector that never speaks, 100 a perfect one.
"""

from dataclasses import dataclass

import numpy as np

PROFILES = {"standard": (0.11, 1.0), "low FP": (0.22, 1.0), "low FN": (0.11, 2.0)}
"""Weight of a false positive and of a miss; a detection weighs 1."""

PROBATION_SHARE, PROBATION_MOST = 0.15, 750


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """Scores of a file after its probation, what an alarm at each is worth, and the window that each is in (-1: none)."""

    scores: np.ndarray
    worth: np.ndarray
    window: np.ndarray


def probation(rows: int) -> int:
    """Return how many rows at the start are never scored."""
    return min(int(PROBATION_SHARE * rows), PROBATION_MOST)


def sigmoid(position):
    """Return the worth of an alarm: near 1 at the start of a window (-1), 0 at its end (0), towards -1 after it."""
    return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0)


def file_of(scores: np.ndarray, windows: list[tuple[int, int]]) -> File:
    """Prepare a whole file's scores (rows,); windows are first and last row, both inclusive, in order."""
    rows = len(scores)
    worth, window, at = np.full(rows, -1.0), np.full(rows, -1), np.arange(rows)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        inside = slice(first, last + 1)
        worth[inside] = sigmoid(-(last - at[inside] + 1) / width) / sigmoid(-1.0)
        window[inside] = number
        after = slice(last + 1, windows[number + 1][0] if number + 1 < len(windows) else rows)
        worth[after] = sigmoid((at[after] - last) / max(width - 1, 1))
    start = probation(rows)
    return File(scores[start:], worth[start:], window[start:])


def raw_score(files: list[File], threshold: float, profile: str) -> tuple[float, int, int]:
    """Return the sum over a corpus with alarms where score >= threshold, windows found, and false rows."""
    false_weight, miss_weight = PROFILES[profile]
    total, found, false = 0.0, 0, 0
    for file in files:
        alarm = file.scores >= threshold
        outside = alarm & (file.window < 0)
        total += false_weight * float(file.worth[outside].sum())
        false += int(outside.sum())
        for number in np.unique(file.window[file.window >= 0]):
            earned = file.worth[alarm & (file.window == number)]
            found += bool(earned.size)
            total += float(earned.max()) if earned.size else -miss_weight
    return total, found, false


def best_threshold(files: list[File], profile: str, most: int = 400) -> float:
    """Return the threshold, of those that scores take, at which the corpus scores highest."""
    taken = np.unique(np.concatenate([file.scores for file in files]))
    taken = taken[taken > 0.0]
    if not taken.size:
        return 2.0
    coarse = np.unique(np.quantile(taken, np.linspace(0.0, 1.0, most), method="nearest"))
    best = max(coarse, key=lambda level: raw_score(files, level, profile)[0])
    place = int(np.searchsorted(coarse, best))
    low, high = coarse[max(place - 1, 0)], coarse[min(place + 1, coarse.size - 1)]
    fine = taken[(taken >= low) & (taken <= high)]
    return float(max(fine, key=lambda level: raw_score(files, level, profile)[0]))


def normalised(raw: float, files: list[File], profile: str) -> float:
    """Return the score between that of silence, 0, and that of perfection, 100."""
    windows = sum(len(np.unique(file.window[file.window >= 0])) for file in files)
    silent = -PROFILES[profile][1] * windows
    return 100.0 * (raw - silent) / (windows - silent)
