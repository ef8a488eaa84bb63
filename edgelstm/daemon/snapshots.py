"""States of detectors on disk: a file per stream, written whole, the one before kept beside it."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from edgelstm.errors import SnapshotError, UnavailableError

_HEAD = struct.Struct("<QI")


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

    def save(self, stream: str, samples: int, snapshot: bytes) -> None:
        """Write a generation; raises OSError, and the ones before stay."""
        newest, new = self._path(stream), self.folder / f".{stream}.new"
        with open(new, "wb") as file:
            file.write(_head(samples) + snapshot)
            file.flush()
            os.fsync(file.fileno())
        if newest.exists():
            os.replace(newest, self._path(stream, ".1"))
        os.replace(new, newest)

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

    def _path(self, stream: str, generation: str = "") -> Path:
        return self.folder / f"{stream}.snapshot{generation}"
