"""What the detector says of one sample, or of a block."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.alert import Alert, ChannelReason


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Score, threshold and state at one sample, and the alert event that it decided, if it did.

    score      surprise, -log10 of the probability that a normal sample is this unusual
    state      ok, anomaly
    channels   the reasons, largest share first; filled in while the state is anomaly and with every alert event
    """

    time_ns: int
    score: float
    threshold: float
    state: str
    channels: tuple[ChannelReason, ...] = ()
    alert: Alert | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """The verdicts over a block of samples.

    scores      float64 (samples,)  NaN where there is no verdict
    thresholds  float64 (samples,)  NaN where there is no verdict
    states      int8    (samples,)  -1: no verdict, 0: ok, 1: anomaly
    alerts      every event, in order
    """

    scores: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    states: NDArray[np.int8]
    alerts: list[Alert]
