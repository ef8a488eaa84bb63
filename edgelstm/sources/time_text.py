"""Times as people write them, to nanoseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3))
"""Numbers below the first are seconds, below the second milliseconds, then microseconds, then nanoseconds."""


def to_ns(text: str) -> int:
    """Return one time; raises ValueError where it is none. Without a zone it is UTC."""
    try:
        return _number_to_ns(text, _unit_ns(float(text)))
    except ValueError:
        pass
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND * 1000


def column_to_ns(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return many times, fast where they are all written alike; raises ValueError where one is none."""
    first = texts[0].strip()
    if _is_number(first):
        unit = _unit_ns(float(first))
        if first.lstrip("+-").isdigit():
            try:
                return np.array(list(map(int, texts)), np.int64) * unit
            except (ValueError, OverflowError):
                pass
        numbers = np.array(list(map(float, texts)))
        if not np.isfinite(numbers).all():
            raise ValueError("a time is not finite")
        return np.rint(numbers * (unit / 1000)).astype(np.int64) * 1000
    if first.endswith("Z") or (first.count("-") == 2 and "+" not in first):
        plain = [text.strip().removesuffix("Z") for text in texts]
        try:
            times = np.array(plain, "datetime64[ns]")
        except ValueError:
            times = None
        if times is not None and not np.isnat(times).any():
            return times.astype(np.int64)
    return np.array([to_ns(text) for text in texts], np.int64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unit_ns(number: float) -> int:
    if not np.isfinite(number):
        raise ValueError("a time is not finite")
    return next((unit for limit, unit in _UNITS if abs(number) < limit), 1)


def _number_to_ns(text: str, unit_ns: int) -> int:
    try:
        return int(text) * unit_ns
    except ValueError:
        return round(float(text) * (unit_ns / 1000)) * 1000
