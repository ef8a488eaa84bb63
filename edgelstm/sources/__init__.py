"""Where samples come from. A new kind of recording is one new reader, a new live source one file, and one line here.

A live source's `make(entry, address, config, on_message)` returns a Source; messages flow once it is started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from edgelstm.message import Message, Origin

if TYPE_CHECKING:
    from edgelstm.config import Config, InputConfig

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
    "nats": "edgelstm.sources.nats_stream",
}
"""Scheme of `input.source` (`stdin:`, `file:PATH`, `unix:PATH`, `serial:PATH`, `nats:STREAM`) to the module whose `make` opens it; without one, MQTT."""


class Source(Origin, Protocol):
    """Samples that do not come from the broker. A message is kept, or sent again, until it is acknowledged.

    ended   why nothing more will come; empty while something may
    lost    why the daemon has to stop; empty while it need not
    state   where it stands, in a word or two, for the health message
    scored  the number of the last message that is committed, for a source that has a `place`
    counts  what it had to leave out, by the name of a counter
    """

    ended: str = ""
    lost: str = ""
    state: str = ""
    scored: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        return {}

    def start(self) -> None: ...
    def stop(self) -> None: ...


def make(entry: InputConfig, config: Config, on_message: Callable[[Message], None]) -> Source:
    """Return the source of an input that names one; in `config.state_dir` it may remember how far it came."""
    scheme, _, address = entry.source.partition(":")
    source: Source = import_module(SOURCES[scheme]).make(entry, address, config, on_message)
    return source
