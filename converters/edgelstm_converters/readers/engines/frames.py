"""What two processes say to each other: a JSON object and arrays of plain numbers, nothing that is executed."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

MAX_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Frame:
    head: dict[str, Any]
    arrays: list[Any] = field(default_factory=list)


def send(stream: IO[bytes], frame: Frame) -> None:
    """Write the length of the JSON text, the text, then the bytes of each array."""
    arrays = [np.ascontiguousarray(array) for array in frame.arrays]
    head = {**frame.head, "arrays": [[array.dtype.str, array.shape] for array in arrays]}
    text = json.dumps(head).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    for array in arrays:
        stream.write(array.data if array.size else b"")
    stream.flush()


def receive(stream: IO[bytes]) -> Frame:
    """Raises EOFError where the other side has gone, ValueError for what is no frame."""
    (size,) = struct.unpack("<I", _read(stream, 4))
    head = json.loads(_read(stream, size))
    arrays = []
    for text, shape in head.pop("arrays"):
        dtype = np.dtype(text)
        count = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
        if dtype.kind not in "fiub" or not 0 <= count <= MAX_BYTES:
            raise ValueError(f"an array of {text} and shape {shape}")
        arrays.append(np.frombuffer(_read(stream, count), dtype).reshape(shape).copy())
    return Frame(head, arrays)


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content
