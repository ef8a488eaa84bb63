"""`edgelstm schema`: the JSON Schema of a payload that the daemon publishes."""

from __future__ import annotations

import argparse
import json

SUMMARY = "Print the JSON Schema of a payload: alert, state, score, info, health or response."


def configure(parser: argparse.ArgumentParser) -> None:
    from edgelstm.schemas import PAYLOADS

    parser.add_argument("payload", choices=sorted(PAYLOADS))


def run(args: argparse.Namespace) -> int:
    from edgelstm.schemas import payload_schema

    print(json.dumps(payload_schema(args.payload), indent=2))
    return 0
