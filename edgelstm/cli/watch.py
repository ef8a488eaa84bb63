"""`edgelstm watch`: alerts as they arrive, a line each; the short flags are those of mosquitto_sub."""

from __future__ import annotations

import argparse
import queue
import re
import string
import sys
import time
from typing import Any

from edgelstm.cli import broker_url
from edgelstm.errors import UnavailableError, UsageError

SUMMARY = "Print alerts as they arrive over MQTT."
DEFAULT_TOPIC = "edgelstm/+/stream/+/alert"
CONNECT_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    broker_url.add_arguments(parser)
    parser.add_argument("-t", "--topic", default=DEFAULT_TOPIC, help="default: %(default)s")
    parser.add_argument("-C", "--count", type=int, metavar="N", help="exit after N alerts")
    parser.add_argument("-W", "--wait", type=float, metavar="SECONDS", help="exit after so long")
    parser.add_argument(
        "-F", "--format", default="line", metavar="FORMAT",
        help='"line", "json", or text with fields of the payload, such as "{ts} {stream} {event_type} {score:.1f}"',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    import paho.mqtt.client as paho

    broker = broker_url.broker(args)
    _check_format(args.format, args.topic)
    arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    refused: queue.SimpleQueue[str] = queue.SimpleQueue()

    def connected(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            refused.put(str(reason))
        else:
            client.subscribe(args.topic, 1)

    client.on_connect = connected
    client.on_message = lambda client, data, message: arrived.put((message.topic, message.payload))
    client.reconnect_delay_set(1, 10)
    client.connect_timeout = CONNECT_S
    try:
        client.connect(broker.host, broker.port)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise UnavailableError(
            f"no broker at {broker} ({reason}); say where it is with --broker or -h and -p"
        ) from None
    client.loop_start()
    print(f"watching {args.topic} at {broker}; Ctrl-C stops", file=sys.stderr)
    try:
        return _print_alerts(args, arrived, refused, str(broker))
    finally:
        client.disconnect()
        client.loop_stop()


def _check_format(form: str, topic: str) -> None:
    """Raise UsageError for what is no format, before an alert comes that could not be shown."""
    from edgelstm.alert_payload import FIELDS

    try:
        named = [name for _, name, _, _ in string.Formatter().parse(form) if name is not None]
    except ValueError as exc:
        raise UsageError(f'--format "{form}": {exc}') from None
    for name in named:
        if topic.endswith("/alert") and re.split(r"[.\[]", name)[0] not in (*FIELDS, "mqtt_topic"):
            raise UsageError(f'--format: an alert has no field "{name}"; it has {", ".join(FIELDS)}')


def _print_alerts(
    args: argparse.Namespace,
    arrived: queue.SimpleQueue[tuple[str, bytes]],
    refused: queue.SimpleQueue[str],
    broker: str,
) -> int:
    """Print until the count or the time is reached; exit code 27, as mosquitto_sub's, where the time came first."""
    deadline = time.monotonic() + args.wait if args.wait else None
    printed = 0
    while args.count is None or printed < args.count:
        if not refused.empty():
            raise UnavailableError(f"the broker at {broker} refused us: {refused.get()}")
        left_s = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
        if left_s <= 0:
            return 27 if args.count is not None else 0
        try:
            topic, payload = arrived.get(timeout=left_s)
        except queue.Empty:
            continue
        print(_text(args.format, topic, payload), flush=True)
        printed += 1
    return 0


def _text(form: str, topic: str, payload: bytes) -> str:
    import msgspec

    from edgelstm.alert_payload import event_line

    if form == "json":
        return payload.decode(errors="replace")
    try:
        found = msgspec.json.decode(payload, type=dict)
        if form != "line":
            return form.format(**found, mqtt_topic=topic)
        return f"{found['node']}/{found['stream']}  {event_line(found)}"
    except KeyError as exc:
        if form != "line":
            raise UsageError(f"--format: the payload has no field {exc}") from None
    except (msgspec.DecodeError, TypeError, ValueError, IndexError, AttributeError):
        pass
    return f"{topic}  {payload.decode(errors='replace')}"  # no alert: shown as it is
