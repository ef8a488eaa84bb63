"""What a running daemon says of itself: whether its parts make progress, its numbers, and who it is."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from edgelstm.daemon.memory import resident_bytes
from edgelstm.daemon.metrics import page
from edgelstm.daemon.topics import encode, info_payload

if TYPE_CHECKING:
    from edgelstm.daemon.service import Service

STALL_S = 20.0
"""A part that did nothing for so long stands still; an idle one looks around twice a second."""


class Report:
    """Looks at the parts of a service; any thread may ask."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def stalled(self) -> str:
        """Return which part makes no progress, "" if every one does; a loop that waits for work does."""
        failed, now_s = self.failed_part(), time.monotonic()
        if failed is not None:
            return f"the {failed} has ended\n"
        progress = {
            "worker": self._service.worker.progress_s,
            "publisher": self._service.publisher.progress_s,
            "in-link": self._service.in_link.progress_s,
            "out-link": self._service.out_link.progress_s,
        }
        late = [f"the {name} stands still" for name, at_s in progress.items() if now_s - at_s > STALL_S]
        return "".join(f"{line}\n" for line in late)

    def trouble(self) -> str:
        """Return why we are not ready, "" if we are."""
        links = [link for link in (self._service.in_link, self._service.out_link) if not link.connected]
        errors = [f"link {link.role}: {link.last_error or 'waiting for broker'}" for link in links]
        deaf = self._service.in_link.refused
        if deaf:
            errors.append(f"the broker does not let us read {', '.join(deaf)}: check its access rules")
        parts = [self.stalled().strip(), self._service.worker.unwritten]
        return "; ".join([*filter(None, parts), *errors])

    def status(self) -> dict[str, Any]:
        """Return everything that `edgelstm status` shows."""
        return {
            "trouble": self.trouble(),
            "health": msgspec.json.decode(self.health()),
            "info": msgspec.json.decode(self.info()),
        }

    def metrics(self) -> str:
        links = {"in": self._service.in_link, "out": self._service.out_link}
        gauges = {
            "edgelstm_streams": len(self._service.worker.streams),
            "edgelstm_open_alerts": self.open_alerts(),
            "edgelstm_queue_messages": len(self._service.worker.inbox),
            "edgelstm_outbox_messages": self._service.publisher.waiting,
            "edgelstm_resident_memory_bytes": resident_bytes(),
            **{f'edgelstm_mqtt_connected{{link="{name}"}}': link.connected for name, link in links.items()},
            **{f'edgelstm_mqtt_reconnects{{link="{name}"}}': link.reconnects for name, link in links.items()},
        }
        histograms = {
            "edgelstm_batch_seconds": self._service.worker.batch_s,
            "edgelstm_alert_delivery_seconds": self._service.publisher.delivery_s,
        }
        models = {name: model.digest for name, model in self._service.models.items()}
        return page(self.counters(), gauges, histograms, models)

    def open_alerts(self) -> int:
        return sum(
            1 for s in list(self._service.worker.streams.values()) if s.detector.open_alert is not None
        )

    def counters(self) -> dict[str, int]:
        """Return what happened so far, by name, with what sources had to leave out."""
        found = Counter(self._service.counters.snapshot())
        for source in self._service.sources.values():
            found.update(source.counts)
        return dict(sorted(found.items()))

    def failed_part(self) -> str | None:
        alive = {
            "worker": self._service.worker.alive,
            "publisher": self._service.publisher.alive,
            "in-link": self._service.in_link.alive,
            "out-link": self._service.out_link.alive,
        }
        return next((name for name, lives in alive.items() if not lives), None)

    def info(self) -> bytes:
        return info_payload(
            self._service.config,
            {name: model.digest for name, model in self._service.models.items()},
            len(self._service.worker.streams),
        )

    def health(self) -> bytes:
        return encode(
            {
                "v": 1,
                "uptime_s": round(time.monotonic() - self._service.started_s, 1),
                "rss_bytes": resident_bytes(),
                "streams": len(self._service.worker.streams),
                "open_alerts": self.open_alerts(),
                "queue": len(self._service.worker.inbox),
                "outbox": self._service.publisher.waiting,
                "connected": {"in": self._service.in_link.connected, "out": self._service.out_link.connected},
                "reconnects": {
                    "in": self._service.in_link.reconnects,
                    "out": self._service.out_link.reconnects,
                },
                "errors": {"in": self._service.in_link.last_error, "out": self._service.out_link.last_error},
                "refused_topics": self._service.in_link.refused,
                "sources": {name: source.state for name, source in self._service.sources.items()},
                "models": self._service.changes.progress(),
                "counters": self.counters(),
            }
        )
