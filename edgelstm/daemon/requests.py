"""What a running daemon can be asked: the table of verbs, and which of them MQTT may use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm.daemon.service import Service

ANSWER_S = 5.0


class Errands:
    """Calls for the worker's thread, which alone may touch streams."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], list[Any], threading.Event]] = (
            queue.SimpleQueue()
        )

    def run(self, call: Callable[[], Any]) -> Any:
        """Have `call` made by the worker; return its result, or raise what it raised."""
        result: list[Any] = []
        done = threading.Event()
        self._waiting.put((call, result, done))
        if not done.wait(ANSWER_S):
            raise UnavailableError("the worker does not answer: it is busy or stalled")
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def do(self) -> None:
        """Make the calls that wait; the worker calls this between batches."""
        while not self._waiting.empty():
            call, result, done = self._waiting.get()
            try:
                result.append(call())
            except Exception as exc:
                result.append(exc)
            done.set()


def verbs(service: Service) -> Mapping[str, Callable[[dict[str, Any]], Any]]:
    """Return the table of what can be asked."""
    worker = service.worker

    def on_stream(change: Callable[[Any], None]) -> Callable[[dict[str, Any]], Any]:
        def run(request: dict[str, Any]) -> Any:
            name = _only(request, "stream")

            def call() -> Any:
                if name not in worker.streams:
                    raise UsageError(f'no stream is named "{name}"; see: edgelstm stream list')
                change(worker.streams[name])
                return {"stream": name, "state": worker.streams[name].state_name}

            return worker.errands.run(call)

        return run

    def list_streams(request: dict[str, Any]) -> Any:
        _only(request)
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
        _only(request)
        return "pong"

    def status(request: dict[str, Any]) -> Any:
        _only(request)
        return service.report.status()

    def reload(request: dict[str, Any]) -> Any:
        _only(request)
        service.reload()
        return "reloading"

    return {
        "ping": ping,
        "status": status,
        "streams/list": list_streams,
        "stream/pause": on_stream(lambda stream: stream.pause(True)),
        "stream/resume": on_stream(lambda stream: stream.pause(False)),
        "stream/reset": on_stream(lambda stream: stream.forget()),
        "config/reload": reload,
    }


def _only(request: dict[str, Any], key: str = "") -> str:
    """Return the one key that a request has to have; raises UsageError for others, and where it is missing."""
    unknown = [name for name in request if name != key]
    if unknown:
        raise UsageError(f'"{unknown[0]}" is not expected here')
    if not key:
        return ""
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise UsageError(f'"{key}" is missing: which {key}?')
    return value
