"""Plain arrays in an NPZ file, with an architecture file that says what they are."""

from __future__ import annotations

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
            raise ConversionError(f"unpacks to {total:,} bytes, more than the {MAX_BYTES:,} that are read")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except ConversionError:
        raise
    except Exception as exc:  # zipfile, zlib and NumPy each have errors of their own for damaged bytes
        reason = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise ConversionError(f"is damaged or no NPZ file: {reason}") from None
