"""SenML packs in JSON (RFC 8428): records with base fields, resolved, and joined to one row per instant.

A channel is a record's name, with or without the base name before it. `input.key = "bn"` tells streams apart by base name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgelstm.sources.codecs import MISSING, Block, Decode, PayloadError, number

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

VERSION = 10
RELATIVE_S = float(2**28)
"""Times below are relative to now (RFC 8428, 4.5.3)."""
_YEAR_2200_S = 7_258_118_400


class Record(msgspec.Struct, gc=False):
    """What we read of a record; the rest (units, sums, texts) is skipped."""

    bn: str | None = None
    bt: float | None = None
    bv: float | None = None
    bver: int = VERSION
    n: str = ""
    t: float = 0.0
    v: float | None = None
    vb: bool | None = None


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; with `timestamp = "own"` the pack's times count, else its arrival."""
    names = {name: n for n, name in enumerate(entry.channels or channels)}
    parse = msgspec.json.Decoder(list[Record]).decode

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        try:
            records = parse(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            raise PayloadError("nested too deeply" if isinstance(exc, RecursionError) else str(exc)) from None
        rows: dict[tuple[str, float], list[float]] = {}
        base_name, base_time, base_value = "", 0.0, 0.0
        for record in records:
            if record.bver > VERSION:
                raise PayloadError(f"SenML version {record.bver}, expected at most {VERSION}")
            base_name = base_name if record.bn is None else record.bn
            base_time = base_time if record.bt is None else record.bt
            base_value = base_value if record.bv is None else record.bv
            channel = names.get(base_name + record.n, names.get(record.n))
            value = record.v if record.vb is None else float(record.vb)
            if channel is None or value is None:
                continue
            row = rows.setdefault((base_name, base_time + record.t), [MISSING] * len(names))
            row[channel] = number(value + base_value if record.vb is None else value)
        return [block(name, seconds, row, arrival_ns) for (name, seconds), row in sorted(rows.items())]

    def block(name: str, seconds: float, row: list[float], arrival_ns: int) -> Block:
        time_ns = None
        if entry.timestamp == "own":
            if not -RELATIVE_S <= seconds < _YEAR_2200_S:
                raise PayloadError(f"time {seconds!r:.40} is none of this age")
            time_ns = round(seconds * 1e6) * 1000 + (arrival_ns if seconds < RELATIVE_S else 0)
        return Block(np.array([row], np.float32), time_ns, key=name[:200] if entry.key == "bn" else "")

    return decode
