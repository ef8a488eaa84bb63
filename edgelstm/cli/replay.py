"""`edgelstm replay`: publish a recording over MQTT, as if its node were here."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from edgelstm.cli import broker_url
from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm.sources.recording import Parts

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
    from edgelstm.sources import recording as recordings

    if not args.speed >= 0:
        raise UsageError(f"--speed {args.speed}: expected 0 or more")
    with recordings.parts(args.recording) as opened:
        rows = _rows(opened)
        first = next(rows)
        _publish(args, opened.names, first[0], chain([first], rows))
    return 0


def _rows(opened: Parts) -> Iterator[tuple[int, list[float]]]:
    for part in opened:
        yield from zip(part.times_ns.tolist(), part.values.tolist(), strict=True)


def _publish(
    args: argparse.Namespace, names: Sequence[str], first_ns: int, rows: Iterable[tuple[int, list[float]]]
) -> None:
    import msgspec
    import paho.mqtt.client as paho

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
    shift_ns = time.time_ns() - first_ns if args.now else 0
    started_s, number, waiting = time.monotonic(), 0, None
    try:
        for number, (time_ns, row) in enumerate(rows, 1):
            if args.speed:
                due_s = started_s + (time_ns - first_ns) / 1e9 / args.speed
                time.sleep(max(0.0, due_s - time.monotonic()))
            known = {name: value for name, value in zip(names, row, strict=True) if value == value}
            payload = msgspec.json.encode({"seq": number - 1, "ts": (time_ns + shift_ns) / 1e9, **known})
            waiting = client.publish(args.topic, payload, qos=args.qos)
            if number % 200 == 0:
                _confirmed(waiting, str(broker))
        if waiting is not None:
            _confirmed(waiting, str(broker))
    finally:
        client.disconnect()
        client.loop_stop()
    print(f"published {number} samples to {args.topic} at {broker}", file=sys.stderr)


def _confirmed(info: Any, broker: str) -> None:
    try:
        info.wait_for_publish(CONFIRM_S)
    except (RuntimeError, ValueError):
        pass
    if not info.is_published():
        raise UnavailableError(f"the broker at {broker} does not confirm what is published")
