"""Lines of comma-separated values; a line that holds no number is a header, and says what the columns are called."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from edgelstm.sources.codecs import Block, Decode, PayloadError, number_of_text, one_sample
from edgelstm.sources.codecs.times import text_reader

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

MOST_HEADERS = 1000


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; without a header the columns are `timestamp` and `sequence`, if set, then the channels."""
    named = [name for name in (entry.timestamp, entry.sequence) if name not in ("", "arrival")]
    wanted = list(entry.channels or channels)
    unnamed = {name: n for n, name in enumerate([*named, *wanted])}
    columns: dict[str, tuple[int, dict[str, int]]] = {}  # by topic: how many, and where each is
    read_time = text_reader(entry.timestamp_format)

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        try:
            lines = list(csv.reader(payload.decode().splitlines()))
        except (UnicodeDecodeError, csv.Error) as exc:
            raise PayloadError(str(exc)) from None
        blocks = []
        for fields in lines:
            if not fields:
                continue
            if is_header(fields):
                _take_header(topic, fields)
                continue
            blocks.append(sample(fields, *columns.get(topic, (len(named) + len(wanted), unnamed))))
        return blocks

    def _take_header(topic: str, fields: list[str]) -> None:
        found = {name.strip(): n for n, name in enumerate(fields)}
        absent = [name for name in (*named, *wanted) if name not in found]
        if absent:
            raise PayloadError(f'a header without column "{absent[0]:.40}"')
        if len(columns) >= MOST_HEADERS:
            columns.clear()
        columns[topic] = len(fields), found

    def sample(fields: list[str], count: int, at: dict[str, int]) -> Block:
        if len(fields) != count:
            raise PayloadError(f"{len(fields)} columns, expected {count}")
        row = [number_of_text(fields[at[name]]) for name in wanted]
        time_ns = None if entry.timestamp == "arrival" else read_time(fields[at[entry.timestamp]].strip())
        sequence = _sequence(fields[at[entry.sequence]]) if entry.sequence else None
        return one_sample(row, time_ns, sequence)

    return decode


def _sequence(text: str) -> int:
    try:
        found = int(text)
    except ValueError:
        found = -1
    if not 0 <= found < 2**63:
        raise PayloadError(f"sequence {text!r:.40} is no whole number below 2^63")
    return found


def is_header(fields: list[str]) -> bool:
    """Whether no field of a line spells a number."""
    return not any(any(map(str.isdigit, field)) and not field.strip()[0].isalpha() for field in fields)
