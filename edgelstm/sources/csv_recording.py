"""Recordings as text: columns separated by comma, semicolon or tab, with names in the first row; .gz too."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError
from edgelstm.sources.columns import Block, Columns, find_columns
from edgelstm.sources.time_text import TimeColumn, TimeMistake, to_ns

TIME_NAMES = ("time", "timestamp", "datetime", "ts", "date", "time_ns")
CLOCK_NAMES = (
    "seconds",
    "second",
    "secs",
    "sec",
    "s",
    "t",
    "t_s",
    "time_s",
    "time (s)",
    "time [s]",
    "elapsed",
    "elapsed_s",
)
"""So may a reading be called too: it is a clock where it rises from each row to the next."""
FEWEST_OF_A_CLOCK = 10
SEPARATORS = ",;\t"
_CELLS_AT_ONCE, _MOST_ROWS, _LONGEST_HEADER = 400_000, 50_000, 2**20
_MISSING = ("", "nan", "na", "n/a", "null", "none")


@contextmanager
def columns(path: Path, channels: Sequence[str] | None, time_column: str | None) -> Iterator[Columns]:
    """Open the columns that are wanted; others are not looked at."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        with _readable():
            found = _columns(file, channels, time_column)
        yield found


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (csv.Error, zlib.error) as exc:
        raise RecordingError(f"cannot be read: {exc}") from None


def _columns(file: TextIO, channels: Sequence[str] | None, time_column: str | None) -> Columns:
    first = file.readline(_LONGEST_HEADER)
    if not first.strip():
        raise RecordingError("is empty" if not first else "its first row is empty, expected names of columns")
    if len(first) == _LONGEST_HEADER:
        raise RecordingError(f"its first row is longer than {_LONGEST_HEADER:,} letters: it is no table")
    if "\0" in first or "\ufffd" in first:
        raise RecordingError('its first row is not UTF-8; save it as "CSV UTF-8"')
    separator = max(SEPARATORS, key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    if all(_is_number(name) or _is_time(name) for name in header):
        what = "a number" if _is_number(header[0]) else "a time"
        raise RecordingError(f'row 1 begins with "{header[0]}", {what}; expected names of columns')
    chunks = _chunks(csv.reader(file, delimiter=separator), len(header))
    start = next(chunks, None)
    if start is None:
        return Columns(list(channels or ()), None, iter(()))
    notes: list[str] = []
    at_time = _find_time(header, start[1], channels, time_column, notes)
    if channels is None:
        places = _places_of_numbers(start, header, at_time, notes)
    else:
        places = find_columns(channels, header)
    blocks = _blocks(start, chunks, header, places, at_time, notes)
    return Columns([header[n] for n in places], None if at_time is None else header[at_time], blocks, notes)


Chunk = tuple[Sequence[int], list[list[str]]]


def _places_of_numbers(start: Chunk, header: list[str], at_time: int | None, notes: list[str]) -> list[int]:
    """Return where the channels are of a file of which no one said what they are called."""
    places: list[int] = []
    texts: list[tuple[str, str, int]] = []
    unnamed: list[int] = []
    for n, name in enumerate(header):
        if n == at_time:
            continue
        at, cell = _first_cell(start, n)
        if not name:
            unnamed.append(n)
        elif _is_number(cell) or not cell:
            if any(header[other] == name for other in places):
                raise RecordingError(f'two columns are named "{name}"; give each a name of its own')
            places.append(n)
        elif _has_decimal_comma(cell):
            raise _not_a_number(cell, at, name)
        else:
            texts.append((name, cell, at))
    if not places:
        found = "".join(f', but "{cell}" in row {at}, column "{name}"' for name, cell, at in texts[:1])
        raise RecordingError(f"has no column of numbers{found}")
    if texts:
        notes.append(
            f"columns left out because they are not numbers: {', '.join(name for name, _, _ in texts)}"
        )
    if unnamed:
        notes.append(
            f"columns left out because they have no name: {', '.join(f'number {n + 1}' for n in unnamed)}"
        )
    return places


def _first_cell(start: Chunk, n: int) -> tuple[int, str]:
    """Return the first cell of a column that is not missing, and its row; an empty one where all are."""
    for at, row in zip(*start, strict=True):
        if row[n].strip().lower() not in _MISSING:
            return at, row[n].strip()
    return start[0][0], ""


def _blocks(
    start: Chunk,
    chunks: Iterator[Chunk],
    header: list[str],
    places: list[int],
    at_time: int | None,
    notes: list[str],
) -> Iterator[Block]:
    clock = TimeColumn()
    with _readable():
        for numbers, rows in _with_first(start, chunks):
            texts = list(zip(*rows, strict=True))
            values = np.stack([_floats(texts[n], numbers, header[n]) for n in places], axis=1)
            times = None
            if at_time is not None:
                times = _times(clock, texts[at_time], numbers, header[at_time], notes)
            yield times, values


def _with_first(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from rest


def _chunks(reader: Iterator[list[str]], width: int) -> Iterator[Chunk]:
    """Yield row numbers, counted as a spreadsheet does, and rows of `width` cells."""
    number, most = 2, max(min(_CELLS_AT_ONCE // width, _MOST_ROWS), 1)
    while rows := list(islice(reader, most)):
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
    header: list[str],
    rows: list[list[str]],
    channels: Sequence[str] | None,
    wanted: str | None,
    notes: list[str],
) -> int | None:
    if wanted is not None:
        return find_columns([wanted], header)[0]
    taken = set(channels or ())
    free = [n for n, column in enumerate(header) if column not in taken]
    for name in TIME_NAMES:
        for n in free:
            if header[n].lower() == name:
                return n
    for n in free:
        if not _is_number(rows[0][n]) and _is_time(rows[0][n]):
            return n
    for n in free:
        if header[n].lower() in CLOCK_NAMES and _rises([row[n] for row in rows]):
            notes.append(
                f'column "{header[n]}" rises from each row to the next: taken for the time, in seconds'
            )
            return n
    return None


def _rises(cells: list[str]) -> bool:
    if len(cells) < FEWEST_OF_A_CLOCK or not all(map(_is_number, cells)):
        return False
    return bool((np.diff(np.array(cells, np.float64)) > 0.0).all())


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
    raise _not_a_number(text, row, column)


def _not_a_number(text: str, row: int, column: str) -> RecordingError:
    hint = "leave the cell empty where a value is missing"
    if _has_decimal_comma(text):
        hint = "write decimals with a point"
    return RecordingError(f'row {row}, column "{column}": "{text}" is not a number; {hint}')


def _has_decimal_comma(text: str) -> bool:
    return text.count(",") == 1 and _is_number(text.replace(",", "."))


def _times(
    clock: TimeColumn, texts: Sequence[str], rows: Sequence[int], column: str, notes: list[str]
) -> NDArray[np.int64]:
    try:
        times = clock.convert(texts)
    except TimeMistake as exc:
        raise RecordingError(f'row {rows[exc.index]}, column "{column}": {exc}') from None
    if clock.changed is not None and not any("distance from UTC" in note for note in notes):
        index, before, after = clock.changed
        notes.append(
            f'row {rows[index]}, column "{column}": the distance from UTC changes from {before} to {after}; every time is '
            "taken with its own"
        )
    return times


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
