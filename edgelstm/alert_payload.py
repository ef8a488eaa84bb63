"""An alert event as the JSON object that is published, printed and stored: one form everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from edgelstm.alert import Alert, ChannelReason, alert_id
from edgelstm.signal_words import AS_USUAL
from edgelstm.words import span

PAYLOAD_VERSION = 1
MOST_TOLD = 3
ENOUGH_TOLD = 0.8
"""A line tells of channels until they make up so much of the score."""
FIELDS = (
    "event_type", "v", "id", "node", "stream", "topic", "ts", "severity", "score", "peak_score", "threshold", "model",
    "model_version", "channels", "reasons", "opened", "duration_s", "samples", "resumed", "note", "text",
)  # fmt: skip


def timestamp(time_ns: int) -> str:
    """Return RFC 3339 in UTC, with milliseconds, or as many digits as the time has."""
    seconds, rest = divmod(time_ns, 10**9)
    digits = f"{rest:09d}"
    while len(digits) > 3 and digits[-3:] == "000":
        digits = digits[:-3]
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{digits}Z"


def alert_payload(
    alert: Alert,
    *,
    node: str,
    stream: str,
    model: str,
    model_digest: str,
    topic: str | None = None,
    resumed: bool = False,
) -> dict[str, Any]:
    """Return the alert flat, `event_type` first; `channels` are shares, `reasons` say what was expected of each, `text` all of it."""
    payload = {
        "event_type": alert.event_type,
        "v": PAYLOAD_VERSION,
        "id": alert_id(node, stream, model_digest, alert.opened_ns),
        "node": node,
        "stream": stream,
        "topic": topic,
        "ts": timestamp(alert.time_ns),
        "severity": alert.severity,
        "score": alert.score,
        "peak_score": alert.peak_score,
        "threshold": alert.threshold,
        "model": model,
        "model_version": model_digest[:12],
        "channels": {reason.name: reason.share for reason in alert.channels},
        "reasons": [_reason(reason) for reason in alert.channels],
        "opened": timestamp(alert.opened_ns),
        "duration_s": (alert.time_ns - alert.opened_ns) / 1e9,
        "samples": alert.samples,
        "resumed": resumed,
        "note": alert.note,
    }
    return payload | {"text": alert_text(payload)}


def alert_text(payload: Mapping[str, Any]) -> str:
    """Return what an event means, in a sentence: of a channel that is unusual in which way, or for how long it was."""
    if payload["event_type"] == "cleared":
        return f"over after {span(payload['duration_s'])}" + (
            f": {payload['note']}" if payload["note"] else ""
        )
    told = "; ".join(f"{name} {says}" for name, says, _ in _told(payload))
    note = f" ({payload['note']})" if payload["note"] else ""
    return f"{told or 'unusual'}{note}"


def event_line(payload: Mapping[str, Any]) -> str:
    """Return one event for a reader: how unusual, and the channels that make up most of it, each in words.

    The severity is that of the peak: where the score has fallen since then, both are said.
    """
    now, peak = (f"{payload[name]:.2f}" for name in ("score", "peak_score"))
    scores = f"score {now}" if peak == now else f"score {now} (peak {peak})"
    if payload["event_type"] == "cleared":
        text = alert_text(payload)
    else:
        text = "; ".join(f"{name} ({share:.0%}) {says}" for name, says, share in _told(payload))
        text += f"  [{payload['note']}]" if payload["note"] else ""
    return (
        f"{payload['ts']}  {payload['event_type']:<7}  {payload['id']}  {payload['severity']:<8}  "
        f"{scores} / {payload['threshold']:.2f}  {text}"
    )


def _told(payload: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Return the channels that make up most of the score: name, what is said of each, and share."""
    told: list[tuple[str, str, float]] = []
    for reason in payload["reasons"]:
        if sum(share for _, _, share in told) >= ENOUGH_TOLD or len(told) == MOST_TOLD:
            break
        says = reason.get("says") or _of_older(reason)
        if (
            says == AS_USUAL and payload["event_type"] == "updated"
        ):  # of a peak that waited for the update interval
            says += " again"
        told.append((reason["name"], says, reason["share"]))
    return told


def _of_older(reason: Mapping[str, Any]) -> str:
    """Return what a node says that does not yet say it in words."""
    value = "missing" if reason["value"] is None else f"{reason['value']:.4g}"
    return f"is {value}, expected {reason['low']:.4g} to {reason['high']:.4g}"


def _reason(reason: ChannelReason) -> dict[str, Any]:
    return {
        "name": reason.name,
        "value": reason.value,
        "judged": reason.judged,
        "expected": reason.expected,
        "low": reason.low,
        "high": reason.high,
        "share": reason.share,
        "signal": reason.signal,
        "signal_share": reason.signal_share,
        "says": reason.says,
    }
