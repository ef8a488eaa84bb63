"""JSON Schemas (2020-12) of what the daemon publishes and of its configuration, written by hand from docs/topics.md."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "format": "date-time"}
_COUNTERS = {"type": "object", "additionalProperties": _COUNT}
_LINKS = ("in", "out")


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(**properties: Any) -> dict[str, Any]:
    """Return an object that has all of these; readers have to ignore what they do not know, so more may come."""
    return {"type": "object", "properties": properties, "required": sorted(properties)}


_REASON = _object(
    name=_TEXT, value=_or_null(_NUMBER), judged=_or_null(_NUMBER), expected=_or_null(_NUMBER), low=_or_null(_NUMBER),
    high=_or_null(_NUMBER), says=_TEXT, share={"type": "number", "minimum": 0, "maximum": 1}, signal=_or_null(_TEXT),
    signal_share=_or_null({"type": "number", "minimum": 0, "maximum": 1}),
)  # fmt: skip
_V = {"const": 1}
_SEVERITY = {"enum": ["warning", "critical"]}
_PROGRESS = _object(
    version=_TEXT, phase={"enum": ["in force", "shadow", "probation", "unknown"]}, candidate=_or_null(_TEXT),
    samples=_or_null(_COUNT), samples_wanted=_or_null(_COUNT),
    last_rollback=_or_null(_object(version=_TEXT, reason=_TEXT, ts=_TIME)),
)  # fmt: skip

PAYLOADS: dict[str, dict[str, Any]] = {
    "alert": _object(
        event_type={"enum": ["raised", "updated", "cleared"]}, v=_V, id={"type": "string", "minLength": 26, "maxLength": 26},
        node=_TEXT, stream=_TEXT, topic=_or_null(_TEXT), ts=_TIME, severity=_SEVERITY, score=_NUMBER,
        peak_score=_NUMBER, threshold=_NUMBER, model=_TEXT, model_version=_TEXT,
        channels={"type": "object", "additionalProperties": _NUMBER}, reasons={"type": "array", "items": _REASON},
        opened=_TIME, duration_s=_NUMBER, samples=_COUNT, resumed={"type": "boolean"}, note=_TEXT, text=_TEXT,
    ),
    "state": _object(
        v=_V, ts=_or_null(_TIME), state={"enum": ["warming", "ok", "anomaly", "stale", "paused"]}, score=_or_null(_NUMBER),
        threshold=_NUMBER, problem={"enum": ["ON", "OFF"]}, alert_id=_or_null(_TEXT), severity=_or_null(_SEVERITY),
        samples=_COUNT, samples_until_ready=_COUNT, counters=_COUNTERS, model=_TEXT, model_version=_TEXT, topic=_TEXT,
        resumed={"type": "boolean"},
    ),
    "score": _object(v=_V, ts=_TIME, score=_NUMBER, threshold=_NUMBER, state={"enum": ["ok", "anomaly"]}),
    "info": _object(
        v=_V, version=_TEXT, started=_TIME, broker=_TEXT, kernel=_TEXT, durability={"enum": ["none", "alerts", "strict"]},
        models={"type": "object", "additionalProperties": _TEXT}, streams=_COUNT,
    ),
    "health": _object(
        v=_V, uptime_s=_NUMBER, rss_bytes=_COUNT, streams=_COUNT, open_alerts=_COUNT, queue=_COUNT, outbox=_COUNT,
        connected=_object(**{link: {"type": "boolean"} for link in _LINKS}), reconnects=_object(**dict.fromkeys(_LINKS, _COUNT)),
        errors=_object(**dict.fromkeys(_LINKS, _TEXT)), refused_topics={"type": "array", "items": _TEXT},
        sources={"type": "object", "additionalProperties": _TEXT}, models={"type": "object", "additionalProperties": _PROGRESS},
        counters=_COUNTERS,
    ),
    "event": _object(v=_V, ts=_TIME, event=_TEXT, detail=_TEXT),
    "response": {
        "type": "object",
        "properties": {"transaction": {}, "status": {"enum": ["ok", "error"]}, "data": {}, "error": _TEXT},
        "required": ["status", "transaction"],
    },
}  # fmt: skip


def payload_schema(name: str) -> dict[str, Any]:
    """Return the schema of one payload."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"edgelstm {name}",
        **PAYLOADS[name],
    }


def config_schema() -> dict[str, Any]:
    """Return the schema of the configuration, from the records that read it; durations and sizes are text."""
    from edgelstm.config import Config

    schema = _of_type(Config)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgelstm configuration",
        **schema,
    }


def _of_type(kind: Any) -> dict[str, Any]:
    import msgspec

    from edgelstm.config import Duration, Size

    plain: dict[Any, dict[str, Any]] = {
        Duration: {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|min|h|d)$"},
        Size: {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(B|KiB|MiB|GiB)$"},
        str: _TEXT, int: {"type": "integer"}, bool: {"type": "boolean"},
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _of_type(get_args(kind)[0])}
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return {"type": "object"}
    hints, fields = get_type_hints(kind), msgspec.structs.fields(kind)
    return {
        "type": "object",
        "description": (kind.__doc__ or "").split("\n")[0],
        "properties": {field.name: _of_type(hints[field.name]) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }
