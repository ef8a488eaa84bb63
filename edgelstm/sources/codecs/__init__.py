"""The table of payload formats: one file per format. A new format is one file and one line here.

A codec's `make(entry, channels, period_ns)` returns a function from a topic, a payload and its time of arrival to blocks
of samples; it raises PayloadError with a short reason, which is counted, for anything that is not a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgelstm.config import InputConfig
    from edgelstm.device_verdict import DeviceVerdict

CODECS = {
    "json": "objects",
    "msgpack": "objects",
    "raw": "raw_float32",
    "scalar": "scalar",
    "csv": "csv_lines",
    "influx": "influx_lines",
    "senml": "senml",
    "sparkplug": "sparkplug",
    "device": "device",
}
JOINED_TOPICS = frozenset({"scalar", "sparkplug"})
"""Formats in which several topics feed one stream."""
MISSING = float("nan")
FLOAT32_MAX = 3.4028235e38


class PayloadError(ValueError):
    """A payload is not what its input is configured for; the message is a short reason.

    reply  a topic and a payload that ask the sender for what is missing, None for most formats
    """

    def __init__(self, reason: str, reply: tuple[str, bytes] | None = None) -> None:
        super().__init__(reason[:150])
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples of one stream, a period apart: most payloads hold one of one sample.

    values    float32 (samples, channels), NaN where missing
    time_ns   of the last sample, None where the payload has no time of its own
    sequence  of the last sample
    key       what the payload itself says about whose sample it is
    verdict   what the device itself decided of it, where it has a detector: then there is one sample
    """

    values: NDArray[np.float32]
    time_ns: int | None = None
    sequence: int | None = None
    key: str = ""
    verdict: DeviceVerdict | None = None


Decode = Callable[[str, bytes, int], list[Block]]


def make(entry: InputConfig, channels: tuple[str, ...], period_ns: int = 10**9) -> Decode:
    """Return the decoder of an input; `channels` are the model's, in order, `period_ns` what it was trained at."""
    decode: Decode = import_module(f"edgelstm.sources.codecs.{CODECS[entry.format]}").make(
        entry, channels, period_ns
    )
    return decode


def number(value: object) -> float:
    """Return a value as a finite float32's float, NaN for None; raises PayloadError."""
    if value is None:
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PayloadError(f"{value!r:.60} is no number")
    try:
        found = float(value)
    except OverflowError:
        raise PayloadError("a number is beyond float32") from None
    if not abs(found) <= FLOAT32_MAX:
        raise PayloadError("a number is beyond float32")
    return found


def number_of_text(text: str) -> float:
    """Return what a text spells, NaN where it is empty; raises PayloadError."""
    if not text.strip():
        return MISSING
    try:
        return number(float(text))
    except ValueError:
        raise PayloadError(f"{text!r:.60} is no number") from None


def one_sample(
    row: list[float], time_ns: int | None = None, sequence: int | None = None, key: str = ""
) -> Block:
    """Return a block of one sample."""
    return Block(np.array([row], np.float32), time_ns, sequence, key)
