"""The topics we publish to, and the payloads that are not alerts; docs/topics.md is their description."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from edgelstm.alert_payload import PAYLOAD_VERSION, timestamp
from edgelstm.config import Config

ONLINE, OFFLINE = b"online", b"offline"


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of topics below `<base>/<node>`."""

    base: str
    node: str
    shard: str = ""

    @classmethod
    def of(cls, config: Config) -> Topics:
        return cls(config.publish.base_topic, config.node_name, config.shard_suffix.strip("-"))

    @property
    def own(self) -> str:
        """What is about this daemon itself: shards of a node have each their own, and share the streams' topics."""
        return f"{self.base}/{self.node}/{self.shard}" if self.shard else f"{self.base}/{self.node}"

    @property
    def status(self) -> str:
        return f"{self.own}/status"

    @property
    def info(self) -> str:
        return f"{self.own}/info"

    @property
    def health(self) -> str:
        return f"{self.own}/health"

    @property
    def event(self) -> str:
        return f"{self.own}/event"

    @property
    def requests(self) -> str:
        return f"{self.own}/request/"

    def response(self, verb: str) -> str:
        return f"{self.own}/response/{verb}"

    def stream(self, name: str, leaf: str) -> str:
        """Return the topic of a stream's `alert`, `state` or `score`."""
        return f"{self.base}/{self.node}/stream/{name}/{leaf}"


def encode(payload: dict[str, Any]) -> bytes:
    """Return JSON; floats are written so that they read back as the same bits."""
    return msgspec.json.encode(payload)


def score_payload(time_ns: int, score: float, threshold: float, state: str) -> bytes:
    return encode(
        {
            "v": PAYLOAD_VERSION,
            "ts": timestamp(time_ns),
            "score": score,
            "threshold": threshold,
            "state": state,
        }
    )


def event_payload(event: str, detail: str) -> bytes:
    """Return a word about the daemon itself."""
    return encode({"v": PAYLOAD_VERSION, "ts": timestamp(time.time_ns()), "event": event, "detail": detail})


def info_payload(config: Config, models: dict[str, str], streams: int) -> bytes:
    """Describe the daemon; `models` are digests by name."""
    from edgelstm import __version__

    return encode(
        {
            "v": PAYLOAD_VERSION,
            "version": __version__,
            "started": timestamp(time.time_ns()),
            "broker": f"{config.broker.hostname}:{config.broker.port or ''}".rstrip(":"),
            "durability": config.durability.mode,
            "kernel": _kernel(),
            "models": models,
            "streams": streams,
        }
    )


@cache
def _kernel() -> str:
    """Return what the kernels were compiled for: the compiler takes a while to say so."""
    from edgelstm.backend import kernels

    return str(kernels().variant())
