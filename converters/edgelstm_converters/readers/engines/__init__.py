"""Engines of other frameworks, each in a process of its own: what crashes, hangs or eats memory there does no harm here.

A process stays for the next model, so that a framework is loaded once. Both sides speak in frames, see `frames`.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm_converters.readers.engines.frames import Frame, receive, send

LIMIT_S = 300.0
"""For one answer: what an engine needs for a long sequence, and less than somebody waits."""


class EngineError(Exception):
    """An engine says that it cannot load or run a model; the text is its own first line."""


class EngineDied(Exception):
    """An engine crashed, or gave no answer in time; the text says which."""


class Engine:
    """A model, loaded by the engine `kind`, one of the modules in this folder. `name` is the engine's own.

    path, content  of the model, as that engine wants it
    given          what the engine makes of the model, if anything: bytes
    limit_s        for one answer
    """

    def __init__(
        self, kind: str, path: Path | None = None, content: bytes = b"", *, limit_s: float | None = None
    ) -> None:
        self._process, self._limit_s = _process_of(kind), LIMIT_S if limit_s is None else limit_s
        answer = self._process.ask(
            {"path": str(path.resolve()) if path else ""}, [np.frombuffer(content, np.uint8)], self._limit_s
        )
        self.name = self._process.name = str(answer.head["name"])
        self.given = answer.arrays[0].tobytes()

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        """Return the outputs for inputs by name. Raises EngineError or EngineDied."""
        return self._process.ask({"names": list(feeds)}, list(feeds.values()), self._limit_s).arrays


class _Process:
    def __init__(self, kind: str) -> None:
        self.kind, self.name, self.late = kind, kind, False
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__name__}.process", kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip

    def ask(self, head: dict[str, Any], arrays: list[Any], limit_s: float) -> Frame:
        assert self.process.stdin and self.process.stdout
        timer = threading.Timer(limit_s, self._too_late)
        timer.start()
        try:
            send(self.process.stdin, Frame(head, arrays))
            answer = receive(self.process.stdout)
        except (OSError, ValueError, EOFError):
            raise EngineDied(self._died(limit_s)) from None
        finally:
            timer.cancel()
        if "error" in answer.head:
            raise EngineError(answer.head["error"])
        return answer

    def _too_late(self) -> None:
        self.late = True
        self.process.kill()

    def _died(self, limit_s: float) -> str:
        _running.pop(self.kind, None)
        self.end()
        if self.late:
            return f"{self.name} gave no answer in {limit_s:g} s"
        code = self.process.returncode
        return f"{self.name} crashed ({f'signal {-code}' if code < 0 else f'exit code {code}'})"

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:
                pass  # the other end is gone, which is what is wanted
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_running: dict[str, _Process] = {}


def _process_of(kind: str) -> _Process:
    if kind not in _running:
        _running[kind] = _Process(kind)
    return _running[kind]


@atexit.register
def _end_all() -> None:
    for process in _running.values():
        process.end()
    _running.clear()
