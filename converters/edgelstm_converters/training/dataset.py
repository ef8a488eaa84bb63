"""What a recording holds, looked at before training: channels worth having, gaps, missing values, labels, a split in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm.calibration import MINIMUM_ROWS
from edgelstm.errors import RecordingError, UsageError
from edgelstm.sources import RECORDINGS
from edgelstm.sources.label_columns import LabelColumns
from edgelstm.sources.recording import Recording, newest_rows, read

FEWEST_ROWS = 400
MOST_VALUES = 10_000_000
"""Channels times rows, where nobody says how many rows: training was seen to hold more than 2.6 GB of twice as many."""

GAP_PERIODS = 1.5
DUPLICATE_CORRELATION = 0.999999

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of the three stretches, in time: [0, train), [train, validate), [validate, rows)."""

    train: int
    validate: int
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A recording that a network can be trained on.

    times_ns  int64   (samples,)            increasing
    values    float32 (samples, channels)   NaN where missing
    filled    float32 (samples, channels)   standardised by the training stretch; the last value where one is missing
    usable    bool    (samples, channels)   whether a value was there and follows the sample before it without a gap
    labels    int64   (samples,)            class of every sample, or None
    watched   which channels are foretold and judged; the others, that are given, only feed the network
    classes   what the labels were called
    notes     what was found and done, a line each
    """

    names: tuple[str, ...]
    times_ns: NDArray[np.int64]
    values: Floats
    filled: Floats
    usable: NDArray[np.bool_]
    mean: Floats
    std: Floats
    split: Split
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    period_ns: int
    watched: list[int]
    notes: list[str] = field(default_factory=list)

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the channels that only feed the network."""
        return tuple(name for c, name in enumerate(self.names) if c not in self.watched)

    @property
    def watched_names(self) -> tuple[str, ...]:
        """Names of the channels that are foretold and judged."""
        return tuple(self.names[c] for c in self.watched)

    @property
    def scaling(self) -> dict[str, dict[str, float]]:
        """What the network's inputs are standardised by, as `edgelstm convert --scaling` takes it."""
        return {
            name: {"mean": float(mean), "std": float(std)}
            for name, mean, std in zip(self.names, self.mean, self.std, strict=True)
        }


