"""How many false alerts a user is willing to hear: "1 per week", "2 per day", "1 per 12 h"."""

from __future__ import annotations

import math
import re

from edgelstm.errors import UsageError

_UNIT_S = {
    "s": 1,
    "second": 1,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_800,
    "year": 31_557_600,
}
_PATTERN = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s*(?:per|/|every|a|an)\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*", re.IGNORECASE
)


def interval_s(budget: str) -> float:
    """Return the mean time between alerts, in seconds, that `budget` allows.

    Raises UsageError with an example where it cannot be understood.
    """
    match = _PATTERN.fullmatch(budget)
    unit = match.group(3).lower() if match else ""
    unit_s = _UNIT_S.get(unit) or _UNIT_S.get(unit.removesuffix("s"))
    if match is None or unit_s is None:
        raise UsageError(
            f'a budget of "{budget}" is not understood; write for example "1 per week" or "1 per 12 h"'
        )
    alerts, units = float(match.group(1)), float(match.group(2) or 1)
    if not 0.0 < alerts < math.inf or not 0.0 < units < math.inf:
        raise UsageError(
            f'a budget of "{budget}" would never allow an alert; write for example "1 per month"'
        )
    return units * unit_s / alerts
