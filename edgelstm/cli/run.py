"""`edgelstm run`: the daemon."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys

SUMMARY = (
    "Take samples from MQTT, step a detector per stream, publish alerts over MQTT. Runs until it is stopped."
)
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="configuration in TOML; see docs/daemon.md")
    parser.add_argument(
        "--shard", metavar="I/N", default="", help="take only every N-th stream, by its name: I is 0 to N-1"
    )


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration

    def load() -> configuration.Config:
        shard = {"EDGELSTM__NODE__SHARD": args.shard} if args.shard else {}
        return configuration.load(args.config, {**os.environ, **shard})

    config = load()
    _log_to_stderr(config)
    from edgelstm.daemon import systemd
    from edgelstm.daemon.service import Service
    from edgelstm.daemon.signals import Signals

    signals = Signals()
    while True:  # a reload ends the service with everything on disk, and the next one goes on from there
        with configuration.errors_named(args.config):
            service = Service(config, load, signals)
        service.run()
        if service.successor is None:
            return 0
        config = service.successor
        del service  # with its models and streams, before the next ones are loaded
        gc.unfreeze()
        gc.collect()
        systemd.notify("WATCHDOG=1")


class _Json(logging.Formatter):
    """A JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": record.created, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Journal(logging.Formatter):
    """For the journal, which has the time itself and reads the level from the first characters."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 3)}>{super().format(record)}"


def _log_to_stderr(config: object) -> None:
    from edgelstm.config import Config

    assert isinstance(config, Config)
    handler = logging.StreamHandler(sys.stderr)
    if config.node.log_format == "json":
        handler.setFormatter(_Json())
    elif os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_Journal("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=config.node.log_level.upper(), handlers=[handler])
