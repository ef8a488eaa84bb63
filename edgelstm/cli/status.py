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
        *(f"model       {name} {_model(model)}" for name, model in health["models"].items()),
        f"counters    {', '.join(f'{name} {count}' for name, count in counters.items())}",
    ]
    return "\n".join(lines)


def _model(model: dict[str, Any]) -> str:
    """Return the version that judges, how far a change of it is, and the last that was taken back."""
    counted = f"{model['samples']} of {model['samples_wanted']} samples"
    text = {
        "in force": f"{model['version']} in force",
        "shadow": f"{model['version']} in force, {model['candidate']} in the shadow, {counted}",
        "probation": f"{model['version']} in force, on probation, {counted}",
        "unknown": f"{model['version']} in force; what is written down of it cannot be read, see: edgelstm model list",
    }[model["phase"]]
    last = model["last_rollback"]
    return f"{text}; {last['version']} was taken back {last['ts']}: {last['reason']}" if last else text
