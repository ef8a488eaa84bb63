"""`edgelstm status`: what a running daemon says of itself."""

from __future__ import annotations

import argparse
import json
from typing import Any

SUMMARY = (
    "Ask the running daemon of a configuration how it is; exit code 0 if it is connected and makes progress."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="configuration in TOML")
    parser.add_argument("--json", action="store_true", help="print the whole answer")


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration
    from edgelstm.daemon.control import ask

    config = configuration.load(args.config)
    found = ask(config.control_socket, "status")
    print(json.dumps(found, indent=2) if args.json else _text(found))
    return 0 if not found["trouble"] else 1


def _text(found: dict[str, Any]) -> str:
    health = found["health"]
    counters = {name: count for name, count in health["counters"].items() if count}
    connected = ", ".join(f"{link} {'up' if up else 'DOWN'}" for link, up in health["connected"].items())
    lines = [
        f"state       {found['trouble'] or 'ok'}",
        f"uptime      {health['uptime_s']:.0f} s, memory {health['rss_bytes'] / 2**20:.0f} MiB",
        f"links       {connected}",
        f"streams     {health['streams']}, open alerts {health['open_alerts']}",
        f"waiting     {health['queue']} messages, {health['outbox']} alerts",
        f"counters    {', '.join(f'{name} {count}' for name, count in counters.items())}",
    ]
    return "\n".join(lines)
