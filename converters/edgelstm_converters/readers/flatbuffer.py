"""Reading FlatBuffers (https://flatbuffers.dev/internals): every offset is checked before it is followed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError

MAX_ENTRIES = 1 << 22
"""Of a vector of tables: more than any model has, few enough to be read in a moment."""


def damaged(where: int) -> ConversionError:
    return ConversionError(f"is damaged: what byte {where} points to is not in the file")


@dataclass(frozen=True, slots=True)
class Table:
    """A table at `place`; fields are by their number in the schema, absent ones read as their default."""

    content: bytes
    place: int

    def _unpack(self, format_: str, place: int) -> int | float:
        if place < 0 or place + struct.calcsize(format_) > len(self.content):
            raise damaged(place)
        value: int | float = struct.unpack_from(format_, self.content, place)[0]
        return value

    def _field(self, number: int) -> int:
        """Return the place of a field, 0 where it is absent."""
        table = self.place - int(self._unpack("<i", self.place))
        if 4 + 2 * number >= int(self._unpack("<H", table)):
            return 0
        offset = int(self._unpack("<H", table + 4 + 2 * number))
        return self.place + offset if offset else 0

    def scalar(self, number: int, format_: str, default: int | float = 0) -> int | float:
        place = self._field(number)
        return self._unpack("<" + format_, place) if place else default

    def integer(self, number: int, format_: str = "i", default: int = 0) -> int:
        return int(self.scalar(number, format_, default))

    def _target(self, place: int) -> int:
        return place + int(self._unpack("<I", place))

    def table(self, number: int) -> Table | None:
        place = self._field(number)
        return Table(self.content, self._target(place)) if place else None

    def _vector(self, number: int) -> tuple[int, int]:
        """Return the place of the first element of a vector, and how many there are."""
        place = self._field(number)
        if not place:
            return 0, 0
        start = self._target(place)
        return start + 4, int(self._unpack("<I", start))

    def tables(self, number: int) -> Iterator[Table]:
        start, count = self._vector(number)
        if count > min(MAX_ENTRIES, len(self.content) // 4):
            raise damaged(start)
        for n in range(count):
            yield Table(self.content, self._target(start + 4 * n))

    def array(self, number: int, dtype: str) -> NDArray[np.generic]:
        """Return a vector of scalars; its bytes are the file's."""
        start, count = self._vector(number)
        if start + count * np.dtype(dtype).itemsize > len(self.content):
            raise damaged(start)
        return np.frombuffer(self.content, dtype, count, start) if count else np.zeros(0, dtype)

    def integers(self, number: int) -> list[int]:
        return [int(n) for n in self.array(number, "<i4")]

    def text(self, number: int) -> str:
        return self.array(number, "u1").tobytes().decode("utf-8", "replace")


def root(content: bytes, identifier: bytes) -> Table:
    """Return the root table of a file that is of the kind `identifier` names, four letters."""
    if len(content) < 8 or content[4:8] != identifier:
        raise ConversionError("is damaged or no TFLite model: its first bytes are not those of one")
    return Table(content, struct.unpack_from("<I", content)[0])
