"""JSON objects: channels, time and sequence by dotted path; null or an absent key is a missing value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgelstm.sources.codecs import Decode, PayloadError, Reading
from edgelstm.sources.time_text import to_ns

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

FLOAT32_MAX = 3.4028235e38
_NS = {"unix_s": 10**9, "unix_ms": 10**6, "unix_ns": 1}
_YEAR_2200_NS = 7_258_118_400 * 10**9
MISSING = float("nan")


def make(entry: InputConfig, channels: tuple[str, ...]) -> Decode:
    """Return the decoder of an input; its `channels` are paths, by default the names of the model's channels."""
    paths = entry.channels or channels
    time_path = () if entry.timestamp == "arrival" else tuple(entry.timestamp.split("."))
    sequence_path = tuple(entry.sequence.split(".")) if entry.sequence else ()
    flat = not any("." in path for path in (*paths, entry.timestamp, entry.sequence))
    parse = (
        _typed_parser(paths, time_path, sequence_path)
        if flat
        else msgspec.json.Decoder(dict[str, Any]).decode
    )
    numbers = (
        _flat_numbers(len(paths)) if flat else _nested_numbers([tuple(path.split(".")) for path in paths])
    )
    read_time = _time_reader(entry.timestamp_format)

    def decode(payload: bytes) -> list[Reading]:
        try:
            found = parse(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            raise PayloadError(_short(exc)) from None
        row = np.array([_number(value) for value in numbers(found)], np.float32)
        time_ns = read_time(_at(found, time_path, "time_")) if time_path else None
        sequence = _at(found, sequence_path, "sequence_") if sequence_path else None
        if sequence is not None and (type(sequence) is not int or not 0 <= sequence < 2**63):
            raise PayloadError(f"{entry.sequence} is {sequence!r}, no whole number below 2^63"[:120])
        return [Reading(row, time_ns, sequence)]

    def _at(found: Any, path: tuple[str, ...], field: str) -> Any:
        return getattr(found, field) if flat else _walk(found, path)

    return decode


def _typed_parser(
    paths: tuple[str, ...], time_path: tuple[str, ...], sequence_path: tuple[str, ...]
) -> Callable[[bytes], Any]:
    """Return a decoder straight into fields; other keys of the payload are skipped, not built."""
    fields: list[Any] = [
        (f"c{n}", float | None, msgspec.field(name=path, default=None)) for n, path in enumerate(paths)
    ]
    if time_path:
        fields.append(("time_", float | str | int, msgspec.field(name=time_path[0])))
    if sequence_path:
        fields.append(("sequence_", int | None, msgspec.field(name=sequence_path[0], default=None)))
    payload = msgspec.defstruct("Payload", sorted(fields, key=lambda field: field[0] != "time_"), gc=False)
    return msgspec.json.Decoder(payload).decode


def _flat_numbers(count: int) -> Callable[[Any], list[Any]]:
    names = [f"c{n}" for n in range(count)]
    return lambda found: [getattr(found, name) for name in names]


def _nested_numbers(paths: list[tuple[str, ...]]) -> Callable[[Any], list[Any]]:
    return lambda found: [_walk(found, path) for path in paths]


def _walk(found: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _number(value: Any) -> float:
    if value is None:
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PayloadError(f"{value!r} is no number"[:80])
    try:
        number = float(value)
    except OverflowError:
        raise PayloadError("a number is beyond float32") from None
    if not abs(number) <= FLOAT32_MAX:
        raise PayloadError("a number is beyond float32")
    return number


def _time_reader(form: str) -> Callable[[Any], int]:
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
            raise PayloadError(f"timestamp {value!r} is no {form} time"[:80])
        return time_ns

    return read


def _short(exc: Exception) -> str:
    return "nested too deeply" if isinstance(exc, RecursionError) else str(exc).split("\n")[0][:120]
