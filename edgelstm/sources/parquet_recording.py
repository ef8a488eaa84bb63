"""Recordings as Parquet: columns of numbers, and one of times; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError
from edgelstm.sources.columns import Block, Columns, find_columns
from edgelstm.sources.csv_recording import TIME_NAMES
from edgelstm.sources.time_text import TimeColumn, TimeMistake

_ROWS_AT_ONCE = 50_000


@contextmanager
def columns(path: Path, channels: Sequence[str] | None, time_column: str | None) -> Iterator[Columns]:
    """Open the columns that are wanted; others are not looked at."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise RecordingError('needs pyarrow: install it with: pip install "edgelstm[parquet]"') from None
    try:
        file = parquet.ParquetFile(path)
    except arrow.ArrowInvalid as exc:
        raise RecordingError(f"is no Parquet file: {exc}") from None
    with file:
        yield _columns(file, channels, time_column, arrow)


def _columns(file: Any, channels: Sequence[str] | None, time_column: str | None, arrow: Any) -> Columns:
    kinds = {field.name: field.type for field in file.schema_arrow}
    numeric = [
        name
        for name, kind in kinds.items()
        if arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_boolean(kind)
    ]
    at_time = _find_time(kinds, channels, time_column, arrow)
    notes = []
    if channels is None:
        names = [name for name in numeric if name != at_time]
        left = [name for name in kinds if name not in names and name != at_time]
        if left:
            notes.append(f"columns left out because they are not numbers: {', '.join(left)}")
        if not names:
            raise RecordingError("has no column of numbers")
    else:
        find_columns(channels, list(kinds))
        names = list(channels)
        for name in names:
            if name not in numeric:
                raise RecordingError(f'column "{name}" holds {kinds[name]}, expected numbers')
    return Columns(names, at_time, _blocks(file, names, at_time, arrow), notes)


def _blocks(file: Any, names: list[str], at_time: str | None, arrow: Any) -> Iterator[Block]:
    clock, row = TimeColumn(), 1
    wanted = [*names, *([at_time] if at_time else [])]
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted):
        if not batch.num_rows:
            continue
        values = np.stack([_numbers(batch.column(name)) for name in names], axis=1)
        times = None if at_time is None else _times(clock, batch.column(at_time), row, at_time, arrow)
        row += batch.num_rows
        yield times, values


def _find_time(
    kinds: dict[str, Any], channels: Sequence[str] | None, wanted: str | None, arrow: Any
) -> str | None:
    if wanted is not None:
        find_columns([wanted], list(kinds))
        return wanted
    taken = set(channels or ())
    for known in TIME_NAMES:
        for name in kinds:
            if name.lower() == known and name not in taken:
                return name
    return next((name for name, kind in kinds.items() if arrow.types.is_timestamp(kind)), None)


def _numbers(column: Any) -> NDArray[np.float32]:
    values = column.cast("float64").to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which is missing
        return np.asarray(values, np.float64).astype(np.float32)


def _times(clock: TimeColumn, column: Any, row: int, name: str, arrow: Any) -> NDArray[np.int64]:
    if column.null_count:
        raise RecordingError(
            f'column "{name}": {column.null_count} times are missing among rows {row} and later'
        )
    if arrow.types.is_timestamp(column.type):
        moments = column.cast(arrow.timestamp("ns")).cast("int64")
        return np.asarray(moments.to_numpy(zero_copy_only=False), np.int64)
    try:
        return clock.convert([str(value) for value in column.to_pylist()])
    except TimeMistake as exc:
        raise RecordingError(f'row {row + exc.index}, column "{name}": {exc}') from None
