"""Where a command may write: never over what it reads, and a model only over a model."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from edgelstm.errors import UsageError


def expect_output(path: str | os.PathLike[str], read: Iterable[str | os.PathLike[str] | None] = ()) -> Path:
    """Return the path of a file to write, before any work is done for it.

    read  the files that the command reads, or writes otherwise: none of them is to be written over

    Raises UsageError where its folder is not there, or where it is a folder or one of those files.
    """
    output = Path(path)
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such folder to write {output.name} to")
    if output.is_dir():
        raise UsageError(f"{output}: is a folder, expected a file to write")
    for other in read:
        if other is not None and _same(output, Path(other)):
            raise UsageError(
                f"{output}: is a file that is read or written here already; write to another one"
            )
    return output


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def expect_model_output(
    path: str | os.PathLike[str], read: Iterable[str | os.PathLike[str] | None] = ()
) -> Path:
    """As `expect_output`, of a model file: what is there already and is no model stays."""
    from edgelstm.model_file import is_model_file

    output = expect_output(path, read)
    if output.exists() and output.stat().st_size and not is_model_file(output):
        raise UsageError(
            f"{output}: is there already and is no model file: it is not written over; write to another one, or remove it"
        )
    return output
