"""Events against labels: which are found, how late, and how many alerts there were without one."""

import numpy as np
from case import Case, Watched, runs


def delays_s(case: Case, seen: Watched) -> list[float]:
    """Return, for each labelled event with an alert raised for it, the seconds from its start to the first one.

    Rows of unknown class just before an event are not normal any more: an alert raised there is for the event, and early.
    """
    times, raised = case.times_ns[case.first :], np.array(seen.raised, int)
    labels = case.labels[case.first :]
    found = []
    for start, end in runs(labels == 1):
        since = start
        while since > 0 and labels[since - 1] < 0:
            since -= 1
        inside = raised[(raised >= since) & (raised <= end)]
        if inside.size:
            found.append(float(times[inside[0]] - times[start]) / 1e9)
    return found


def false_events(labels: np.ndarray, seen: Watched) -> int:
    """Return how many alerts were raised on normal rows."""
    return sum(int(labels[row] == 0) for row in seen.raised)


def met(labels: np.ndarray, seen: Watched) -> tuple[int, int, int]:
    """Return labelled ranges that an alert meets, alerts that meet none, and ranges that none meets.

    An alert lasts from its raising to its clearing, or to the end of the rows.
    """
    ranges = runs(labels == 1)
    alerts = list(zip(seen.raised, [*seen.cleared, labels.size - 1], strict=False))
    touched = [any(a <= end and b >= start for a, b in alerts) for start, end in ranges]
    false = sum(not any(a <= end and b >= start for start, end in ranges) for a, b in alerts)
    return sum(touched), false, len(ranges) - sum(touched)


def alone(watched: list[Watched], others: list[Watched]) -> tuple[int, int]:
    """Return how many alerts there are, and during how many of them the other detector had none open, over all files."""
    alerts = [
        other.alarm[start : end + 1]
        for seen, other in zip(watched, others, strict=True)
        for start, end in zip(seen.raised, [*seen.cleared, seen.alarm.size - 1], strict=False)
    ]
    return len(alerts), sum(not open_.any() for open_ in alerts)
