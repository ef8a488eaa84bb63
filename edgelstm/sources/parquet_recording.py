"""Recordings as Parquet: columns of numbers, and one of times; needs pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError
from edgelstm.sources.csv_recording import TIME_NAMES
from edgelstm.sources.recording import find_columns
from edgelstm.sources.time_text import column_to_ns

Read = tuple[NDArray[np.int64] | None, NDArray[np.float32], list[str], str | None, list[str]]


def read(path: Path, channels: Sequence[str] | None, time_column: str | None) -> Read:
    """Read the columns that are wanted; others are not looked at."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise RecordingError('needs pyarrow: install it with: pip install "edgelstm[parquet]"') from None
    try:
        schema = parquet.read_schema(path)
    except arrow.ArrowInvalid as exc:
        raise RecordingError(f"is no Parquet file: {exc}") from None
    kinds = {field.name: field.type for field in schema}
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
    table = parquet.read_table(path, columns=[*names, *([at_time] if at_time else [])])
    values = np.stack([_numbers(table.column(name)) for name in names], axis=1)
    times = None if at_time is None else _times(table.column(at_time), at_time, arrow)
    return times, values, names, at_time, notes


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
    values = column.cast("float64").to_numpy()
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which is missing
        return np.asarray(values, np.float64).astype(np.float32)


def _times(column: Any, name: str, arrow: Any) -> NDArray[np.int64]:
    if column.null_count:
        raise RecordingError(f'column "{name}": {column.null_count} times are missing')
    if arrow.types.is_timestamp(column.type):
        return np.asarray(column.cast(arrow.timestamp("ns")).cast("int64").to_numpy(), np.int64)
    try:
        return column_to_ns([str(value) for value in column.to_pylist()])
    except (ValueError, OverflowError):
        raise RecordingError(
            f'column "{name}" is not of times; write timestamps, or seconds since 1970'
        ) from None
