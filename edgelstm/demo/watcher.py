"""A subscriber like any other: what the nodes send, what the daemon makes of it, and when."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edgelstm.alert_payload import timestamp
from edgelstm.demo.broker import DemoBroker

RATE_WINDOW_S = 3.0
MOST_REMEMBERED = 300
STARTING = "daemon starts"


@dataclass(slots=True)
class Seen:
    """What is known of one node."""

    name: str
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_REMEMBERED))
    sample_arrivals: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    threshold: float | None = None
    state: str = STARTING
    fault: str | None = None
    fault_s: float | None = None  # when it was started, by our clock
    alert: dict[str, Any] | None = None
    alert_s: float | None = None

    @property
    def rate_hz(self) -> float:
        now = time.monotonic()
        return sum(1 for arrival in self.arrivals if now - arrival <= RATE_WINDOW_S) / RATE_WINDOW_S

    @property
    def fault_to_alert_s(self) -> float | None:
        if self.alert_s is None or self.fault_s is None:
            return None
        return self.alert_s - self.fault_s

    @property
    def sample_to_alert_ms(self) -> float | None:
        """From the arrival here of the sample that decided the alert to the arrival of the alert.

        The two come over connections of their own: the alert may be here first, and then it took no time that we saw.
        """
        if self.alert is None or self.alert_s is None or self.alert["ts"] not in self.sample_arrivals:
            return None
        return max(0.0, 1000.0 * (self.alert_s - self.sample_arrivals[self.alert["ts"]]))


class Watcher:
    """Subscribes to samples, truth, scores, states and alerts, and keeps what is newest of each node."""

    def __init__(self, names: list[str]) -> None:
        self.nodes = {name: Seen(name) for name in names}
        self.changed = threading.Event()
        self._clients: list[Any] = []

    def connect(self, broker: DemoBroker) -> None:
        """Subscribe; alerts come over a connection of their own, so that they never wait behind samples."""
        self._subscribe(broker, "samples", [("plant/+/telemetry", 0), ("plant/+/truth", 1)])
        self._subscribe(
            broker, "scores", [("edgelstm/+/stream/+/score", 0), ("edgelstm/+/stream/+/state", 1)]
        )
        self._subscribe(broker, "alerts", [("edgelstm/+/stream/+/alert", 1)])

    def _subscribe(self, broker: DemoBroker, name: str, filters: list[tuple[str, int]]) -> None:
        import paho.mqtt.client as paho

        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"demo-{name}")
        client.on_connect = lambda client, *_: client.subscribe(filters)
        client.on_message = lambda client, data, message: self._take(message.topic, message.payload)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        self._clients.append(client)

    def inject(self, node: str, fault: str, ramp_s: float) -> None:
        """Tell a node to develop a fault."""
        self._clients[0].publish(
            f"plant/{node}/command", msgspec.json.encode({"fault": fault, "ramp_s": ramp_s}), 1
        )

    def disconnect(self) -> None:
        for client in self._clients:
            client.disconnect()
            client.loop_stop()

    def _take(self, topic: str, payload: bytes) -> None:
        now, levels = time.monotonic(), topic.split("/")
        node = self.nodes.get(levels[1] if levels[0] == "plant" else levels[3])
        if node is None:
            return
        try:
            found = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return
        if levels[-1] == "telemetry":
            node.arrivals.append(now)
            if len(node.sample_arrivals) >= MOST_REMEMBERED:
                del node.sample_arrivals[next(iter(node.sample_arrivals))]  # the oldest
            node.sample_arrivals[timestamp(round(found["ts"] * 1e6) * 1000)] = now
        elif levels[-1] == "truth":
            node.fault, node.fault_s = (found["fault"], now) if found["event"] == "start" else (None, None)
        elif levels[-1] == "score":
            node.score, node.threshold, node.state = found["score"], found["threshold"], found["state"]
        elif levels[-1] == "state":
            node.state = found["state"]
        elif levels[-1] == "alert" and found["event_type"] == "raised" and node.alert is None:
            node.alert, node.alert_s = found, now
        self.changed.set()
