"""States of detectors on disk: a file per stream, written whole, the one before kept beside it."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from edgelstm.errors import SnapshotError, UnavailableError

_HEAD = struct.Struct("<QI")
BLOCK = 4096
"""What a file system writes at least."""
DAY_S, SAVED_UP = 86_400.0, 0.1


def _head(samples: int) -> bytes:
    return _HEAD.pack(samples, zlib.crc32(samples.to_bytes(8, "little")))


class Snapshots:
    """The folder of snapshots. A file is the number of samples taken in and its check sum, then the sealed state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise UnavailableError(f"{folder}: cannot be made: {exc.strerror}; set node.state_dir") from None

    def save(self, stream: str, samples: int, snapshot: bytes) -> int:
        """Write a generation and return the bytes that takes; raises OSError, and the ones before stay.

        It survives a power failure only after `os.sync`, which who saves many calls after the last.
        """
        newest, new = self._path(stream), self.folder / f".{stream}.new"
        with open(new, "wb") as file:
            size = file.write(_head(samples) + snapshot)
        if newest.exists():
            os.replace(newest, self._path(stream, ".1"))
        os.replace(new, newest)
        return -(-size // BLOCK) * BLOCK

    def load(self, stream: str, restore: Callable[[bytes], None]) -> tuple[int | None, list[str]]:
        """Give the newest snapshot that `restore` accepts; return its number of samples, and what was refused."""
        refused = []
        for path in (self._path(stream), self._path(stream, ".1")):
            try:
                content = path.read_bytes()
                samples = int.from_bytes(content[:8], "little")
                if content[: _HEAD.size] != _head(samples):
                    raise SnapshotError("the snapshot is damaged: the check sum of its head is wrong")
                restore(content[_HEAD.size :])
            except FileNotFoundError:
                continue
            except (SnapshotError, OSError) as exc:
                refused.append(f"{path.name}: {exc}")
                continue
            return samples, refused
        return None, refused

    def remove(self, stream: str) -> None:
        """Delete what is kept of a stream that is gone."""
        for generation in ("", ".1"):
            self._path(stream, generation).unlink(missing_ok=True)

    def _path(self, stream: str, generation: str = "") -> Path:
        return self.folder / f"{stream}.snapshot{generation}"


class WriteBudget:
    """Bytes that may be written now: they grow by so many a day, and a tenth of a day's may be saved up."""

    def __init__(self, bytes_a_day: int, now_s: float) -> None:
        self._a_second, self._most = bytes_a_day / DAY_S, bytes_a_day * SAVED_UP
        self._left, self._counted_s, self._saving = self._most, now_s, False

    def allows(self, files: int, now_s: float) -> bool:
        """Return whether to write one of so many files now: all of them in a row, or as many as can be saved up for.

        One by one they would cost several times as much, in what the file system writes beside them. No limit where the
        budget is 0.
        """
        if not self._most:
            return True
        self._left = min(self._most, self._left + (now_s - self._counted_s) * self._a_second)
        self._counted_s = now_s
        self._saving = self._left >= (1 if self._saving else min(self._most, files * BLOCK))
        return self._saving

    def spend(self, size: int) -> None:
        self._left -= size
