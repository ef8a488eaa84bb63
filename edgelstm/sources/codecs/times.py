"""Times in payloads, by `input.timestamp_format`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgelstm.sources.codecs import PayloadError
from edgelstm.sources.time_text import to_ns

_NS = {"unix_s": 10**9, "unix_ms": 10**6, "unix_us": 10**3, "unix_ns": 1}
_YEAR_2200_NS = 7_258_118_400 * 10**9


def reader(form: str) -> Callable[[Any], int]:
    """Return the function from a value to nanoseconds since 1970; it raises PayloadError."""

    def read(value: Any) -> int:
        try:
            if form == "rfc3339":
                time_ns = to_ns(value) if isinstance(value, str) else None
            elif isinstance(value, bool) or not isinstance(value, int | float):
                time_ns = None
            elif isinstance(value, int):
                time_ns = value * _NS[form]
            else:  # to the microsecond, which is what a double holds of today's time in seconds
                time_ns = round(value * (_NS[form] / 1000)) * 1000
        except (ValueError, OverflowError):
            time_ns = None
        if time_ns is None or not 0 <= time_ns < _YEAR_2200_NS:
            raise PayloadError(f"timestamp {value!r:.60} is no {form} time")
        return time_ns

    return read


def text_reader(form: str) -> Callable[[str], int]:
    """Return the same for a value that comes as text."""
    read = reader(form)

    def read_text(text: str) -> int:
        if form == "rfc3339":
            return read(text)
        try:
            return read(int(text))
        except ValueError as exc:
            if isinstance(exc, PayloadError):
                raise
        try:
            return read(float(text))
        except ValueError as exc:
            if isinstance(exc, PayloadError):
                raise
            raise PayloadError(f"timestamp {text!r:.60} is no {form} time") from None

    return read_text
