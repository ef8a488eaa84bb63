"""Where streams stand, in a file that is mapped into memory: it outlives this process however it ends, and costs no commit.

A database that took the position of every stream with every batch would write gigabytes a day. It has the positions of
streams that decided something, and of those that are new; here are the newest of all of them, merged into it at the next
start. A power failure takes at most what the system had not written yet, as it would from a log that is not synced.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from pathlib import Path

from edgelstm.outbox import Position

_RECORD = struct.Struct("<8sqqq")  # whose, samples, time, sequence
_CRC = struct.Struct("<I")
_BYTES = _RECORD.size + _CRC.size
_ROWS = 1024
_NO_TIME, _NO_SEQUENCE = -(2**63), -1


def lasting_folder(state: Path) -> Path:
    """Return where files are mapped that have to outlive this process, but no power failure: in memory, if systemd gave a
    folder there (it writes a page of a file on a disk every half a minute), else the folder of the state."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if not given:
        return state
    folder = (
        Path(given) / hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]
    )  # others may be given it too
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class MappedPositions:
    """A record for each stream of this process; made and used by the worker's thread."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, and read what the process before has left; raises OSError."""
        self._path = path
        self._rows: dict[bytes, int] = {}  # by key
        self._left: dict[bytes, tuple[int, int, int]] = {}
        content = path.read_bytes() if path.exists() else b""
        for at in range(0, len(content) - _BYTES + 1, _BYTES):
            record, check = content[at : at + _RECORD.size], content[at + _RECORD.size : at + _BYTES]
            key, *numbers = _RECORD.unpack(record)
            if any(key) and _CRC.unpack(check)[0] == zlib.crc32(
                record
            ):  # else it was being written at the end
                self._left[key] = tuple(numbers)
        self._map = self._mapped(max(_ROWS * _BYTES, len(content)))

    def merged(self, positions: dict[str, Position]) -> dict[str, Position]:
        """Return the positions of a database as far as the process before came."""
        return {name: self._newer(position) for name, position in positions.items()}

    def clear(self) -> None:
        """Forget what the process before has left: it is in the database now."""
        self._left.clear()
        self._map[:] = bytes(len(self._map))

    def write(self, position: Position) -> None:
        """Note where a stream stands; raises OSError where there is no room for another stream."""
        key = _key(position.name, position.model_digest)
        at = self._rows.setdefault(key, len(self._rows)) * _BYTES
        if at + _BYTES > len(self._map):
            self._map.close()
            self._map = self._mapped(2 * self._path.stat().st_size)
        time_ns = _NO_TIME if position.last_time_ns is None else position.last_time_ns
        sequence = _NO_SEQUENCE if position.last_sequence is None else position.last_sequence
        record = _RECORD.pack(key, position.samples, time_ns, sequence)
        self._map[at : at + _BYTES] = record + _CRC.pack(zlib.crc32(record))

    def close(self) -> None:
        self._map.close()

    def _newer(self, position: Position) -> Position:
        samples, time_ns, sequence = self._left.get(_key(position.name, position.model_digest), (-1, 0, 0))
        if samples < position.samples:
            return position
        return position._replace(
            samples=samples,
            last_time_ns=None if time_ns == _NO_TIME else time_ns,
            last_sequence=None if sequence == _NO_SEQUENCE else sequence,
        )

    def _mapped(self, size: int) -> mmap.mmap:
        with open(self._path, "ab") as file:  # written, not only sized: a hole that cannot be filled kills us
            file.write(bytes(max(0, size - file.tell())))
        with open(self._path, "r+b") as file:
            return mmap.mmap(file.fileno(), 0)


def _key(name: str, model_digest: str) -> bytes:
    """Return what tells a stream of a model from every other."""
    return hashlib.blake2b(f"{name}\0{model_digest}".encode(), digest_size=8).digest()
