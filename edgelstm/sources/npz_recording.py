"""Recordings as NumPy archives: arrays `values`, `times_ns` or `times` (seconds), and `names`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm import npz_arrays
from edgelstm.errors import RecordingError
from edgelstm.sources.columns import Columns, find_columns


@contextmanager
def columns(path: Path, channels: Sequence[str] | None, time_column: str | None) -> Iterator[Columns]:
    """Read the arrays, all at once; channels are picked by `names`, or taken in order where there are none."""
    try:
        arrays = npz_arrays.load(path)
    except ValueError as exc:
        raise RecordingError(str(exc)) from None
    if (
        "values" not in arrays
        or arrays["values"].ndim not in (1, 2)
        or arrays["values"].dtype.kind not in "fiu"
    ):
        found = ", ".join(arrays) or "nothing"
        raise RecordingError(f'expected an array "values" of numbers (samples, channels); found {found}')
    values = arrays["values"].reshape(len(arrays["values"]), -1).astype(np.float32)
    count = values.shape[1]
    if "names" in arrays:
        names = [str(name) for name in arrays["names"].reshape(-1)]
    else:
        names = list(channels) if channels is not None else [f"c{n}" for n in range(count)]
    if len(names) != count:
        raise RecordingError(f"values have {count} channels, but {len(names)} are named")
    if channels is not None:
        values, names = np.ascontiguousarray(values[:, find_columns(channels, names)]), list(channels)
    times, column = _times(arrays, time_column)
    if times is not None and len(times) != len(values):
        raise RecordingError(f"{column} has {len(times)} entries, values have {len(values)}")
    yield Columns(names, column, iter([(times, values)] if len(values) else []))


def _times(
    arrays: dict[str, NDArray[np.generic]], wanted: str | None
) -> tuple[NDArray[np.int64] | None, str | None]:
    for name in [wanted] if wanted else ["times_ns", "times"]:
        if name in arrays:
            times = arrays[name].reshape(-1)
            if times.dtype.kind == "M":
                return times.astype("datetime64[ns]").astype(np.int64), name
            if times.dtype.kind in "iu" and name != "times":
                return times.astype(np.int64), name
            seconds = times.astype(np.float64)
            if not np.isfinite(seconds).all():
                raise RecordingError(f"{name} holds values that are not finite")
            return np.rint(seconds * 1e6).astype(np.int64) * 1000, name
    if wanted:
        raise RecordingError(f'no array "{wanted}" (arrays: {", ".join(arrays)})')
    return None, None
