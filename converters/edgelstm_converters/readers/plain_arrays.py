"""Plain arrays in an NPZ file, with an architecture file that says what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm import npz_arrays
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
        return npz_arrays.load(path, MAX_BYTES)
    except ValueError as exc:
        raise ConversionError(str(exc)) from None
