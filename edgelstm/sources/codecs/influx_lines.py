r"""InfluxDB line protocol, as Telegraf writes it: `measurement,tag=value field=1.5,other=2i 1767225600000000000`.

Channels are field names; `input.key` names tags, separated by commas, whose values tell streams apart. Commas, spaces and
equals signs in names are escaped by a backslash; text fields are in double quotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgelstm.sources.codecs import MISSING, Block, Decode, PayloadError, number_of_text, one_sample
from edgelstm.sources.codecs.times import reader

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

_BOOLEANS = dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), 0.0
)


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; lines that hold none of the channels are of no interest and give nothing."""
    wanted = entry.channels or channels
    tags = [name.strip() for name in entry.key.split(",")] if entry.key else []
    read_time = reader(entry.timestamp_format)

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        try:
            text = payload.decode()
        except UnicodeDecodeError as exc:
            raise PayloadError(str(exc)) from None
        blocks = [sample(line) for line in text.split("\n") if line.strip() and not line.startswith("#")]
        return [block for block in blocks if block is not None]

    def sample(line: str) -> Block | None:
        parts = _split(line.strip("\r "), " ")
        if len(parts) not in (2, 3):
            raise PayloadError(
                f"{len(parts)} parts in a line, expected measurement, fields and perhaps a time"
            )
        found = _pairs(parts[1])
        if not any(name in found for name in wanted):
            return None
        row = [_value(found[name]) if name in found else MISSING for name in wanted]
        time_ns = None
        if entry.timestamp == "own":
            if len(parts) == 2:
                raise PayloadError("a line without a time")
            try:
                time_ns = read_time(int(parts[2]))
            except ValueError as exc:
                raise PayloadError(str(exc)) from None
        return one_sample(row, time_ns, key=_key(parts[0]))

    def _key(series: str) -> str:
        if not tags:
            return ""
        _, _, text = series.partition(",")
        found = _pairs(text) if text else {}
        return "_".join(found.get(name, "") for name in tags)[:200]

    return decode


def _value(text: str) -> float:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[:1] == '"':
        raise PayloadError(f"field {text:.40} is text, no number")
    return number_of_text(text[:-1] if text[-1:] in ("i", "u") else text)


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for part in _split(text, ","):
        name, *rest = _split(part, "=")
        if not rest:
            raise PayloadError(f"{part!r:.40} is no name=value")
        pairs[name.replace("\\", "")] = "=".join(rest)
    return pairs


def _split(text: str, separator: str) -> list[str]:
    """Split at separators that are neither escaped nor in quotes."""
    if "\\" not in text and '"' not in text:
        return text.split(separator)
    parts, start, quoted, skip = [], 0, False, False
    for at, character in enumerate(text):
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]
