"""A topic per channel, a number per message (as Tasmota, ESPHome and many PLC gateways do), joined in time.

Rows lie on the model's nominal period. A row holds the newest value of every channel at that instant; one that is older
than `join_tolerance` is missing. A row is made when something of the stream arrives after its instant.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from edgelstm.config import stream_name
from edgelstm.sources.codecs import MISSING, Block, Decode, PayloadError, number_of_text

if TYPE_CHECKING:
    from edgelstm.config import InputConfig

MOST_JOINED = 10_000
"""Streams whose last values are remembered; beyond, the one that was silent for longest is forgotten."""


class Joined:
    """The newest value of every channel of one stream."""

    def __init__(self, channels: int, period_ns: int, tolerance_ns: int) -> None:
        self._period_ns, self._tolerance_ns = period_ns, tolerance_ns
        self._values = np.full(channels, MISSING, np.float32)
        self._times_ns = np.full(channels, -(2**62), np.int64)
        self._row = 0  # the next instant, in periods; 0 before the first value

    def take(self, channel: int, value: float, time_ns: int) -> list[Block]:
        """Return the rows whose instants are before `time_ns`, then take in the value."""
        rows = []
        newest_ns = int(self._times_ns.max()) + self._tolerance_ns  # after it a row would hold nothing
        while self._row and self._row * self._period_ns <= min(time_ns - 1, newest_ns):
            at_ns = self._row * self._period_ns
            fresh = at_ns - self._times_ns <= self._tolerance_ns
            rows.append(Block(np.where(fresh, self._values, np.float32(MISSING)).reshape(1, -1), at_ns))
            self._row += 1
        self._row = max(self._row, -(-time_ns // self._period_ns))
        self._values[channel], self._times_ns[channel] = value, max(time_ns, int(self._times_ns[channel]))
        return rows


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int) -> Decode:
    """Return the decoder; `input.channel` is the template that makes a channel's name of a topic."""
    names = {name: n for n, name in enumerate(entry.channels or channels)}
    tolerance_ns = int(entry.join_tolerance * 1e9) or 2 * period_ns
    streams: OrderedDict[str, Joined] = OrderedDict()

    def decode(topic: str, payload: bytes, arrival_ns: int) -> list[Block]:
        levels = topic.split("/")
        name = entry.channel.format(*levels, *[""] * (32 - len(levels)))
        if name not in names:
            raise PayloadError(f'the topic is of channel "{name:.40}", which the model does not have')
        value = number_of_text(payload[:64].decode("ascii", "replace"))
        stream = stream_name(entry, topic)
        if stream not in streams:
            streams[stream] = Joined(len(names), period_ns, tolerance_ns)
            if len(streams) > MOST_JOINED:
                streams.popitem(last=False)
        streams.move_to_end(stream)
        return streams[stream].take(names[name], value, arrival_ns)

    return decode
