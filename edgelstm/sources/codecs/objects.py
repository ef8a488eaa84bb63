"""JSON or MessagePack objects, one or an array of them: channels, time, sequence and key by dotted path.

null or an absent key is a missing value; an object with none of the keys is no sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from edgelstm.sources.codecs import MISSING, Block, Decode, PayloadError, number, one_sample
from edgelstm.sources.codecs.times import reader

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

_DECODERS = {"json": msgspec.json.Decoder, "msgpack": msgspec.msgpack.Decoder}


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder of an input; its `channels` are paths, by default the names of the model's channels."""
    paths = entry.channels or channels
    time_path = () if entry.timestamp == "arrival" else tuple(entry.timestamp.split("."))
    sequence_path = tuple(entry.sequence.split(".")) if entry.sequence else ()
    key_path = tuple(entry.key.split(".")) if entry.key else ()
    flat = not any("." in path for path in (*paths, entry.timestamp, entry.sequence, entry.key))
    decoder = _DECODERS[entry.format]
    if flat:
        payload_type = _payload_type(paths, time_path, sequence_path, key_path)
        parse = decoder(payload_type | list[payload_type]).decode  # type: ignore[valid-type]
        numbers = _flat_numbers(len(paths))
    else:
        parse = decoder(dict[str, Any] | list[dict[str, Any]]).decode
        numbers = _nested_numbers([tuple(path.split(".")) for path in paths])
    read_time = reader(entry.timestamp_format)

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        try:
            found = parse(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            raise PayloadError(_short(exc)) from None
        if type(found) is list:
            return [sample(one) for one in found]
        return [sample(found)]

    def sample(found: Any) -> Block:
        values = numbers(found)
        if all(value is UNSET for value in values):
            raise PayloadError(f"holds none of the channels {', '.join(paths)}")
        row = [MISSING if value is UNSET else number(value) for value in values]
        time_ns = read_time(at(found, time_path, "time_")) if time_path else None
        sequence = at(found, sequence_path, "sequence_") if sequence_path else None
        if sequence is not None and (type(sequence) is not int or not 0 <= sequence < 2**63):
            raise PayloadError(f"{entry.sequence} is {sequence!r:.60}, no whole number below 2^63")
        key = at(found, key_path, "key_") if key_path else ""
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise PayloadError(f"{entry.key} is {key!r:.60}, no text or whole number to tell streams apart")
        return one_sample(row, time_ns, sequence, str(key)[:200])

    def at(found: Any, path: tuple[str, ...], field: str) -> Any:
        value = getattr(found, field) if flat else _walk(found, path)
        return None if value is UNSET else value

    return decode


def _payload_type(
    paths: tuple[str, ...],
    time_path: tuple[str, ...],
    sequence_path: tuple[str, ...],
    key_path: tuple[str, ...],
) -> Any:
    """Return a type to decode straight into; other keys of the payload are skipped, not built."""
    fields: list[Any] = [
        (f"c{n}", float | None | UnsetType, msgspec.field(name=path, default=UNSET))
        for n, path in enumerate(paths)
    ]
    if time_path:
        fields.append(("time_", float | str | int, msgspec.field(name=time_path[0])))
    if sequence_path:
        fields.append(("sequence_", int | None, msgspec.field(name=sequence_path[0], default=None)))
    if key_path:
        fields.append(("key_", str | int, msgspec.field(name=key_path[0])))
    required = ("time_", "key_")
    return msgspec.defstruct("Payload", sorted(fields, key=lambda field: field[0] not in required), gc=False)


def _flat_numbers(count: int) -> Callable[[Any], list[Any]]:
    names = [f"c{n}" for n in range(count)]
    return lambda found: [getattr(found, name) for name in names]


def _nested_numbers(paths: list[tuple[str, ...]]) -> Callable[[Any], list[Any]]:
    return lambda found: [_walk(found, path) for path in paths]


def _walk(found: Any, path: tuple[str, ...]) -> Any:
    """Return what is there, UNSET where nothing is."""
    for key in path:
        found = found.get(key, UNSET) if isinstance(found, dict) else UNSET
    return found


def _short(exc: Exception) -> str:
    return "nested too deeply" if isinstance(exc, RecursionError) else str(exc).split("\n")[0]
