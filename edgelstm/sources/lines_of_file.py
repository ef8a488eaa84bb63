"""`source = "file:PATH"`: lines of a file that somebody appends to, followed over rotation and truncation.

How far the file was scored is remembered, so a restart goes on there; after a crash the last second may be read again,
which the samples' own timestamps or sequence make harmless.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgelstm.message import Message
from edgelstm.sources import Source
from edgelstm.sources.codecs.csv_lines import is_header
from edgelstm.sources.lines import LONGEST, Lines

if TYPE_CHECKING:
    from edgelstm.config import Config, InputConfig

POLL_S = 0.1
REMEMBER_S = 1.0
HEAD = 64
"""So many first bytes tell one file from the next of the same name."""


def make(
    entry: InputConfig, address: str, config: Config, on_message: Callable[[Message], None]
) -> FileSource:
    has_header = entry.format == "csv"
    return FileSource(
        entry.name, Path(address), config.state_dir / f"{entry.name}.position", on_message, has_header
    )


class FileSource(Source):
    """Follows one path."""

    def __init__(
        self,
        topic: str,
        path: Path,
        memory: Path,
        on_message: Callable[[Message], None],
        has_header: bool = False,
    ) -> None:
        self.ended, self.state = "", "waiting for the file"
        self._path, self._memory, self._has_header = path, memory, has_header
        self._lines = Lines(topic, self, on_message)
        self._stopping = threading.Event()
        self._inode, self._offset, self._head = _recall(memory)
        self._scored = self._inode, self._offset
        self._remembered_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"file-{topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._lines.stop()
        self._stopping.set()
        self._thread.join()
        self._remember()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self._lines.acknowledged(len(messages))
        self._scored = messages[-1].generation, messages[-1].mid
        if time.monotonic() - self._remembered_s > REMEMBER_S:
            self._remember()

    def _run(self) -> None:
        while not self._stopping.wait(0 if self._path.exists() else POLL_S):
            try:
                with open(self._path, "rb") as file:
                    self._follow(file)
            except OSError as exc:
                self.state = f"cannot be read: {exc.strerror}"
                self._stopping.wait(POLL_S)

    def _follow(self, file: BinaryIO) -> None:
        """Read on to the end, and wait there, until the path is another file or this one was cut."""
        inode, head = os.fstat(file.fileno()).st_ino, file.read(HEAD)
        if inode != self._inode or not head.startswith(
            self._head
        ):  # the number of a deleted file is used again
            self._inode, self._offset, self._head = inode, 0, b""
        elif os.fstat(file.fileno()).st_size < self._offset:
            self._offset = 0
        self.state = "reading"
        start = self._offset
        if start and self._has_header:  # a decoder that is new has not seen it
            file.seek(0)
            first = file.readline(LONGEST).strip()
            if is_header(first.decode(errors="replace").split(",")) and not self._lines.hand_on(
                first, start, inode
            ):
                return
        file.seek(start)
        for line, read in self._lines.split(self._chunks(file)):
            if not self._lines.hand_on(line, start + read, inode):
                return
            self._offset = start + read
            if len(self._head) < HEAD:
                self._head = os.pread(file.fileno(), min(HEAD, self._offset), 0)

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        while not self._stopping.is_set():
            chunk = file.read(65_536)
            if chunk:
                yield chunk
                continue
            try:
                now = os.stat(self._path)
            except FileNotFoundError:
                now = None
            if now is None or now.st_ino != self._inode or now.st_size < file.tell():
                if now is not None and now.st_ino == self._inode:
                    self._offset = 0
                return
            self._stopping.wait(POLL_S)

    def _remember(self) -> None:
        self._remembered_s = time.monotonic()
        new = self._memory.with_suffix(".new")
        try:
            new.write_text(f"{self._scored[0]} {self._scored[1]} {self._head.hex()}\n")
            os.replace(new, self._memory)
        except OSError as exc:
            self.state = f"reading, but its position cannot be kept: {exc.strerror}"


def _recall(memory: Path) -> tuple[int, int, bytes]:
    """Return inode, offset and first bytes of the file as they were remembered."""
    try:
        inode, offset, *head = memory.read_text().split()
        return int(inode), int(offset), bytes.fromhex("".join(head))
    except (OSError, ValueError):
        return 0, 0, b""
