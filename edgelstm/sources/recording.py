"""Recorded samples: times and channels of a file, whatever its format."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError
from edgelstm.sources import RECORDINGS

DEFAULT_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A block of samples.

    times_ns     int64   (samples,)            nanoseconds since 1970 UTC
    values       float32 (samples, channels)   NaN where missing
    names        of the channels
    period_ns    the median time between samples
    time_column  the column that the times come from, None where rows are evenly spaced
    notes        what a reader of the recording should be told, a line each
    """

    times_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    names: tuple[str, ...]
    period_ns: int
    time_column: str | None
    notes: tuple[str, ...] = ()


def read(
    path: str | os.PathLike[str],
    channels: Sequence[str] | None = None,
    *,
    period_s: float | None = None,
    time_column: str | None = None,
) -> Recording:
    """Read a recording.

    channels     the columns wanted, in this order; None: every column of numbers
    period_s     seconds between rows, for a file without times
    time_column  where it is not to be found by name

    Raises RecordingError: one line that names file, row, column and what was found there.
    """
    source = Path(path)
    ending = (source.with_suffix("") if source.suffix == ".gz" else source).suffix.lower()
    module = RECORDINGS.get(ending)
    if module is None:
        raise RecordingError(
            f"{source}: unknown kind of recording; expected {', '.join(RECORDINGS)}, also with .gz"
        )
    if not source.exists():
        raise RecordingError(f"{source}: no such file")
    reader = importlib.import_module(module)
    try:
        times_ns, values, names, column, notes = reader.read(source, channels, time_column)
    except RecordingError as exc:
        raise RecordingError(f"{source}: {exc}") from None
    except (OSError, EOFError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise RecordingError(f"{source}: cannot be read: {reason}") from exc
    if len(values) == 0:
        raise RecordingError(f"{source}: holds no samples")
    if times_ns is None:
        step_ns = round((period_s or DEFAULT_PERIOD_S) * 1e9)
        times_ns = np.arange(len(values), dtype=np.int64) * step_ns
        if period_s is None:
            notes = [
                *notes,
                "no time column found: rows are taken to be 1 s apart; say otherwise with --period",
            ]
    steps = np.diff(times_ns)
    period = int(np.median(steps[steps > 0])) if (steps > 0).any() else round(DEFAULT_PERIOD_S * 1e9)
    notes = [f"{source}: {note}" for note in [*notes, *_disorder(steps)]]
    return Recording(times_ns, values, tuple(names), period, column, tuple(notes))


def _disorder(steps: NDArray[np.int64]) -> list[str]:
    back = np.flatnonzero(steps <= 0)
    if back.size == 0:
        return []
    return [
        f"row {int(back[0]) + 3}: its time is not after that of the row before ({back.size} such rows): "
        "the detector leaves them out as late or duplicate"
    ]


def find_columns(wanted: Sequence[str], header: Sequence[str]) -> list[int]:
    """Return where the wanted columns stand; raises RecordingError with a suggestion for one that is not there."""
    places = []
    for name in wanted:
        if name not in header:
            close = difflib.get_close_matches(name, header, 1, 0.5) or [
                other for other in header if other.lower() == name.lower()
            ]
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise RecordingError(f'no column "{name}"{hint} (columns: {", ".join(header)})')
        if list(header).count(name) > 1:
            raise RecordingError(f'two columns are named "{name}"')
        places.append(list(header).index(name))
    return places
