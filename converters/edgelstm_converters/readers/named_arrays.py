"""The arrays that an entry of an architecture file names, each checked for its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.architecture import LayerEntry

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.generic]]


class NamedArrays:
    """The arrays of one layer by the keys of its entry; everything raises ConversionError naming layer, key and array."""

    def __init__(self, arrays: Arrays, entry: LayerEntry) -> None:
        self._arrays, self.entry = arrays, entry

    def wrong(self, why: str) -> ConversionError:
        return ConversionError(f'layer "{self.entry.name}" ({self.entry.kind}): {why}')

    def known(self, activation: str, names: Sequence[str]) -> None:
        if activation not in names:
            raise self.wrong(f'activation is "{activation}", expected one of {", ".join(names)}')

    def order(self, gates: str, letters: str) -> None:
        if sorted(gates) != sorted(letters):
            raise self.wrong(
                f'gates is "{gates}", expected the order in which its rows are stacked, of the letters {letters}'
            )

    def width(self, found: int) -> int:
        """Return how many values a source gives; 0 where nothing has said it."""
        if not found:
            raise self.wrong(
                "reads the channels, and no layer in front of it says how many there are: add inputs = N to the file"
            )
        return found

    def has(self, key: str) -> bool:
        return getattr(self.entry, key) is not None

    def array(self, key: str, dimensions: int | None, expected: str) -> Floats:
        """Return an array of so many dimensions; `expected` names them."""
        name = getattr(self.entry, key)
        if name is None:
            raise self.wrong(f"{key} is missing")
        if name not in self._arrays:
            raise self.wrong(f'{key} is "{name}", but the arrays are {", ".join(self._arrays) or "none"}')
        values = self._arrays[name]
        if values.dtype.kind != "f" or values.size == 0:
            raise self.wrong(
                f'{key}: "{name}" is {values.dtype} of shape {values.shape}, expected floating point'
            )
        if dimensions is not None and values.ndim != dimensions:
            raise self.wrong(f'{key}: "{name}" has shape {values.shape}, expected {expected}')
        if not np.isfinite(values).all():
            raise self.wrong(f'{key}: "{name}" holds numbers that are not finite')
        return values.astype(np.float32)

    def matrix(self, key: str, *, transposed: bool = False) -> Floats:
        values = self.array(key, 2, "a matrix")
        return np.ascontiguousarray(values.T if transposed else values)

    def vector(self, key: str, count: int) -> Floats:
        """Return so many numbers; zeros where the entry names none."""
        if not self.has(key):
            return np.zeros(count, np.float32)
        values = self.array(key, None, "").reshape(-1)
        if values.size != count:
            raise self.wrong(
                f'{key}: "{getattr(self.entry, key)}" has {values.size} numbers, expected {count}'
            )
        return values
