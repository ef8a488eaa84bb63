"""From a sample published to its score and its alert received: the daemon on an untouched mosquitto, durable commits.

    python bench/end_to_end.py [--streams 100] [--samples 300] [--rate 400] [--json]

Beside it, in the same seconds and through the same broker, the floor: the time a message of the same size takes from
publisher to subscriber without a daemon. The threshold is so low that about every tenth sample decides an alert event, which is
at the broker only after it is committed and synced; scores are published for every sample.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho

sys.path.insert(0, str(Path(__file__).parent))
from edgelstm import machine
from edgelstm.cli.demo import CONFIG
from edgelstm_firmware_sim import record

CHANNELS = ("flow", "pressure", "current", "vibration")
ALERTING = (
    "detector = { threshold = 1.4, raise_after = 1, raise_window = 1, clear_after = 1, clear_ratio = 1.0, "
    "cooldown_ns = 0, update_interval_ns = 0 }\n"
)
FEWEST = 1000
"""Of fewer than so many, one in a thousand says nothing."""


class Client:
    """A connection that notes when which message arrived."""

    def __init__(self, port, *filters):
        self.arrivals, ready = {}, threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_socket_open = lambda c, d, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        self.client.on_connect = lambda c, *_: (
            c.subscribe([(f, 1) for f in filters]) if filters else ready.set()
        )
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = self._arrived
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not ready.wait(5):
            sys.exit("bench: the broker does not answer")

    def _arrived(self, client, data, message):
        now, levels = time.perf_counter_ns(), message.topic.split("/")
        found = json.loads(message.payload)
        self.arrivals.setdefault((levels[-1], levels[-2], found.get("ts"), found.get("event_type")), now)


def timestamp(seconds_ns):
    from edgelstm.alert_payload import timestamp as text

    return text(round(seconds_ns / 1000) * 1000)


def percentiles(durations_ns):
    values = np.array(durations_ns) / 1e6
    return {
        "n": len(values),
        "p50_ms": float(np.percentile(values, 50)),
        "p99_ms": float(np.percentile(values, 99)),
        "p99_9_ms": float(np.percentile(values, 99.9)) if len(values) >= FEWEST else None,
        "max_ms": float(values.max()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--samples", type=int, default=300, help="per stream")
    parser.add_argument("--rate", type=float, default=400.0, help="samples per second, all streams together")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if mosquitto is None:
        sys.exit("bench: mosquitto is not installed (Debian, Ubuntu: apt install mosquitto)")
    with tempfile.TemporaryDirectory() as folder:
        report = run(args, mosquitto, Path(folder))
    if args.json:
        print(json.dumps(report, indent=2))
        return
    machine.print_header(
        f"end to end: {args.streams} streams, {args.rate:g} samples/s, QoS 1, durability alerts",
        report["machine"],
    )
    for name, found in report["results"].items():
        rare = "      -" if found["p99_9_ms"] is None else f"{found['p99_9_ms']:7.3f}"
        print(f"  {name:36s} n {found['n']:5d}  p50 {found['p50_ms']:7.3f} ms  p99 {found['p99_ms']:7.3f} ms  "
              f"p99.9 {rare} ms  max {found['max_ms']:7.3f} ms  {found['p50_ms'] / report['results']['floor']['p50_ms']:5.2f}x")  # fmt: skip


def run(args, mosquitto, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    (folder / "bench.toml").write_text(
        CONFIG.format(
            url=f"mqtt://127.0.0.1:{port}", protocol="auto", model=files("edgelstm") / "models" / "pump.elstm"
        )
        + ALERTING
    )
    with open(folder / "log", "wb") as log:
        broker = subprocess.Popen([mosquitto, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log)
        time.sleep(0.5)
        daemon = subprocess.Popen(
            [sys.executable, "-m", "edgelstm", "run", str(folder / "bench.toml")], stdout=log, stderr=log
        )
        try:
            while b"link=in event=subscribed" not in (folder / "log").read_bytes():
                if daemon.poll() is not None:
                    sys.exit("bench: the daemon ended: " + (folder / "log").read_text())
                time.sleep(0.05)
            return measure(args, port)
        finally:
            os.kill(daemon.pid, signal.SIGTERM)
            daemon.wait(10)
            broker.terminate()
            broker.wait(10)


def measure(args, port):
    sensor, floor_sensor = Client(port), Client(port)
    scores = Client(port, "edgelstm/+/stream/+/score")
    alerts = Client(port, "edgelstm/+/stream/+/alert")
    floor = Client(port, "floor/+/telemetry")
    recordings = [record("pump", args.samples / 10, 1000 + n) for n in range(args.streams)]
    sent, period_s, started, number = {}, 1.0 / args.rate, time.perf_counter(), 0
    for row in range(args.samples):
        for stream, recording in enumerate(recordings):
            wait_s = started + number * period_s - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            number += 1
            time_ns = int(recording.times_ns[row])
            values = dict(zip(CHANNELS, recording.values[row].tolist(), strict=True))
            payload = json.dumps({"seq": row, "ts": time_ns / 1e9, **values})
            sent[f"s{stream}", timestamp(time_ns)] = time.perf_counter_ns()
            sensor.client.publish(f"plant/s{stream}/telemetry", payload, qos=1)
            if number % 10 == 0:
                key = ("telemetry", f"f{number}", None, None)
                sent[key] = time.perf_counter_ns()
                floor_sensor.client.publish(
                    f"floor/f{number}/telemetry", "{}" + " " * (len(payload) - 2), qos=1
                )
    time.sleep(2.0)

    def delays(client, leaf):
        return [
            arrival - sent[stream, ts] for (kind, stream, ts, _), arrival in client.arrivals.items() if kind == leaf
        ]  # fmt: skip

    results = {
        "floor": percentiles([arrival - sent[key] for key, arrival in floor.arrivals.items()]),
        "sample to score": percentiles(delays(scores, "score")),
        "sample to alert (committed to disk)": percentiles(delays(alerts, "alert")),
    }
    return {"machine": machine.describe("paho-mqtt"), "rate": args.rate, "results": results}


if __name__ == "__main__":
    main()
