"""`source = "serial:PATH"` or `"serial:PATH@BAUD"`: frames of a microcontroller on a serial line: samples, or samples and verdicts.

A line that is not there, or goes away, is opened again every second: a device may be plugged in later, or reset.
"""

from __future__ import annotations

import logging
import os
import selectors
import termios
import threading
import tty
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.errors import ConfigError
from edgelstm.message import Message
from edgelstm.sources import Source
from edgelstm.sources.frames import Frames
from edgelstm.sources.lines import Lines

if TYPE_CHECKING:
    from edgelstm.config import Config, InputConfig

_log = logging.getLogger(__name__)
POLL_S, REOPEN_S = 0.25, 1.0
DEFAULT_BAUD = 115_200


def make(
    entry: InputConfig, address: str, config: Config, on_message: Callable[[Message], None]
) -> SerialSource:
    """Return the source; raises ConfigError for a speed that serial lines do not have."""
    del config
    path, _, speed = address.partition("@")
    baud = speed or str(DEFAULT_BAUD)
    if not baud.isdigit() or not hasattr(termios, f"B{baud}"):
        raise ConfigError(
            f'input "{entry.name}": source: "{speed}" is no speed of a serial line, such as 115200'
        )
    return SerialSource(entry.name, Path(path), getattr(termios, f"B{baud}"), on_message)


class SerialSource(Source):
    """Reads one line in a thread of its own. `frames` has the counts of what was damaged, repeated or missing."""

    def __init__(self, topic: str, path: Path, speed: int, on_message: Callable[[Message], None]) -> None:
        self.ended, self.state = "", "waiting for the line"
        self.frames = Frames()
        self._path, self._speed = path, speed
        self._samples = Lines(topic, self, on_message)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"serial-{topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._samples.stop()
        self._thread.join()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self._samples.acknowledged(len(messages))

    @property
    def counts(self) -> Mapping[str, int]:
        f = self.frames
        return {
            "serial_frames": f.taken,
            "serial_frames_missing": f.missing,
            "serial_frames_repeated": f.repeats,
            "serial_bytes_damaged": f.damaged,
            "serial_device_resets": f.resets,
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                line = _open(self._path, self._speed)
            except (OSError, termios.error) as exc:
                self.state = f"cannot open the line: {getattr(exc, 'strerror', None) or exc}"
                self._stopping.wait(REOPEN_S)
                continue
            try:
                self._read(line)
            except OSError as exc:
                _log.warning("event=serial_lost path=%s reason=%s", self._path, exc.strerror)
                self._stopping.wait(REOPEN_S)
            finally:
                os.close(line)

    def _read(self, line: int) -> None:
        self._tell()
        with selectors.DefaultSelector() as ready:
            ready.register(line, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if not ready.select(POLL_S):
                    continue
                data = os.read(line, 4096)
                if not data:
                    raise OSError(0, "the line was closed")
                for frame in self.frames.feed(data):
                    if not self._samples.hand_on(frame.payload):
                        return
                self._tell()

    def _tell(self) -> None:
        f = self.frames
        self.state = f"reading, {f.missing} frames missing, {f.repeats} repeated, {f.damaged} bytes damaged, {f.resets} resets"


def _open(path: Path, speed: int) -> int:
    """Return the open line, raw, eight bits, without flow control."""
    line = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if os.isatty(line):
            tty.setraw(line)
            attributes = termios.tcgetattr(line)
            attributes[4] = attributes[5] = speed
            termios.tcsetattr(line, termios.TCSANOW, attributes)
        os.set_blocking(line, True)
    except BaseException:
        os.close(line)
        raise
    return line
