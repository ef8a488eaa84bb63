"""The wire format of Protocol Buffers, as far as Sparkplug needs it: fields of a message, read and written.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

from edgelstm.sources.codecs import PayloadError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of every field; raises PayloadError where the message is damaged."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == LENGTH:
            length, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise PayloadError(f"no Protocol Buffers message: wire type {kind}")
        if at + length > len(data):
            raise PayloadError("no Protocol Buffers message: a field ends after the payload")
        yield tag >> 3, data[at : at + length]
        at += length


def field(number: int, value: int | bytes) -> bytes:
    """Return a field: a whole number as varint, bytes with their length."""
    if isinstance(value, int):
        return _to_varint(number << 3 | VARINT) + _to_varint(value)
    return _to_varint(number << 3 | LENGTH) + _to_varint(len(value)) + value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
        shift += 7
    raise PayloadError("no Protocol Buffers message: a number does not end")


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
