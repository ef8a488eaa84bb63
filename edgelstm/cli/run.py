"""`edgelstm run`: the daemon."""

from __future__ import annotations

import argparse
import logging
import sys

SUMMARY = (
    "Take samples from MQTT, step a detector per stream, publish alerts over MQTT. Runs until it is stopped."
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="configuration in TOML; see docs/daemon.md")


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration

    config = configuration.load(args.config)
    logging.basicConfig(
        level=config.node.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    from edgelstm.daemon.service import Service

    with configuration.errors_named(args.config):
        service = Service(config)
    service.run()
    return 0
