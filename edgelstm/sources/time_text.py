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

NUMBER, ZONED, PLAIN = "number", "zoned", "plain"
_WRITTEN = {
    NUMBER: "is a number, but the first time of the column is a date",
    ZONED: "has a time zone, but the first time of the column has none; write all with one, or none",
    PLAIN: "has no time zone, but the first time of the column has one; write all with one, or none",
}


class TimeMistake(ValueError):
    """One text of a column is no time, or is written otherwise than the first; `index` says which."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


def to_ns(text: str) -> int:
    """Return one time; raises ValueError where it is none. Without a zone it is UTC."""
    try:
        return _number_to_ns(text, _unit_ns(float(text)))
    except ValueError:
        pass
    return _since_epoch(_moment(text))


class TimeColumn:
    """Reads a column of times part by part: as the first is written, so are all.

    kind     NUMBER, ZONED or PLAIN; None before the first part
    changed  (index in the part, offset before, offset after) where the distance from UTC first changed in the last part
    """

    def __init__(self) -> None:
        self.kind: str | None = None
        self.changed: tuple[int, str, str] | None = None
        self._unit_ns = 1
        self._offset: timedelta | None = None

    def convert(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the times of a part, at least one; raises TimeMistake."""
        self.changed = None
        if self.kind is None:
            try:
                self.kind = _kind(texts[0])
            except (ValueError, OverflowError):
                raise _no_time(0, texts[0]) from None
            if self.kind == NUMBER:
                self._unit_ns = _unit_ns(float(texts[0]))
        found = self._numbers(texts) if self.kind == NUMBER else self._dates(texts)
        return self._one_by_one(texts) if found is None else found

    def _numbers(self, texts: Sequence[str]) -> NDArray[np.int64] | None:
        if texts[0].strip().lstrip("+-").isdigit():
            try:
                whole = np.array(list(map(int, texts)), np.int64)
            except (ValueError, OverflowError):
                pass
            else:
                most = 2**62 // self._unit_ns
                return whole * self._unit_ns if -most < whole.min() and whole.max() < most else None
        try:
            numbers = np.array(list(map(float, texts)))
        except ValueError:
            return None
        if not np.isfinite(numbers).all():
            return None
        return np.rint(numbers * (self._unit_ns / 1000)).astype(np.int64) * 1000

    def _dates(self, texts: Sequence[str]) -> NDArray[np.int64] | None:
        """Return dates that all end with Z or all have no zone, at once; None for others."""
        plain = [text.strip() for text in texts]
        if self.kind == ZONED:
            if not all(text.endswith("Z") for text in plain):
                return None
            plain = [text[:-1] for text in plain]
        if any(text.count("-") != 2 or "+" in text or text.endswith("Z") for text in plain):
            return None
        try:
            times = np.array(plain, "datetime64[ns]")
        except ValueError:
            return None
        if np.isnat(times).any():
            return None
        if self.kind == ZONED:
            self._note_offset(0, timedelta(0))
        return times.astype(np.int64)

    def _one_by_one(self, texts: Sequence[str]) -> NDArray[np.int64]:
        found = np.empty(len(texts), np.int64)
        for n, text in enumerate(texts):
            try:
                kind = _kind(text)
                if kind != self.kind:
                    raise TimeMistake(n, f'"{text.strip()}" {self._written(kind)}')
                if kind == NUMBER:
                    found[n] = _number_to_ns(text, self._unit_ns)
                else:
                    moment = _moment(text)
                    found[n] = _since_epoch(moment)
                    if kind == ZONED:
                        self._note_offset(n, moment.utcoffset() or timedelta(0))
            except TimeMistake:
                raise
            except (ValueError, OverflowError):
                raise _no_time(n, text) from None
        return found

    def _written(self, kind: str) -> str:
        return (
            "is a date, but the first time of the column is a number"
            if self.kind == NUMBER
            else _WRITTEN[kind]
        )

    def _note_offset(self, index: int, offset: timedelta) -> None:
        if self._offset is not None and offset != self._offset and self.changed is None:
            self.changed = (index, _offset_text(self._offset), _offset_text(offset))
        self._offset = offset


def _no_time(index: int, text: str) -> TimeMistake:
    return TimeMistake(index, f'"{text}" is not a time; write 2026-01-31T12:00:00Z or seconds since 1970')


def _offset_text(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _kind(text: str) -> str:
    """Return how one time is written; raises ValueError where it is none."""
    try:
        _unit_ns(float(text))
    except ValueError:
        return PLAIN if datetime.fromisoformat(text.strip()).tzinfo is None else ZONED
    return NUMBER


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _since_epoch(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _unit_ns(number: float) -> int:
    if not np.isfinite(number):
        raise ValueError("a time is not finite")
    return next((unit for limit, unit in _UNITS if abs(number) < limit), 1)


def _number_to_ns(text: str, unit_ns: int) -> int:
    try:
        return int(text) * unit_ns
    except ValueError:
        return round(float(text) * (unit_ns / 1000)) * 1000
