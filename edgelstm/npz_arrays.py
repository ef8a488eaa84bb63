"""Plain arrays of a NumPy archive (`.npz`), judged by what it says of them before there is room made for any."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_UNPACKED = 1100  # bytes that one byte of an archive can become: deflate ends at 1032


def load(path: Path, most_bytes: int | None = None) -> dict[str, NDArray[np.generic]]:
    """Return the arrays by name; raises ValueError, in one line, for a damaged file or one that says more than it has.

    most_bytes  that all arrays together may have, where there is such a limit
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refusal = _refusal(archive, os.path.getsize(path), most_bytes)
        if refusal is None:
            with np.load(path, allow_pickle=False) as file:
                return {name: np.asarray(file[name]) for name in file.files}
    except Exception as exc:  # zipfile, zlib and NumPy each have errors of their own for damaged bytes
        reason = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise ValueError(f"is damaged or no NPZ file: {reason}") from None
    raise ValueError(refusal)


def _refusal(archive: zipfile.ZipFile, packed: int, most_bytes: int | None) -> str | None:
    """Return what is wrong with the sizes that the archive says, None where nothing is."""
    total = sum(entry.file_size for entry in archive.infolist())
    if total > MOST_UNPACKED * packed:
        return f"is damaged: it says that its {packed:,} bytes unpack to {total:,}"
    if most_bytes is not None and total > most_bytes:
        return f"unpacks to {total:,} bytes, more than the {most_bytes:,} that are read"
    for entry in archive.infolist():
        refusal = _refusal_of(archive, entry)
        if refusal is not None:
            return refusal
    return None


def _refusal_of(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str | None:
    """Return what is wrong where an array says that it is larger than what there is of it: NumPy makes room for it first."""
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            return f'has "{entry.filename}", an array of NumPy\'s format {version}, expected 1.0 or 2.0'
        first = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    if math.prod(shape) * dtype.itemsize > entry.file_size:
        return f'is damaged: "{entry.filename}" says that its shape is {shape}, but has {entry.file_size:,} bytes'
    return None
