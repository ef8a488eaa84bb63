"""What watches a case: a detector of edgelstm, or one of the trivial baselines that it has to be better than."""

import msgspec
import numpy as np
from case import Case, Watched, runs

from edgelstm.calibration import examine
from edgelstm.detector import Detector

RECENT, MEMORY = 10, 1000


def watch(loaded, case: Case, budget: str, *, apart: bool, scores_only: bool = False, **choices) -> Watched:
    """Calibrate on the history of a case, run over it, then over the rest; only the rest is returned.

    scores_only  the threshold is out of reach, so that no alert freezes what is learned: for protocols that judge scores
    """
    times_ns, history = case.history
    names = case.channels if apart else None
    given = case.marks.get("given", ())
    settings = examine(loaded, times_ns, history, budget, apart=names, given=given, **choices).settings
    if scores_only:
        settings = msgspec.structs.replace(settings, threshold=1e3, threshold_low=1e3, threshold_high=1e3)
    detector = Detector(loaded, settings)
    detector.push_block(times_ns, history)
    open_before = detector.open_alert is not None
    before = detector.counters["scored"]
    found = detector.push_block(case.times_ns[case.first :], case.values[case.first :])
    alarm = found.states == 1
    place = {int(time_ns): row for row, time_ns in enumerate(case.times_ns[case.first :].tolist())}
    rows = {
        kind: [place[a.time_ns] for a in found.alerts if a.event_type == kind]
        for kind in ("raised", "cleared")
    }
    if open_before:  # one that the history had opened
        rows["cleared"] = rows["cleared"][1:]
    asked = (detector.counters["scored"] - before) / settings.budget_samples
    return Watched(found.scores, alarm, rows["raised"], rows["cleared"], asked)


def _standardised(case: Case):
    history = case.values[: case.first]
    known = np.isfinite(history)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, history, 0.0).sum(axis=0, dtype=np.float64) / count
    std = np.sqrt((np.where(known, history - mean, 0.0) ** 2).sum(axis=0) / count)
    return np.nan_to_num((case.values - mean) / np.where(std > 0, std, np.inf))


def _held_against_history(case: Case, score: np.ndarray) -> Watched:
    """Make a watched case of a score for every sample: an alarm above all that five rows of the history reached."""
    lowest_of_5 = np.lib.stride_tricks.sliding_window_view(score, 5).min(axis=1)
    threshold = float(lowest_of_5[: case.first - 4].max())
    alarm = (score > threshold)[case.first :]
    spans = runs(alarm)
    return Watched(score[case.first :], alarm, [a for a, _ in spans], [b for _, b in spans])


def all_ones(case: Case, seed: int) -> Watched:
    """Always an alarm."""
    rows = len(case.values) - case.first
    return Watched(np.ones(rows), np.ones(rows, bool), [0], [])


def random(case: Case, seed: int) -> Watched:
    """A score without any meaning."""
    return _held_against_history(case, np.random.default_rng(seed).uniform(size=len(case.values)))


def persistence(case: Case, seed: int) -> Watched:
    """The largest step of any channel, in deviations of the history."""
    x = _standardised(case)
    return _held_against_history(case, np.abs(np.diff(x, axis=0, prepend=x[:1])).max(axis=1))


def short_minus_long(case: Case, seed: int) -> Watched:
    """The largest difference of a mean over about 10 samples and one over about 1000, in deviations of the history."""
    x = _standardised(case)
    short, long, score = x[0].copy(), x[0].copy(), np.zeros(len(x))
    for t, row in enumerate(x):
        short += (row - short) / min(t + 1, RECENT)
        long += (row - long) / min(t + 1, MEMORY)
        score[t] = np.abs(short - long).max()
    return _held_against_history(case, score)


BASELINES = {
    "all ones": all_ones,
    "random": random,
    "persistence": persistence,
    "short minus long mean": short_minus_long,
}


def realised(cases, watched) -> dict[str, float]:
    """Return alerts raised on normal rows against those that the budget allows there, and the share of files within 3.

    A file counts for the share where it allows at least one alert.
    """
    found, asked = [], []
    for case, seen in zip(cases, watched, strict=True):
        labels = case.labels[case.first :]
        normal = labels == 0
        found.append(sum(int(normal[row]) for row in seen.raised))
        asked.append(seen.asked * float(normal.sum()) / max(labels.size, 1))
    pairs = [(f, a) for f, a in zip(found, asked, strict=True) if a >= 1.0]
    return {
        "raised on normal rows": float(sum(found)),
        "asked": float(sum(asked)),
        "realised / asked": sum(found) / max(sum(asked), 1e-9),
        "files within 3x": sum(f <= 3.0 * a for f, a in pairs) / max(len(pairs), 1),
    }
