"""`edgelstm replay`: publish a recording over MQTT, as if its node were here."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from edgelstm.cli import broker_url
from edgelstm.errors import UnavailableError, UsageError

SUMMARY = "Publish a recording over MQTT as JSON, a message per row, at its own pace or faster."
CONFIRM_S = 20.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", help="CSV or .npz; see docs/quickstart.md")
    broker_url.add_arguments(parser)
    parser.add_argument("-t", "--topic", default="plant/replay/telemetry", help="default: %(default)s")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="times as fast as it was; 0: as fast as the broker confirms"
    )
    parser.add_argument("--now", action="store_true", help="shift times so that the first sample is of now")
    parser.add_argument("-q", "--qos", type=int, choices=(0, 1), default=1)


def run(args: argparse.Namespace) -> int:
    import msgspec
    import paho.mqtt.client as paho

    from edgelstm.sources import recording as recordings

    if not args.speed >= 0:
        raise UsageError(f"--speed {args.speed}: expected 0 or more")
    recording = recordings.read(args.recording)
    broker = broker_url.broker(args)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    client.max_inflight_messages_set(200)
    try:
        client.connect(broker.host, broker.port)
    except (OSError, ValueError) as exc:
        raise UnavailableError(f"no broker at {broker} ({getattr(exc, 'strerror', None) or exc})") from None
    client.loop_start()
    shift_ns = time.time_ns() - int(recording.times_ns[0]) if args.now else 0
    started_s, waiting = time.monotonic(), None
    try:
        for number, (time_ns, row) in enumerate(
            zip(recording.times_ns.tolist(), recording.values.tolist(), strict=True)
        ):
            if args.speed:
                due_s = started_s + (time_ns - int(recording.times_ns[0])) / 1e9 / args.speed
                time.sleep(max(0.0, due_s - time.monotonic()))
            known = {name: value for name, value in zip(recording.names, row, strict=True) if value == value}
            payload = msgspec.json.encode({"seq": number, "ts": (time_ns + shift_ns) / 1e9, **known})
            waiting = client.publish(args.topic, payload, qos=args.qos)
            if number % 200 == 199:
                _confirmed(waiting, str(broker))
        if waiting is not None:
            _confirmed(waiting, str(broker))
    finally:
        client.disconnect()
        client.loop_stop()
    print(f"published {len(recording.values)} samples to {args.topic} at {broker}", file=sys.stderr)
    return 0


def _confirmed(info: Any, broker: str) -> None:
    try:
        info.wait_for_publish(CONFIRM_S)
    except (RuntimeError, ValueError):
        pass
    if not info.is_published():
        raise UnavailableError(f"the broker at {broker} does not confirm what is published")
