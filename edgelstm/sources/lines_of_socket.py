"""`source = "unix:PATH"`: a socket that programs on this machine write lines to; only our own user may.

Back-pressure reaches the writer: what is not scored yet is not read. Nothing is sent back.
"""

from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.errors import UnavailableError
from edgelstm.message import Message
from edgelstm.sources import Source
from edgelstm.sources.lines import Lines

if TYPE_CHECKING:
    from edgelstm.config import Config, InputConfig

MOST_CONNECTIONS = 64
POLL_S = 0.25


def make(
    entry: InputConfig, address: str, config: Config, on_message: Callable[[Message], None]
) -> SocketSource:
    return SocketSource(entry.name, Path(address), on_message)


class SocketSource(Source):
    """Listens, and reads each connection in a thread of its own; connections beyond the limit are closed at once."""

    def __init__(self, topic: str, path: Path, on_message: Callable[[Message], None]) -> None:
        self.ended, self.state = "", "listening"
        self._lines = Lines(topic, self, on_message)
        self._path, self._listener = path, listen(path)
        self._stopping = threading.Event()
        self._readers: set[threading.Thread] = set()
        self._thread = threading.Thread(target=self._run, name=f"socket-{topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._lines.stop()
        self._thread.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self._lines.acknowledged(len(messages))

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if not ready.select(POLL_S):
                    continue
                connection, _ = self._listener.accept()
                self._readers = {reader for reader in self._readers if reader.is_alive()}
                self.state = f"listening, {len(self._readers)} connections"
                if len(self._readers) >= MOST_CONNECTIONS:
                    connection.close()
                    continue
                reader = threading.Thread(target=self._read, args=(connection,), daemon=True)
                self._readers.add(reader)
                reader.start()

    def _read(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(POLL_S)
            for line, _ in self._lines.split(self._chunks(connection)):
                if not self._lines.hand_on(line):
                    return

    def _chunks(self, connection: socket.socket) -> Iterator[bytes]:
        while not self._stopping.is_set():
            try:
                chunk = connection.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not chunk:
                return
            yield chunk


def listen(path: Path) -> socket.socket:
    """Return the listening socket, private to our user; raises UnavailableError where the path is taken or impossible."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()  # left behind by a crash: the folder's lock says that nobody else of us is running
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(16)
    except OSError as exc:
        listener.close()
        raise UnavailableError(f"{path}: no socket can be opened there: {exc.strerror or exc}") from None
    return listener
