"""Where the broker is, as verbs that are only clients are told: a URL, or mosquitto_sub's short flags."""

from __future__ import annotations

import argparse
import os
from typing import NamedTuple
from urllib.parse import urlsplit

from edgelstm.errors import UsageError


class Broker(NamedTuple):
    """Host, port and credentials of a broker without TLS."""

    host: str
    port: int
    username: str | None
    password: str | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --broker, -h, -p, -u and -P."""
    parser.add_argument("--broker", metavar="URL", help="mqtt://HOST:PORT; default: mqtt://127.0.0.1:1883")
    parser.add_argument("-h", "--host", help="the broker's host")
    parser.add_argument("-p", "--port", type=int, help="the broker's port")
    parser.add_argument("-u", "--username")
    parser.add_argument(
        "-P", "--password", help="better: $EDGELSTM_MQTT_PASSWORD, which other users cannot see"
    )


def broker(args: argparse.Namespace) -> Broker:
    """Return the broker that the arguments name; raises UsageError."""
    text = args.broker or "mqtt://127.0.0.1"
    url = urlsplit(text if "//" in text else f"mqtt://{text}")
    try:
        port = args.port or url.port or 1883
    except ValueError:
        port = -1
    host = args.host or url.hostname
    if args.port is not None and not 0 < args.port < 65_536:
        raise UsageError(f"--port {args.port}: expected 1 to 65535")
    if url.scheme != "mqtt" or not host or not 0 < port < 65_536:
        raise UsageError(f"--broker {text}: expected mqtt://HOST:PORT")
    password = args.password or url.password or os.environ.get("EDGELSTM_MQTT_PASSWORD")
    return Broker(host, port, args.username or url.username, password)
