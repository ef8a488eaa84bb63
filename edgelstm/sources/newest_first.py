"""Recordings whose newest row comes first, as exports of dashboards have it: turned round where they can be held, else refused."""

from __future__ import annotations

import shlex
from itertools import chain
from pathlib import Path

import numpy as np

from edgelstm.errors import RecordingError
from edgelstm.sources.columns import Block, Columns

FEWEST_ROWS = 3
MOST_VALUES = 20_000_000
"""Channels times rows that are held to be turned round; what is longer has to be turned round in the file."""


def turn_round(found: Columns, source: Path) -> None:
    """Give the rows of an open recording oldest first where its times fall from the first row to the last, and note it.

    A recording that only begins so is left as it is. Raises RecordingError, with the command that turns the file round, where it
    is too long to be held.
    """
    first = next(found.blocks, None)
    if first is None:
        return
    found.blocks = chain([first], found.blocks)
    if not _falls(first) or first[0] is None or len(first[0]) < FEWEST_ROWS:
        return
    held: list[Block] = []
    values = 0
    for block in found.blocks:
        held.append(block)
        values += block[1].size
        if not _falls(block) or not _follows(held):
            found.blocks = chain(held, found.blocks)
            return
        if values > MOST_VALUES:
            raise RecordingError(
                f"its newest row comes first, and it is too long to be turned round here: {_command(source)}"
            )
    found.notes.append("its newest row comes first: turned round")
    found.blocks = (
        (None if times is None else times[::-1].copy(), x[::-1].copy()) for times, x in reversed(held)
    )


def _falls(block: Block) -> bool:
    times = block[0]
    if times is None:
        return False
    return bool((np.diff(times) <= 0).all()) and (len(times) == 1 or bool(times[-1] < times[0]))


def _follows(held: list[Block]) -> bool:
    """Return whether the newest block goes on falling."""
    if len(held) < 2:
        return True
    before, now = held[-2][0], held[-1][0]
    return before is not None and now is not None and bool(now[0] <= before[-1])


def _command(source: Path) -> str:
    """Return the command; `awk 1` ends a last row that has no line end, which `tac` would join to the one before."""
    name = shlex.quote(str(source))
    turned = shlex.quote(f"{source.name.removesuffix('.gz').removesuffix('.csv')}-turned.csv")
    if source.suffix == ".gz":
        name = f"<(zcat {name})"
    elif source.suffix != ".csv":
        return "sort it by its time column and save it again"
    return f"turn the file round with: (head -n 1 {name}; tail -n +2 {name} | awk 1 | tac) > {turned}"