def read_all(
    path: str | Path,
    channels: Sequence[str] | None = None,
    *,
    period_s: float | None = None,
    time_column: str | None = None,
    newest: int | None = None,
    labels: LabelColumns | None = None,
) -> list[Recording]:
    """Read a recording, or every recording in a folder, in order of their first times.

    newest  how many rows at the end are kept; None: all, or as many as make MOST_VALUES of all channels together
    labels  leaves out columns that look like labels, where no channels are named; None: they are as any other

    Raises RecordingError naming the file that has other channels than the first one.
    """
    source = Path(path)
    files = [source]
    if source.is_dir():
        files = sorted(file for file in source.iterdir() if _ending(file) in RECORDINGS)
        if not files:
            raise RecordingError(f"{source}: holds no recording ({', '.join(RECORDINGS)}, also with .gz)")
    found: list[Recording] = []
    names: tuple[str, ...] = ()
    notes: list[str] = []
    rows = 0
    for file in files:
        one = read(
            file,
            channels,
            period_s=period_s,
            time_column=time_column,
            newest=newest,
            most_values=MOST_VALUES,
            labels=labels,
        )
        names = names or one.names
        if one.names != names:
            raise RecordingError(
                f"{file}: has the channels {', '.join(one.names)}, but {files[0]} has {', '.join(names)}; "
                "choose those that all have with --channels a,b,c"
            )
        rows, notes = rows + len(one.values), [*notes, *one.notes]
        found = sorted([*found, one], key=lambda each: int(each.times_ns[0]))
        found = newest_rows(found, newest or max(MOST_VALUES // len(names), 1))
    kept = sum(len(one.values) for one in found)
    if kept < rows:
        notes.append(
            f"{path}: of {rows:,} rows of its files the newest {kept:,} are used; --newest N says otherwise"
        )
    return [replace(one, notes=tuple(notes) if one is found[0] else ()) for one in found]


def _ending(file: Path) -> str:
    return (file.with_suffix("") if file.suffix == ".gz" else file).suffix.lower()


def examine(
    recordings: Sequence[Recording],
    *,
    label: str | None = None,
    learned: bool = True,
    given: Sequence[str] = (),
    keep_all: bool = False,
    validation: float = 0.15,
    test: float = 0.15,
) -> Dataset:
    """Look at recordings and make them one dataset; what was found and done is in its notes.

    label     the column that says what a sample is; it is no channel
    learned   whether that is to be learned, so that every class has to be there to be trained on; else it only judges
    given     channels that only feed the network, as commands and set points do: neither foretold nor judged
    keep_all  whether channels that never move, or repeat another one, are kept

    Raises UsageError for a label or a given channel that is not there, RecordingError where too little is left to train on.
    """
    names = recordings[0].names
    times_ns = np.concatenate([one.times_ns for one in recordings])
    values = np.concatenate([one.values for one in recordings])
    notes = [note for one in recordings for note in one.notes]
    order = np.argsort(times_ns, kind="stable")
    first_of_time = np.concatenate([[True], np.diff(times_ns[order]) > 0])
    kept = order[first_of_time]
    if kept.size < times_ns.size:
        notes.append(f"{times_ns.size - kept.size} rows left out whose time was there already")
    if (np.diff(order) < 0).any():
        notes.append("rows were not in order of time: sorted")
    times_ns, values = times_ns[kept], values[kept]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    if label is not None:
        if label not in names:
            raise UsageError(f'no column "{label}" to take labels from (columns: {", ".join(names)})')
        at = names.index(label)
        labels, classes = _labels(values[:, at], label)
        names = names[:at] + names[at + 1 :]
        values = np.delete(values, at, axis=1)
        counts = np.bincount(labels, minlength=len(classes)).tolist()
        listed = ", ".join(f"{kind} {count}" for kind, count in zip(classes, counts, strict=True))
        notes.append(f'labels "{label}": {listed}')
    if len(times_ns) < FEWEST_ROWS:
        otherwise = "record more"
        if len(times_ns) >= MINIMUM_ROWS:
            otherwise = "the pretrained detector needs no training: edgelstm score --pretrained DATA"
        raise RecordingError(
            f"{len(times_ns)} rows are too few to train on, at least {FEWEST_ROWS} are needed; {otherwise}"
        )
    for name in given:
        if name not in names:
            raise UsageError(f'no channel "{name}" to be given to the network (channels: {", ".join(names)})')
    if not keep_all:
        names, values = _worth_having(names, values, notes)
    watched = [c for c, name in enumerate(names) if name not in given]
    if not watched:
        raise UsageError("every channel that moves is given to the network: none is left to be foretold")
    data = _prepare(names, times_ns, values, labels, classes, watched, notes, validation, test)
    if learned and labels is not None:
        _expect_every_class(labels, classes, data.split)
    return data


def _labels(column: Floats, label: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    kinds = np.unique(column[np.isfinite(column)])
    if not 2 <= kinds.size <= 64:
        raise UsageError(f'the label column "{label}" has {kinds.size} different values, expected 2 to 64')
    return (
        np.searchsorted(kinds, np.where(np.isfinite(column), column, kinds[0])).astype(np.int64),
        tuple(f"{kind:g}" for kind in kinds),
    )


def _worth_having(names: tuple[str, ...], values: Floats, notes: list[str]) -> tuple[tuple[str, ...], Floats]:
    """Leave out channels that are empty, never move or repeat another one, and say so."""
    keep: list[int] = []
    empty = [name for name, column in zip(names, values.T, strict=True) if not np.isfinite(column).any()]
    if empty:
        listed = ", ".join(f'"{name}"' for name in empty)
        notes.append(
            f"channels {listed} left out: they have no value at all"
            if len(empty) > 1
            else f"channel {listed} left out: it has no value at all"
        )
    for c, name in enumerate(names):
        seen = values[:, c][np.isfinite(values[:, c])]
        if name in empty:
            continue
        if (seen == seen[0]).all():
            notes.append(f'channel "{name}" left out: it is always {seen[0]:g}')
        else:
            twin = next((k for k in keep if _same(values[:, k], values[:, c])), None)
            if twin is None:
                keep.append(c)
            else:
                notes.append(f'channel "{name}" left out: it repeats "{names[twin]}"')
    if not keep:
        raise RecordingError("no channel ever moves: there is nothing to learn")
    return tuple(names[c] for c in keep), np.ascontiguousarray(values[:, keep])


def _same(a: Floats, b: Floats) -> bool:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 10 or a[both].std() == 0.0 or b[both].std() == 0.0:
        return False
    if np.array_equal(a[both], b[both]):
        return True
    x, y = a[both].astype(np.float64), b[both].astype(np.float64)
    return bool(abs(np.corrcoef(x, y)[0, 1]) > DUPLICATE_CORRELATION)


def _prepare(
    names: tuple[str, ...],
    times_ns: NDArray[np.int64],
    values: Floats,
    labels: NDArray[np.int64] | None,
    classes: tuple[str, ...],
    watched: list[int],
    notes: list[str],
    validation: float,
    test: float,
) -> Dataset:
    rows = len(values)
    split = Split(int(rows * (1.0 - validation - test)), int(rows * (1.0 - test)), rows)
    steps = np.diff(times_ns)
    period = int(np.median(steps))
    gaps = steps > GAP_PERIODS * period
    if gaps.any():
        notes.append(
            f"{int(gaps.sum())} gaps, the longest {steps.max() / 1e9:g} s: what follows one is not learned from"
        )
    missing = ~np.isfinite(values)
    if missing.any():
        counts = missing.sum(axis=0)
        listed = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True) if count)
        notes.append(f"missing values ({listed}): the last value feeds the network, and none is learned from")
    mean, std = _moments(values[: split.train])
    _, whole = _moments(values)
    std = np.where(std > 0.0, std, np.where(whole > 0.0, whole, 1.0))
    usable = ~missing
    usable[1:][gaps] = False
    return Dataset(
        names=names,
        times_ns=times_ns,
        values=values,
        filled=((_fill(values, mean) - mean) / std).astype(np.float32),
        usable=usable,
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        split=split,
        labels=labels,
        classes=classes,
        period_ns=period,
        watched=watched,
        notes=notes,
    )


def _expect_every_class(labels: NDArray[np.int64], classes: tuple[str, ...], split: Split) -> None:
    for number, name in enumerate(classes):
        if not (labels[: split.train] == number).any():
            raise RecordingError(
                f"class {name} has no row among the first {split.train} of {split.rows}, which are trained on"
            )


def _moments(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of what is there of every channel, 0 where nothing is."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    x = np.where(known, values, 0.0).astype(np.float64)
    mean = x.sum(axis=0) / count
    return mean, np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0) / count)


def _fill(values: Floats, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Repeat the last known value where one is missing, and the mean before the first."""
    filled = values.astype(np.float64)
    for c, column in enumerate(filled.T):
        known = np.isfinite(column)
        last = np.maximum.accumulate(np.where(known, np.arange(column.size), -1))
        column[:] = np.where(last < 0, mean[c], column[np.maximum(last, 0)])
    return filled
