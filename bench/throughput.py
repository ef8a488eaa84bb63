"""Samples per second through the daemon on a mosquitto: QoS 1, MQTT 5, acknowledged after commit; the broker's floor beside it.

    python bench/throughput.py [--messages 40000] [--blocks 12000] [--streams 20] [--json]
    python bench/throughput.py --streams 1 100 10000

The messages are queued for the daemon's session before it starts, so that nothing but broker and daemon is measured; only
`max_queued_messages` of the broker is not as it comes. The floor is a paho-mqtt client that acknowledges each message and
looks at none, on the same queue.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgelstm import config as configuration
from edgelstm import machine
from edgelstm.daemon.control import ask
from edgelstm.errors import UnavailableError
from edgelstm_firmware_sim import record

CHANNELS = ("flow", "pressure", "current", "vibration")
BLOCK = 256
POLL_S, SHORTEST_S = 0.05, 0.5
CONFIG = """
[node]
name = "bench"
state_dir = "state-{name}"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
client_id = "{name}"
[limits]
new_streams_per_minute = 100000
max_streams = 100000
[[model]]
name = "pump"
path = "{model}"
[[input]]
name = "pumps"
topics = ["{name}/+/telemetry"]
stream = "{{1}}"
model = "pump"
{form}
detector = {{ threshold = {threshold}, raise_after = 1, raise_window = 1, clear_after = 1, clear_ratio = 1.0, cooldown_ns = 0, update_interval_ns = 0 }}
"""


def queue_messages(port, messages):
    """Publish at QoS 1 over a bare socket, as fast as the broker confirms."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06feeder")
    sock.recv(4)
    confirmed, mid = 0, 0
    for first in range(0, len(messages), 200):
        packets = bytearray()
        for topic, payload in messages[first : first + 200]:
            mid = mid % 60_000 + 1
            body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", mid) + payload
            packets += b"\x32" + _length(len(body)) + body
        sock.sendall(packets)
        while confirmed < 4 * min(first + 200, len(messages)):
            confirmed += len(sock.recv(65_536))
    sock.sendall(b"\xe0\x00")
    sock.close()


def _length(size):
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (128 if size else 0))
        if not size:
            return bytes(out)


def session(port, client_id, topics):
    """Make a session that the broker queues for, and leave it."""
    made = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
    client.on_subscribe = lambda *_: made.append(1)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 1000
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.subscribe(topics, 1)
    while not made:
        client.loop(0.1)
    client.disconnect()


def floor(port, count):
    """Return messages per second of a client that only acknowledges."""
    seen = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "floor", protocol=paho.MQTTv5, manual_ack=True)

    def taken(client, data, message):
        client.ack(message.mid, message.qos)
        seen.append(time.perf_counter())

    client.on_message = taken
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 1000
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    while len(seen) < count:
        time.sleep(0.05)
    client.loop_stop()
    return (count - 1) / (seen[-1] - seen[0])


