"""What the detector says of one sample."""

from __future__ import annotations

import msgspec

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
