"""Frames of a microcontroller on a serial line: found again after any damage, never taken for what they are not.

    0xA5 0x5A | length, 1 byte | sequence, 2 bytes | payload, `length` bytes | CRC-16, 2 bytes

Little-endian. The CRC (CCITT polynomial, start 0xFFFF) covers length, sequence and payload. The payload is
a sample as float32, or a sample and a verdict (`edgelstm/device_verdict.py`). The sequence counts frames from 0, which it only has after a reset, or after 65,535.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

START = b"\xa5\x5a"
_HEAD = struct.Struct("<BH")
_OVERHEAD = len(START) + _HEAD.size + 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that arrived whole."""

    sequence: int
    payload: bytes


def encode(sequence: int, payload: bytes) -> bytes:
    """Return the bytes of a frame; `payload` has at most 255 bytes."""
    content = _HEAD.pack(len(payload), sequence & 0xFFFF) + payload
    return START + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF))


class Frames:
    """Finds frames in a stream of bytes, and counts what it had to leave out.

    taken    frames that were handed on
    damaged  bytes that belonged to no frame
    repeats  frames that came twice
    missing  frames that the sequence says were lost
    resets   times that the device began again at 0
    """

    def __init__(self) -> None:
        self.taken = self.damaged = self.repeats = self.missing = self.resets = 0
        self._rest = b""
        self._last: int | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes as they came; return the frames that are complete now, each once and in order."""
        self._rest += data
        found = []
        while (frame := self._next()) is not None:
            if self._is_new(frame):
                self.taken += 1
                found.append(frame)
        return found

    def _next(self) -> Frame | None:
        """Return the first whole frame, also where what came before it looks like the beginning of a longer one."""
        start, unfinished = self._rest.find(START), None
        while start >= 0:
            length = self._rest[start + 2] if start + 2 < len(self._rest) else 255
            end = start + _OVERHEAD + length
            if end > len(self._rest):
                unfinished = start if unfinished is None else unfinished
            elif _checksum(self._rest[start + 2 : end - 2]) == self._rest[end - 2 : end]:
                _, sequence = _HEAD.unpack_from(self._rest, start + 2)
                payload = self._rest[start + 2 + _HEAD.size : end - 2]
                self._leave_out(start)
                self._rest = self._rest[end - start :]
                return Frame(sequence, payload)
            start = self._rest.find(START, start + 1)
        if unfinished is None:  # the last byte may be the first half of a start
            unfinished = len(self._rest) - self._rest.endswith(START[:1])
        self._leave_out(unfinished)
        return None

    def _leave_out(self, count: int) -> None:
        self.damaged += count
        self._rest = self._rest[count:]

    def _is_new(self, frame: Frame) -> bool:
        last, self._last = self._last, frame.sequence
        if last is None:
            return True
        if frame.sequence == last:
            self.repeats += 1
            return False
        step = (frame.sequence - last) & 0xFFFF
        if frame.sequence == 0 and step != 1:
            self.resets += 1
        else:
            self.missing += step - 1
        return True
