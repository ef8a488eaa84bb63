"""`edgelstm config`: a commented sample, the configuration that is in force, and its JSON Schema."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files

from edgelstm.errors import UsageError

SUMMARY = "Print a commented sample configuration, the effective one with every default, or its JSON Schema."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("sample", "show", "schema"))
    parser.add_argument("config", nargs="?", help="configuration in TOML, for show")


def run(args: argparse.Namespace) -> int:
    import msgspec

    from edgelstm import config as configuration

    if (args.action == "show") != bool(args.config):
        raise UsageError(
            "config show needs a file" if args.action == "show" else f"config {args.action} takes no file"
        )
    if args.action == "sample":
        print((files("edgelstm") / "gateway.toml").read_text(), end="")
    elif args.action == "schema":
        from edgelstm.schemas import config_schema

        print(json.dumps(config_schema(), indent=2))
    else:
        config = configuration.load(args.config)
        print(json.dumps(msgspec.to_builtins(config, enc_hook=configuration.written), indent=2))
    return 0
