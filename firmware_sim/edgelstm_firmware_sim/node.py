"""A sensor node on MQTT: telemetry, birth and last will, commands in, and the truth on a topic of its own.

plant/<id>/telemetry  flat JSON {"seq", "ts", channel: value, ...}, or the raw waveform as float32, little-endian
plant/<id>/status     retained: {"state": "online", ...} as birth, {"state": "offline"} as last will
plant/<id>/command    {"fault": NAME, "ramp_s": 20} starts a fault, {"fault": null} stops all
plant/<id>/truth      retained: which fault was started or stopped at what true time
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt

from edgelstm_firmware_sim.clock import DeviceClock
from edgelstm_firmware_sim.faults import Fault, severities
from edgelstm_firmware_sim.link import Link
from edgelstm_firmware_sim.signals import NODES


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What kind of node, how it is named, and how well it behaves."""

    kind: str
    id: str
    seed: int = 0
    rate_hz: float | None = None
    payload: str = "json"  # json, raw
    faults: tuple[Fault, ...] = ()
    clock_offset_s: float = 0.0
    drift_ppm: float = 0.0
    jitter_s: float = 0.0
    outage_every_s: float = 0.0
    outage_s: float = 0.0
    duplicates: float = 0.0
    reboot_every_s: float = 0.0


class Node:
    """One device. `run` publishes until `stop` is called or the time is up; `connect` has to come first."""

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        self.base = f"plant/{settings.id}"
        self.signal = NODES[settings.kind](settings.seed, settings.rate_hz)
        self.faults: Sequence[Fault] = settings.faults
        self.published = 0
        self._quirks = np.random.default_rng(settings.seed + 1)
        self._link = Link(self._quirks, settings.outage_every_s, settings.outage_s, settings.duplicates)
        self._commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._announced: set[str] = set()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"sim-{settings.id}")
        self._client.max_queued_messages_set(10_000)
        self._client.reconnect_delay_set(1, 5)
        self._client.will_set(f"{self.base}/status", json.dumps({"state": "offline"}), 1, True)
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda client, data, message: self._commands.put(message.payload)

    def connect(self, host: str, port: int, username: str | None = None, password: str | None = None) -> None:
        """Connect to the broker; raises OSError where none answers."""
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.connect(host, port, keepalive=15)
        self._client.loop_start()
        if not self._connected.wait(5.0):
            self._client.loop_stop()
            raise OSError("the broker did not accept the connection")

    def run(self, seconds: float | None = None) -> None:
        """Publish one sample per period, in real time, then say goodbye."""
        period_s = self.signal.period_s
        started_s, started_ns = time.monotonic(), time.time_ns()
        clock = DeviceClock(started_ns, self.settings.clock_offset_s, self.settings.drift_ppm)
        sequence = number = 0
        while not self._stopping.is_set() and (seconds is None or number * period_s < seconds):
            at_s = number * period_s
            jitter_s = self.settings.jitter_s * abs(self._quirks.standard_normal())
            if self._stopping.wait(max(0.0, started_s + at_s + jitter_s - time.monotonic())):
                break
            if self.settings.reboot_every_s and number and at_s % self.settings.reboot_every_s < period_s:
                sequence = 0
            self._obey(at_s)
            active = severities(self.faults, at_s)
            self._tell_truth(active)
            values = self.signal.sample(active)
            reads_ns = clock.reads_ns(started_ns + round(at_s * 1e9))
            self._link.send(self._payload(values, sequence, reads_ns), at_s, self._publish_telemetry)
            sequence, number = sequence + 1, number + 1
        self._say_goodbye()

    def stop(self) -> None:
        """Let `run` return; may be called from a signal handler or another thread."""
        self._stopping.set()

    def _payload(self, values: np.ndarray[Any, Any], sequence: int, reads_ns: int) -> bytes:
        block = self.signal.raw_block()
        if self.settings.payload == "raw" and block is not None:
            return block.astype("<f4").tobytes()
        if self.settings.payload == "raw":
            return values.astype("<f4").tobytes()
        fields: dict[str, float] = {"seq": sequence, "ts": reads_ns // 10**6 / 1000}
        fields |= {
            name: float(f"{value:.6g}") for name, value in zip(self.signal.names(), values, strict=True)
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    def _publish_telemetry(self, payload: bytes) -> None:
        result = self._client.publish(f"{self.base}/telemetry", payload, qos=1)
        if result.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
            self._link.dropped += 1
        else:
            self.published += 1

    def _obey(self, at_s: float) -> None:
        while not self._commands.empty():
            try:
                command = json.loads(self._commands.get())
                name = command["fault"]
                if name is None:
                    self.faults = [
                        replace(fault, stop_s=min(fault.stop_s or at_s, at_s)) for fault in self.faults
                    ]
                elif name in self.signal.faults:
                    self.faults = [*self.faults, Fault(name, at_s, float(command.get("ramp_s", 20.0)))]
            except (ValueError, KeyError, TypeError):
                continue  # firmware ignores what it does not understand

    def _tell_truth(self, active: dict[str, float]) -> None:
        for name in sorted(self._announced.symmetric_difference(active)):
            event = "start" if name in active else "stop"
            truth = {"ts": time.time_ns() / 1e9, "fault": name, "event": event}
            self._client.publish(f"{self.base}/truth", json.dumps(truth), 1, True)
        self._announced = set(active)

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            return
        birth = {
            "state": "online",
            "node": self.settings.kind,
            "rate_hz": 1.0 / self.signal.period_s,
            "channels": [{"name": name, "unit": unit} for name, unit in self.signal.channels],
            "faults": list(self.signal.faults),
        }
        client.publish(f"{self.base}/status", json.dumps(birth), 1, True)
        client.subscribe(f"{self.base}/command", 1)
        self._connected.set()

    def _say_goodbye(self) -> None:
        goodbye = self._client.publish(f"{self.base}/status", json.dumps({"state": "offline"}), 1, True)
        if self._client.is_connected():
            goodbye.wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()
