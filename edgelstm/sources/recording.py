"""Recorded samples: times and channels of a file, whatever its format, part by part or at once."""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError
from edgelstm.sources import RECORDINGS
from edgelstm.sources.columns import Columns
from edgelstm.sources.label_columns import LabelColumns
from edgelstm.sources.newest_first import turn_round

DEFAULT_PERIOD_S = 1.0
HOUR_NS = 3600 * 10**9


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


class Parts:
    """An open recording, to be gone through once: each part is a Recording of some ten thousand rows.

    `names` are known at once; `notes` are complete when all parts have been read.
    """

    def __init__(self, source: Path, columns: Columns, period_s: float | None) -> None:
        self.names = tuple(columns.names)
        self._source, self._columns, self._period_s = source, columns, period_s
        self._order = _Order()
        self._untimed = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the recording should be told, a line each."""
        notes = list(self._columns.notes)
        if self._untimed and self._period_s is None:
            notes.append("no time column found: rows are taken to be 1 s apart; say otherwise with --period")
        return tuple(f"{self._source}: {note}" for note in [*notes, *self._order.notes()])

    def __iter__(self) -> Iterator[Recording]:
        with _named(self._source):
            rows, period_ns = 0, 0
            for times_ns, values in self._columns.blocks:
                if times_ns is None:
                    self._untimed = True
                    step_ns = round((self._period_s or DEFAULT_PERIOD_S) * 1e9)
                    times_ns = np.arange(rows, rows + len(values), dtype=np.int64) * step_ns
                rows += len(values)
                self._order.look(times_ns)
                period_ns = period_ns or period_of(times_ns)
                yield Recording(times_ns, values, self.names, period_ns, self._columns.time_column)
            if rows == 0:
                raise RecordingError("holds no samples")


@contextmanager
def parts(
    path: str | os.PathLike[str],
    channels: Sequence[str] | None = None,
    *,
    period_s: float | None = None,
    time_column: str | None = None,
    labels: LabelColumns | None = None,
) -> Iterator[Parts]:
    """Open a recording to read it part by part.

    channels     the columns wanted, in this order; None: every column of numbers
    period_s     seconds between rows, for a file without times
    time_column  where it is not to be found by name
    labels       leaves columns out that look like labels, where no channels are named; None: they are columns as any other

    Raises RecordingError, here or while it is read: one line that names file, row, column and what was found there.
    """
    source = Path(path)
    ending = (source.with_suffix("") if source.suffix == ".gz" else source).suffix.lower()
    if not source.exists():
        raise RecordingError(f"{source}: no such file")
    if source.is_dir():
        raise RecordingError(f"{source}: is a folder, expected a file")
    module = RECORDINGS.get(ending)
    if module is None:
        raise RecordingError(
            f"{source}: unknown kind of recording; expected {', '.join(RECORDINGS)}, also with .gz"
        )
    reader = importlib.import_module(module)
    with ExitStack() as stack:
        with _named(source):
            found = stack.enter_context(reader.columns(source, channels, time_column))
            if labels is not None and channels is None:
                _leave_out(found, labels)
            turn_round(found, source)
        yield Parts(source, found, period_s)


def _leave_out(found: Columns, labels: LabelColumns) -> None:
    """Take columns that look like labels out of an open recording, by its first block."""
    first = next(found.blocks, None)
    if first is None:
        return
    blocks = chain([first], found.blocks)
    left_out = labels.left_out(found.names, first[1])
    found.notes += labels.note(left_out)
    places = [n for n, name in enumerate(found.names) if name not in left_out]
    found.names = [found.names[n] for n in places]
    found.blocks = (
        ((times_ns, np.ascontiguousarray(values[:, places])) for times_ns, values in blocks)
        if left_out
        else blocks
    )


def read(
    path: str | os.PathLike[str],
    channels: Sequence[str] | None = None,
    *,
    period_s: float | None = None,
    time_column: str | None = None,
    newest: int | None = None,
    most_values: int | None = None,
    labels: LabelColumns | None = None,
) -> Recording:
    """Read a recording at once; arguments and errors as of `parts`.

    newest       how many rows at its end are kept; None: all, or as many as make `most_values` of all channels together,
                 which a note then says. What is older is read and let go: what is held does not grow with the file.
    """
    with parts(path, channels, period_s=period_s, time_column=time_column, labels=labels) as opened:
        names = opened.names
        most = newest or (None if most_values is None else max(most_values // max(len(names), 1), 1))
        kept, rows = _newest(opened, most)
        notes = opened.notes
    times_ns = np.concatenate([part.times_ns for part in kept])
    values = np.concatenate([part.values for part in kept])
    if len(values) < rows:
        said = "as asked" if newest else "more would not fit: --newest N says otherwise"
        notes = (*notes, f"{path}: of {rows:,} rows the newest {len(values):,} are used; {said}")
    return Recording(times_ns, values, names, period_of(times_ns), kept[0].time_column, notes)


def _newest(opened: Parts, most: int | None) -> tuple[list[Recording], int]:
    """Return the parts of the newest `most` rows, and how many rows there were."""
    kept: deque[Recording] = deque()
    rows = held = 0
    for part in opened:
        kept.append(part)
        rows, held = rows + len(part.values), held + len(part.values)
        while most is not None and held - len(kept[0].values) >= most:
            held -= len(kept.popleft().values)
    return newest_rows(list(kept), held if most is None else most), rows


def newest_rows(recordings: Sequence[Recording], most: int) -> list[Recording]:
    """Return the last `most` rows of recordings that follow one another."""
    kept: list[Recording] = []
    for one in reversed(recordings):
        if most <= 0:
            break
        cut = slice(max(len(one.values) - most, 0), None)
        kept.append(
            Recording(
                one.times_ns[cut], one.values[cut], one.names, one.period_ns, one.time_column, one.notes
            )
        )
        most -= len(one.values)
    return kept[::-1]


def period_of(times_ns: NDArray[np.int64]) -> int:
    """Return the median time between samples, DEFAULT_PERIOD_S where there is none."""
    steps = np.diff(times_ns)
    return int(np.median(steps[steps > 0])) if (steps > 0).any() else round(DEFAULT_PERIOD_S * 1e9)


class _Order:
    """Counts rows whose time is not after that of the row before."""

    def __init__(self) -> None:
        self._last: NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows = self._count = self._first = self._first_step = 0

    def look(self, times_ns: NDArray[np.int64]) -> None:
        steps = np.diff(np.concatenate([self._last, times_ns]))
        back = np.flatnonzero(steps <= 0)
        if back.size and not self._count:
            self._first = (
                self._rows - self._last.size + int(back[0]) + 3
            )  # as a spreadsheet counts, names in row 1
            self._first_step = int(steps[back[0]])
        self._count += int(back.size)
        self._rows += times_ns.size
        self._last = times_ns[-1:]

    def notes(self) -> list[str]:
        if not self._count:
            return []
        hint = ""
        if -HOUR_NS <= self._first_step < -0.8 * HOUR_NS:
            hint = "; a step back of an hour is mostly the end of summer time: write times with their offset, or in UTC"
        return [
            f"row {self._first}: its time is not after that of the row before ({self._count} such rows): "
            f"the detector leaves them out as late or duplicate{hint}"
        ]


@contextmanager
def _named(source: Path) -> Iterator[None]:
    """Put the name of the file before what is wrong with it."""
    try:
        yield
    except RecordingError as exc:
        raise RecordingError(f"{source}: {exc}") from None
    except (OSError, EOFError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise RecordingError(f"{source}: cannot be read: {reason}") from exc
