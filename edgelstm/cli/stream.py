"""`edgelstm stream`: look at and act on the streams of a running daemon."""

from __future__ import annotations

import argparse
import json

from edgelstm.errors import UsageError

SUMMARY = "List the streams of a running daemon; pause one, resume it, let it begin anew, or remove it."
ACTIONS = ("list", "pause", "resume", "reset", "remove")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("config", help="configuration in TOML")
    parser.add_argument("stream", nargs="?", help="its name, for all but list")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration
    from edgelstm.daemon.control import ask

    config = configuration.load(args.config)
    if (args.action == "list") == bool(args.stream):
        raise UsageError(
            "stream list takes no name" if args.stream else f"stream {args.action} which? Give its name"
        )
    if args.action != "list":
        found = ask(config.control_socket, f"stream/{args.action}", {"stream": args.stream})
        print(json.dumps(found) if args.json else f"{found['stream']}  {found['state']}")
        return 0
    streams = ask(config.control_socket, "streams/list")
    if args.json:
        print(json.dumps(streams, indent=2))
        return 0
    for stream in streams:
        score = "-" if stream["score"] is None else f"{stream['score']:.2f}"
        print(
            f"{stream['stream']:24}  {stream['state']:8}  score {score:>7}  samples {stream['samples']}  {stream['topic']}"
        )
    return 0