def cpu_s(pid):
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def daemon_rate(folder, name, port, options, count, opened=0):
    """Start the daemon on what is queued; return samples per second, share of alert events, CPU seconds and memory.

    opened  samples at the beginning that are left out, for they open streams
    """
    path = folder / f"{name}.toml"
    path.write_text(
        CONFIG.format(name=name, port=port, model=files("edgelstm") / "models" / "pump.elstm", **options)
    )
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgelstm", "run", str(path)], stdout=log, stderr=log
        )
    control, points = configuration.load(path).control_socket, []
    try:
        while not points or points[-1][1] < count:
            if process.poll() is not None:
                sys.exit(f"bench: the daemon ended: {(folder / f'{name}.log').read_text()}")
            time.sleep(POLL_S)
            try:
                health = ask(control, "status")["health"]
            except UnavailableError:
                continue
            samples = health["counters"].get("samples", 0)
            if samples:
                points.append((time.perf_counter(), samples, cpu_s(process.pid), health))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    inner = [point for point in points if point[1] >= max(opened, count * 0.05)]
    if not inner or inner[-1][0] - inner[0][0] < SHORTEST_S:
        sys.exit(f"bench: {name}: {count} samples were over before they could be measured: give more of them")
    (start_s, first, cpu_before_s, _), (end_s, last, cpu_after_s, health) = inner[0], inner[-1]
    counters = health["counters"]
    alerts = sum(
        count
        for event, count in counters.items()
        if event in ("alerts_raised", "alerts_updated", "alerts_cleared")
    )
    return {
        "samples_per_s": (last - first) / (end_s - start_s),
        "alert_events_per_sample": alerts / last,
        "cpu_us_per_sample": (cpu_after_s - cpu_before_s) / (last - first) * 1e6,
        "samples_per_core_s": (last - first) / max(1e-9, cpu_after_s - cpu_before_s),
        "rss_mib": health["rss_bytes"] / 2**20,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--blocks", type=int, default=12_000, help=f"messages of {BLOCK} samples")
    parser.add_argument(
        "--streams", type=int, nargs="+", default=[20], help="each number is measured by itself"
    )
    parser.add_argument(
        "--threshold", type=float, default=1.4, help="chosen for alert events on about a tenth of samples"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if mosquitto is None:
        sys.exit("bench: mosquitto is not installed (Debian, Ubuntu: apt install mosquitto)")
    with tempfile.TemporaryDirectory() as folder:
        results = run(args, mosquitto, Path(folder))
    report = {"machine": machine.describe("paho-mqtt"), "streams": args.streams, "results": results}
    if args.json:
        print(json.dumps(report, indent=2))
        return
    machine.print_header("throughput: QoS 1, MQTT 5, durability alerts", report["machine"])
    for name, found in results.items():
        print(
            f"  {name:34s} "
            + "  ".join(
                f"{key} {value:,.3g}" if value < 10 else f"{key} {value:,.0f}" for key, value in found.items()
            )
        )


def run(args, mosquitto, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "m.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 1000000\n"
    )
    with open(folder / "m.log", "wb") as log:
        broker = subprocess.Popen([mosquitto, "-c", str(folder / "m.conf")], stdout=log, stderr=log)
    time.sleep(0.5)
    try:
        return measure(args, port, folder)
    finally:
        broker.terminate()
        broker.wait(10)


def measure(args, port, folder):
    recordings = [record("pump", max(args.messages // 20, 50) / 10, 100 + n) for n in range(20)]

    def singles(name, streams, rows):
        made = [(n, recordings[n % len(recordings)]) for n in range(streams)]
        return [
            (
                f"{name}/s{n}/telemetry".encode(),
                json.dumps(
                    {
                        "seq": row,
                        "ts": r.times_ns[0] / 1e9 + row / 10,
                        **dict(zip(CHANNELS, r.values[row % len(r.values)].tolist(), strict=True)),
                    }
                ).encode(),
            )
            for row in range(rows)
            for n, r in made
        ]

    session(port, "floor", "floor/+/telemetry")
    queue_messages(port, singles("floor", 20, args.messages // 20))
    results = {
        "floor: a client that only receives": {"messages_per_s": floor(port, args.messages // 20 * 20)}
    }
    for streams in args.streams:
        name, rows = f"one{streams}", max(6, args.messages // streams)
        session(port, f"{name}-in", f"{name}/+/telemetry")
        queue_messages(port, singles(name, streams, rows))
        options = {"form": 'timestamp = "ts"\nsequence = "seq"', "threshold": args.threshold}
        results[f"one sample per message, {streams} streams"] = daemon_rate(
            folder, name, port, options, rows * streams, opened=2 * streams
        )
    session(port, "block-in", "block/+/telemetry")
    values = np.concatenate([r.values for r in recordings]).astype("<f4")
    values = np.tile(values, (-(-BLOCK * 8 // len(values)), 1)) if len(values) < BLOCK * 8 else values
    payloads = [values[at : at + BLOCK].tobytes() for at in range(0, len(values) - BLOCK, BLOCK)]
    queue_messages(
        port,
        [(f"block/s{n % 20}/telemetry".encode(), payloads[n % len(payloads)]) for n in range(args.blocks)],
    )
    options = {"form": 'format = "raw"', "threshold": 50.0}
    results[f"blocks of {BLOCK} samples"] = daemon_rate(folder, "block", port, options, args.blocks * BLOCK)
    return results


if __name__ == "__main__":
    main()
