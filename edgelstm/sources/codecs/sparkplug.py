"""Sparkplug B (Eclipse Sparkplug 3.0): births say what metrics there are, data say which have changed.

Topics are `spBv1.0/<group>/<type>/<node>[/<device>]`. A metric that data does not mention has not changed; a channel is
missing only after its birth or data said null. Aliases hold from one birth to the next. Where a birth is unknown or the
sequence of a node has a gap, values cannot be trusted: the payload is refused and the node is asked for a rebirth.
"""

from __future__ import annotations

import struct
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from edgelstm.sources.codecs import MISSING, Block, Decode, PayloadError, number, one_sample
from edgelstm.sources.codecs.protobuf_wire import field, fields
from edgelstm.sources.codecs.times import reader

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

MOST_NODES, MOST_METRICS = 10_000, 10_000
REBIRTH_S = 10.0
"""A node is asked for a rebirth at most so often."""
PAYLOAD_TIME, PAYLOAD_METRIC, PAYLOAD_SEQ = 1, 2, 3
NAME, ALIAS, TIMESTAMP, DATATYPE, IS_NULL = 1, 2, 3, 4, 7
INT, LONG, FLOAT, DOUBLE, BOOLEAN = 10, 11, 12, 13, 14
SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
"""Data types Int8 to Int64; their values come in two's complement."""
BOOLEAN_TYPE = 11


class Device:
    """What is known of a node, or of a device below it, since its birth."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}  # by alias
        self.types: dict[str, int] = {}
        self.values: dict[str, float] = {}


class Node:
    """An edge node: its devices ("" is itself), and the sequence that all its messages share."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.sequence: int | None = None
        self.asked_s = -REBIRTH_S


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; channels are metric names."""
    wanted = entry.channels or channels
    read_time = reader("unix_ms")
    nodes: OrderedDict[str, Node] = OrderedDict()

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        levels = topic.split("/")
        if len(levels) not in (4, 5) or levels[0] != "spBv1.0":
            raise PayloadError("the topic is not spBv1.0/<group>/<type>/<node>[/<device>]")
        group, kind, node_id, device_id = (
            levels[1],
            levels[2],
            levels[3],
            levels[4] if len(levels) == 5 else "",
        )
        node = nodes.setdefault(f"{group}/{node_id}", Node())
        nodes.move_to_end(f"{group}/{node_id}")
        if len(nodes) > MOST_NODES:
            nodes.popitem(last=False)
        if kind == "NDEATH":
            node.devices.clear()
            return []
        if kind == "DDEATH":
            node.devices.pop(device_id, None)
            return []
        if kind not in ("NBIRTH", "DBIRTH", "NDATA", "DDATA"):
            raise PayloadError(f"message type {kind:.20} carries no samples")
        time_ms, sequence, metrics = _message(payload)
        _check_sequence(node, kind, sequence, lambda: _rebirth(node, group, node_id))
        if kind.endswith("BIRTH"):
            if kind == "NBIRTH":
                node.devices.clear()
            node.devices[device_id] = Device()
        device = node.devices.get(device_id)
        if device is None:
            raise PayloadError("data before a birth", _rebirth(node, group, node_id))
        named = 0
        for metric in metrics:
            name = _take(device, metric, wanted, birth=kind.endswith("BIRTH"))
            if name is None:
                raise PayloadError("an alias that no birth has named", _rebirth(node, group, node_id))
            named += name in wanted
        if not named:
            return []
        row = [device.values.get(name, MISSING) for name in wanted]
        times_ms = [found for metric in metrics if isinstance(found := metric.get(TIMESTAMP), int)]
        newest_ms = max(times_ms, default=time_ms)
        if entry.timestamp == "arrival":
            return [one_sample(row)]
        return [one_sample(row, read_time(newest_ms))]

    return decode


def _message(payload: bytes) -> tuple[int | None, int | None, list[dict[int, int | bytes]]]:
    found: dict[int, int | bytes] = {}
    metrics: list[dict[int, int | bytes]] = []
    for tag, value in fields(payload):
        if tag == PAYLOAD_METRIC:
            if not isinstance(value, bytes) or len(metrics) >= MOST_METRICS:
                raise PayloadError("no Sparkplug payload: its metrics are none, or too many")
            metrics.append(dict(fields(value)))
        else:
            found[tag] = value
    time_ms, sequence = found.get(PAYLOAD_TIME), found.get(PAYLOAD_SEQ)
    if isinstance(time_ms, bytes) or isinstance(sequence, bytes):
        raise PayloadError("no Sparkplug payload: time or sequence is no number")
    return time_ms, sequence, metrics


def _check_sequence(node: Node, kind: str, sequence: int | None, rebirth: object) -> None:
    """Follow the sequence of a node, 0 to 255 and round again; raises PayloadError at a gap."""
    if kind == "NBIRTH":
        node.sequence = sequence
        return
    before, node.sequence = node.sequence, sequence
    if before is None or sequence is None or sequence == (before + 1) % 256:
        return
    node.devices.clear()
    assert callable(rebirth)
    raise PayloadError(f"sequence {sequence} after {before}: a message was lost", rebirth())


def _rebirth(node: Node, group: str, node_id: str) -> tuple[str, bytes] | None:
    """Return the command that asks a node to be born again, unless it was asked just now."""
    now_s = time.monotonic()
    if now_s - node.asked_s < REBIRTH_S:
        return None
    node.asked_s = now_s
    metric = field(NAME, b"Node Control/Rebirth") + field(DATATYPE, BOOLEAN_TYPE) + field(BOOLEAN, 1)
    payload = field(PAYLOAD_TIME, time.time_ns() // 10**6) + field(PAYLOAD_METRIC, metric)
    return f"spBv1.0/{group}/NCMD/{node_id}", payload


def _take(
    device: Device, metric: dict[int, int | bytes], wanted: tuple[str, ...], *, birth: bool
) -> str | None:
    """Take in a metric; return its name, None where its alias is unknown. Only channels' values are kept."""
    name, alias, datatype = metric.get(NAME), metric.get(ALIAS), metric.get(DATATYPE)
    if isinstance(name, bytes):
        text = name.decode("utf-8", "replace")
    elif isinstance(alias, int) and alias in device.names:
        text = device.names[alias]
    else:
        return None
    if birth and isinstance(alias, int):
        device.names[alias] = text
    if text in wanted:
        if isinstance(datatype, int):
            device.types[text] = datatype
        device.values[text] = MISSING if metric.get(IS_NULL) else _value(metric, device.types.get(text, 0))
    return text


def _value(metric: dict[int, int | bytes], datatype: int) -> float:
    for tag, form in ((FLOAT, "<f"), (DOUBLE, "<d")):
        packed = metric.get(tag)
        if isinstance(packed, bytes) and len(packed) == struct.calcsize(form):
            return number(struct.unpack(form, packed)[0])
    for tag in (INT, LONG, BOOLEAN):
        value = metric.get(tag)
        if isinstance(value, int):
            bits = SIGNED_BITS.get(datatype)
            if bits:
                value &= (1 << bits) - 1
                value -= (value >> bits - 1) << bits
            return number(value)
    raise PayloadError("a metric that is a channel has no number")
