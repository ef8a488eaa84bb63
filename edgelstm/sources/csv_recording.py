"""Recordings as text: columns separated by comma, semicolon or tab, with names in the first row; .gz too."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError
from edgelstm.sources.recording import find_columns
from edgelstm.sources.time_text import column_to_ns, to_ns

Read = tuple[NDArray[np.int64] | None, NDArray[np.float32], list[str], str | None, list[str]]

TIME_NAMES = ("time", "timestamp", "datetime", "ts", "date", "time_ns")
SEPARATORS = ",;\t"
_ROWS_AT_ONCE = 50_000
_MISSING = ("", "nan", "na", "n/a", "null", "none")


def read(path: Path, channels: Sequence[str] | None, time_column: str | None) -> Read:
    """Read the columns that are wanted; others are not looked at."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
            return _read(file, channels, time_column)
    except (csv.Error, zlib.error) as exc:
        raise RecordingError(f"cannot be read: {exc}") from None


def _read(file: TextIO, channels: Sequence[str] | None, time_column: str | None) -> Read:
    first = file.readline()
    if not first.strip():
        raise RecordingError("is empty" if not first else "its first row is empty, expected names of columns")
    separator = max(SEPARATORS, key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    if all(_is_number(name) for name in header):
        raise RecordingError(f'row 1 begins with "{header[0]}", a number; expected names of columns')
    chunks = _chunks(csv.reader(file, delimiter=separator), len(header))
    start = next(chunks, None)
    if start is None:
        return None, np.zeros((0, len(channels or ())), np.float32), list(channels or ()), None, []
    at_time = _find_time(header, start[1][0], channels, time_column)
    notes: list[str] = []
    if channels is None:
        places = [n for n in range(len(header)) if n != at_time and _looks_numeric(start[1], n)]
        left = [header[n] for n in range(len(header)) if n != at_time and n not in places]
        if left:
            notes.append(f"columns left out because they are not numbers: {', '.join(left)}")
        if not places:
            raise RecordingError("has no column of numbers")
    else:
        places = find_columns(channels, header)
    blocks, times = [], []
    for numbers, rows in _with_first(start, chunks):
        columns = list(zip(*rows, strict=True))
        blocks.append(np.stack([_floats(columns[n], numbers, header[n]) for n in places], axis=1))
        if at_time is not None:
            times.append(_times(columns[at_time], numbers, header[at_time]))
    return (
        np.concatenate(times) if times else None,
        np.concatenate(blocks),
        [header[n] for n in places],
        None if at_time is None else header[at_time],
        notes,
    )


Chunk = tuple[Sequence[int], list[list[str]]]


def _with_first(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from rest


def _chunks(reader: Iterator[list[str]], width: int) -> Iterator[Chunk]:
    """Yield row numbers, counted as a spreadsheet does, and rows of `width` cells."""
    number = 2
    while rows := list(islice(reader, _ROWS_AT_ONCE)):
        numbers: Sequence[int] = range(number, number + len(rows))
        number += len(rows)
        if any(len(row) != width for row in rows):
            kept = [(at, row) for at, row in zip(numbers, rows, strict=True) if row]
            for at, row in kept:
                if len(row) != width:
                    raise RecordingError(
                        f"row {at} has {len(row)} cells, the first row names {width} columns"
                    )
            numbers, rows = [at for at, _ in kept], [row for _, row in kept]
        if rows:
            yield numbers, rows


def _find_time(
    header: list[str], row: list[str], channels: Sequence[str] | None, wanted: str | None
) -> int | None:
    if wanted is not None:
        return find_columns([wanted], header)[0]
    taken = set(channels or ())
    for name in TIME_NAMES:
        for n, column in enumerate(header):
            if column.lower() == name and column not in taken:
                return n
    for n, column in enumerate(header):
        if column not in taken and not _is_number(row[n]) and _is_time(row[n]):
            return n
    return None


def _floats(texts: Sequence[str], rows: Sequence[int], column: str) -> NDArray[np.float32]:
    try:
        return _narrow(np.array(list(map(float, texts))))
    except ValueError:
        return _narrow(np.array([_float(text, row, column) for text, row in zip(texts, rows, strict=True)]))


def _narrow(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which is missing
        return numbers.astype(np.float32)


def _float(text: str, row: int, column: str) -> float:
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in _MISSING:
            return float("nan")
    hint = "leave the cell empty where a value is missing"
    if text.count(",") == 1 and _is_number(text.replace(",", ".")):
        hint = "write decimals with a point"
    raise RecordingError(f'row {row}, column "{column}": "{text}" is not a number; {hint}')


def _times(texts: Sequence[str], rows: Sequence[int], column: str) -> NDArray[np.int64]:
    try:
        return column_to_ns(texts)
    except (ValueError, OverflowError):
        pass
    for text, row in zip(texts, rows, strict=True):
        if not _is_time(text):
            raise RecordingError(
                f'row {row}, column "{column}": "{text}" is not a time; write 2026-01-31T12:00:00Z or seconds since 1970'
            )
    raise RecordingError(f'column "{column}": its times are written in different ways')


def _looks_numeric(rows: list[list[str]], n: int) -> bool:
    for row in rows:
        if row[n].strip().lower() not in _MISSING:
            return _is_number(row[n])
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    try:
        to_ns(text)
    except (ValueError, OverflowError):
        return False
    return True
