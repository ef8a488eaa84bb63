"""Requests to a running daemon: over a private Unix socket always, over MQTT where `control.enabled` says so.

A request is a verb and a JSON object, the answer `{"status": "ok", "data": ...}` or `{"status": "error", "error": ...}`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgelstm.errors import EdgeLstmError, UnavailableError, UsageError

Verbs = Mapping[str, Callable[[dict[str, Any]], Any]]
TIMEOUT_S = 5.0
LONGEST = 64 << 10
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def answer(verbs: Verbs, allowed: Callable[[str], bool], verb: str, content: bytes) -> bytes:
    """Return the answer to one request; whatever is wrong with it is an error in the answer."""
    transaction = None
    try:
        request = _decode(content) if content.strip() else {}
        transaction = request.pop("transaction", None)
        if verb not in verbs:
            raise UsageError(f'"{verb}" is no request; known here: {", ".join(sorted(verbs))}')
        if not allowed(verb):
            raise UsageError(f'"{verb}" is not in control.allow')
        found: dict[str, Any] = {"status": "ok", "data": verbs[verb](request)}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EdgeLstmError) as exc:
        found = {"status": "error", "error": str(exc)[:300]}
    return msgspec.json.encode({"transaction": transaction, **found})


class ControlSocket:
    """Answers requests of our own user: a line with verb and JSON in, a line of JSON out."""

    def __init__(self, path: Path, verbs: Verbs) -> None:
        """Open the socket, private to our user; raises UnavailableError."""
        from edgelstm.sources.lines_of_socket import listen

        self._path, self._verbs = path, verbs
        self._listener = listen(path)
        self._listener.settimeout(0.5)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(TIMEOUT_S)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with connection:
                connection.settimeout(TIMEOUT_S)
                try:
                    line = _line(connection)
                    verb, _, content = line.partition(b" ")
                    connection.sendall(
                        answer(self._verbs, lambda _: True, verb.decode(errors="replace"), content) + b"\n"
                    )
                except OSError:
                    continue  # the asker has gone


def ask(path: Path, verb: str, request: dict[str, Any] | None = None) -> Any:
    """Ask the daemon that uses this socket; return the data of its answer.

    Raises UnavailableError where none runs, UsageError with its reason where it says no.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(4 * TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(verb.encode() + b" " + msgspec.json.encode(request or {}) + b"\n")
            found = _decode(_line(connection, 64 << 20))
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as exc:
        raise UnavailableError(
            f"{path}: no daemon answers ({getattr(exc, 'strerror', None) or exc})"
        ) from None
    if found.get("status") != "ok":
        raise UsageError(str(found.get("error")))
    return found.get("data")


def _line(connection: socket.socket, longest: int = LONGEST) -> bytes:
    content = b""
    while not content.endswith(b"\n") and len(content) <= longest:
        chunk = connection.recv(65_536)
        if not chunk:
            break
        content += chunk
    return content.strip()
