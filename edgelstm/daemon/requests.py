"""What a running daemon can be asked: the table of verbs, and which of them MQTT may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm.daemon.service import Service

INSTALL = "model/install"


def verbs(service: Service) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
    """Return the table of what can be asked."""
    worker = service.worker

    def on_stream(change: Callable[[Any], None]) -> Callable[[dict[str, Any]], Any]:
        def run(request: dict[str, Any]) -> Any:
            (name,) = _fields(request, "stream")

            def call() -> Any:
                if name not in worker.streams:
                    raise UsageError(f'no stream is named "{name}"; see: edgelstm stream list')
                change(worker.streams[name])
                return {"stream": name, "state": worker.streams[name].state_name}

            return worker.errands.run(call)

        return run

    def list_streams(request: dict[str, Any]) -> Any:
        _fields(request)
        return [
            {
                "stream": stream.name,
                "topic": stream.topic,
                "model": stream.model.model.name,
                "state": stream.state_name,
                "samples": stream.samples,
                "score": stream.last_verdict[1] if stream.last_verdict else None,
            }
            for stream in list(worker.streams.values())
        ]

    def ping(request: dict[str, Any]) -> Any:
        _fields(request)
        return "pong"

    def status(request: dict[str, Any]) -> Any:
        _fields(request)
        return service.report.status()

    def remove(request: dict[str, Any]) -> Any:
        (name,) = _fields(request, "stream")
        worker.errands.run(lambda: worker.remove(name))
        return {"stream": name, "state": "removed"}

    def list_models(request: dict[str, Any]) -> Any:
        _fields(request)
        return service.changes.listed()

    def install(request: dict[str, Any]) -> Any:
        name, content, sha256, signature = _fields(
            request, "model", "content", "sha256", optional=("signature",)
        )
        return {"model": name, "version": service.changes.install(name, content, sha256, signature)}

    def reload(request: dict[str, Any]) -> Any:
        _fields(request)
        service.reload()
        return "reloading"

    return {
        "ping": ping,
        "status": status,
        "streams/list": list_streams,
        "stream/pause": on_stream(lambda stream: stream.pause(True)),
        "stream/resume": on_stream(lambda stream: stream.pause(False)),
        "stream/reset": on_stream(lambda stream: stream.forget()),
        "stream/remove": remove,
        "model/list": list_models,
        INSTALL: install,
        "model/activate": lambda request: service.changes.activate(*_fields(request, "model", "version")),
        "model/rollback": lambda request: service.changes.roll_back(*_fields(request, "model")),
        "config/reload": reload,
    }


def _fields(request: dict[str, Any], *keys: str, optional: tuple[str, ...] = ()) -> list[str]:
    """Return the texts that a request has to have, and the optional ones, "" where missing; raises UsageError."""
    unknown = [name for name in request if name not in (*keys, *optional)]
    if unknown:
        raise UsageError(f'"{unknown[0]}" is not expected here')
    found = [request.get(key, "") for key in (*keys, *optional)]
    for key, value in zip((*keys, *optional), found, strict=True):
        if not isinstance(value, str) or (not value and key in keys):
            raise UsageError(f'"{key}" is missing: which {key}?')
    return found
