"""Child processes that cannot outlive us: not after an error, not after Ctrl-C, on Linux not even after SIGKILL."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
STOP_S = 8.0


class Children:
    """The processes of a demonstration, each with a log file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        atexit.register(self.stop)

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with open(self.log(name), "wb") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we stop them in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self._running[name] = child
        return child

    def edgelstm(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a verb of this program."""
        return self.start(name, [sys.executable, "-m", "edgelstm", *arguments])

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def ended(self) -> str | None:
        """Return the name of a child that has ended by itself, None while all run."""
        return next((name for name, child in self._running.items() if child.poll() is not None), None)

    def stop(self) -> None:
        """Stop what was started last first, the broker last of all; kill what does not listen."""
        for name in reversed(list(self._running)):
            child = self._running.pop(name)
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
