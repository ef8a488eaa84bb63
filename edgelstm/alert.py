"""An alert's life: raised, updated, cleared, under one id that a repeated decision finds again."""

from __future__ import annotations

import hashlib

import msgspec

EVENT_TYPES = ("raised", "updated", "cleared")


class ChannelReason(msgspec.Struct, frozen=True, kw_only=True):
    """What one channel showed, what was expected of it, its share of the score, and a sentence that says so."""

    name: str
    value: float | None  # None: missing
    judged: float | None = None  # the value, or a mean of the last ones; None where the signal judges neither
    expected: float | None  # of what was judged
    low: float | None  # the band in which it usually is
    high: float | None
    share: float  # 0 to 1; shares add up to 1
    signal: str | None = (
        None  # which of the channel's signals says most; None: none spoke, or a device does not say
    )
    signal_share: float | None = None  # its part of the share
    says: str  # what follows the channel's name in a sentence


class OpenAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert between raised and cleared: what a restarted detector has to know of it.

    Its severity and peak may have grown since they were last announced, in raised or updated: that is still to be said.
    """

    opened_ns: int
    peak_score: float
    samples: int  # since it opened
    severity: str
    announced_ns: int
    announced_peak: float
    announced_severity: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One event in an alert's life, decided by one sample."""

    event_type: str  # one of EVENT_TYPES
    time_ns: int  # of the sample that decided it
    opened_ns: int  # of the sample that raised it; with the stream it is what the id is made of
    severity: str  # warning, critical
    score: float
    peak_score: float
    threshold: float
    samples: int  # since it opened
    channels: tuple[ChannelReason, ...]  # largest share first
    note: str = ""  # such as: the new level was adopted


def alert_id(node: str, stream: str, model_digest: str, opened_ns: int) -> str:
    """Return the id of the alert that opened then, 26 characters; the same whenever it is decided again."""
    content = "\0".join((node, stream, model_digest, str(opened_ns))).encode()
    return hashlib.sha256(content).hexdigest()[:26]
