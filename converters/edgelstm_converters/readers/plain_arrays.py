"""Plain arrays in an NPZ file, with an architecture file that says what they are."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import Asked, Reading, named_layers

MAX_BYTES = 1 << 30


def read(path: Path, asked: Asked) -> Reading:
    """Read the arrays and make the layers that the architecture names."""
    asked.only("architecture")
    if asked.architecture is None:
        raise ConversionError(
            f"holds arrays and no network: say which is which with --architecture; they are {', '.join(_load(path))}"
        )
    return named_layers.read(
        _load(path), asked.architecture, "not proved: plain arrays come without an engine"
    )


def _load(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
            if total > MAX_BYTES:
                raise ConversionError(
                    f"unpacks to {total:,} bytes, more than the {MAX_BYTES:,} that are read"
                )
            for entry in archive.infolist():
                _check_size(archive, entry)
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except ConversionError:
        raise
    except Exception as exc:  # zipfile, zlib and NumPy each have errors of their own for damaged bytes
        reason = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise ConversionError(f"is damaged or no NPZ file: {reason}") from None


def _check_size(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Raise ConversionError where an array says that it is larger than what there is of it: NumPy makes room for it first."""
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise ConversionError(
                f'"{entry.filename}" is an array of NumPy\'s format {version}, expected 1.0 or 2.0'
            )
        first = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    if math.prod(shape) * dtype.itemsize > entry.file_size:
        raise ConversionError(
            f'is damaged: "{entry.filename}" says that its shape is {shape}, but has {entry.file_size:,} bytes'
        )
