"""The table of payload formats: one file per format. A new format is one file and one line here.

A codec's `make(entry, channels)` returns a function from a payload to readings; it raises PayloadError with a short
reason, which is counted, for anything that is not a sample.
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

CODECS = {"json": "json_flat", "raw": "raw_float32"}


class PayloadError(ValueError):
    """A payload is not what its input is configured for; the message is a short reason."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample as a payload has it; `time_ns` is None where it has no time of its own.

    samples_before_last  in a batch: how many samples follow this one, a period apart
    """

    values: NDArray[np.float32]
    time_ns: int | None = None
    sequence: int | None = None
    samples_before_last: int = 0


Decode = Callable[[bytes], list[Reading]]


def make(entry: InputConfig, channels: tuple[str, ...]) -> Decode:
    """Return the decoder of an input; `channels` are the model's, in order."""
    decode: Decode = import_module(f"edgelstm.sources.codecs.{CODECS[entry.format]}").make(entry, channels)
    return decode
