"""What every reader of recordings gives: the columns that are wanted, block by block, so that no file is held whole."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import RecordingError

Block = tuple[NDArray[np.int64] | None, NDArray[np.float32]]
"""Times (samples,) in nanoseconds since 1970 UTC, None where the file has none, and values (samples, channels)."""


@dataclass(slots=True)
class Columns:
    """An open recording.

    names        of the channels
    time_column  the column that the times come from, None where there is none
    blocks       of samples, in the order of the file
    notes        what its user should be told, a line each; more may come with every block
    """

    names: list[str]
    time_column: str | None
    blocks: Iterator[Block]
    notes: list[str] = field(default_factory=list)


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
