"""An alert event as the JSON object that is published, printed and stored: one form everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from edgelstm.alert import Alert, ChannelReason, alert_id

PAYLOAD_VERSION = 1
FIELDS = (
    "event_type", "v", "id", "node", "stream", "topic", "ts", "severity", "score", "peak_score", "threshold", "model",
    "model_version", "channels", "reasons", "opened", "duration_s", "samples", "resumed", "note",
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
    """Return the alert flat, `event_type` first; `channels` are shares, `reasons` say what was expected of each."""
    return {
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


def event_line(payload: Mapping[str, Any]) -> str:
    """Return one event for a reader: the channels that make up most of it, each with what was expected."""
    parts: list[str] = []
    covered = 0.0
    for reason in payload["reasons"]:
        if covered >= 0.8 or len(parts) == 3:
            break
        covered += reason["share"]
        value = "missing" if reason["value"] is None else f"{reason['value']:.4g}"
        parts.append(
            f"{reason['name']} {reason['share']:.0%} ({_signal(reason)}{value}, expected {reason['low']:.4g}..{reason['high']:.4g})"
        )
    note = f"  [{payload['note']}]" if payload["note"] else ""
    return (
        f"{payload['ts']}  {payload['event_type']:<7}  {payload['id']}  {payload['severity']:<8}  "
        f"score {payload['score']:.2f} / {payload['threshold']:.2f}  {', '.join(parts)}{note}"
    )


def _signal(reason: Mapping[str, Any]) -> str:
    return f"{reason['signal']}: " if reason.get("signal") else ""  # nodes before it was said do not say it


def _reason(reason: ChannelReason) -> dict[str, Any]:
    return {
        "name": reason.name,
        "value": reason.value,
        "expected": reason.expected,
        "low": reason.low,
        "high": reason.high,
        "share": reason.share,
        "signal": reason.signal,
        "signal_share": reason.signal_share,
    }
