"""Where samples come from. A new kind of recording is one new reader, a new live source one file, and one line here.

A live source's `make(entry, address, folder, on_message)` returns a Source; messages flow once it is started.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgelstm.message import Message

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

RECORDINGS = {
    ".csv": "edgelstm.sources.csv_recording",
    ".txt": "edgelstm.sources.csv_recording",
    ".tsv": "edgelstm.sources.csv_recording",
    ".npz": "edgelstm.sources.npz_recording",
    ".parquet": "edgelstm.sources.parquet_recording",
}
"""Ending of a file, without .gz, to the module whose `read` understands it."""

SOURCES = {
    "stdin": "edgelstm.sources.lines_of_stdin",
    "file": "edgelstm.sources.lines_of_file",
    "unix": "edgelstm.sources.lines_of_socket",
    "serial": "edgelstm.sources.serial_frames",
}
"""Scheme of `input.source` (`stdin:`, `file:PATH`, `unix:PATH`, `serial:PATH`) to the module whose `make` opens it; without one, MQTT."""


class Source(Protocol):
    """Samples that do not come from the broker. A message is kept, or sent again, until it is acknowledged.

    ended  why nothing more will come; empty while something may
    state  where it stands, in a word or two, for the health message
    """

    ended: str
    state: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def acknowledge(self, messages: Sequence[Message]) -> None: ...


def make(entry: InputConfig, folder: Path, on_message: Callable[[Message], None]) -> Source:
    """Return the source of an input that names one; `folder` is where it may remember how far it came."""
    scheme, _, address = entry.source.partition(":")
    source: Source = import_module(SOURCES[scheme]).make(entry, address, folder, on_message)
    return source
