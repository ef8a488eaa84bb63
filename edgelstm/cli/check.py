"""`edgelstm check`: what a configuration means, before it runs."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm.config import Config
    from edgelstm.stream import LoadedModel

SUMMARY = "Validate a configuration and its models, and show which stream and sample a payload would become."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="configuration in TOML")
    parser.add_argument("--topic", help="a topic that samples arrive on")
    parser.add_argument("--payload", help="what arrives on it")


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration
    from edgelstm import mqtt_credentials
    from edgelstm.daemon.service import load_models

    if args.payload is not None and args.topic is None:
        raise UsageError("--payload needs --topic: where does it arrive?")
    config = configuration.load(args.config)
    with configuration.errors_named(args.config):
        models = load_models(config)
        mqtt_credentials.password(config)
        mqtt_credentials.tls_context(config)
    _describe(config, models)
    if args.topic is not None:
        _explain(config, models, args.topic, args.payload)
    return 0


def _describe(config: Config, models: dict[str, LoadedModel]) -> None:
    print(f"node        {config.node_name}, state in {config.state_dir}")
    print(f"broker      {config.mqtt.url}, protocol {config.mqtt.protocol}")
    print(f"durability  {config.durability.mode}")
    for entry in config.model:
        loaded = models[entry.name]
        settings = loaded.model.detector_settings
        budget = settings.budget if settings else "no detector"
        print(
            f"model       {entry.name}: {', '.join(loaded.channel_names)}; {budget}; digest {loaded.digest[:12]}"
        )
    for wanted in config.input:
        print(
            f"input       {wanted.name}: {', '.join(wanted.topics) or wanted.source} -> model {wanted.model}, {wanted.format}"
        )
        if wanted.timestamp == "arrival" and not wanted.sequence:
            print(
                "            note: payloads have neither timestamp nor sequence here, so a sample that the broker "
                "sends twice is scored twice"
            )
    print("ok")


def _explain(config: Config, models: dict[str, LoadedModel], topic: str, payload: str | None) -> None:
    from edgelstm.alert_payload import timestamp
    from edgelstm.daemon.routes import Routes
    from edgelstm.sources.codecs import PayloadError

    route = Routes(config, models).find(topic)
    if route is None:
        raise UsageError(f'--topic {topic}: no input listens to it; topics are: '
                         f"{', '.join(t for entry in config.input for t in entry.topics)}")  # fmt: skip
    shown = route.stream() if "{key}" not in route.input.stream else "by key"
    print(f"topic       {topic} -> input {route.input.name}, stream {shown}")
    if payload is None:
        return
    try:
        blocks = route.decode(topic, payload.encode(), time.time_ns())
    except PayloadError as exc:
        raise UsageError(f"--payload: {exc}") from None
    if not blocks:
        print("sample      none (yet): the payload completes no row of channels")
    for block in blocks:
        when = "arrival" if block.time_ns is None else timestamp(block.time_ns)
        sequence = "" if block.sequence is None else f", sequence {block.sequence}"
        stream = f"stream {route.stream(block.key)}: " if block.key else ""
        for row in block.values.tolist():
            values = ", ".join(
                f"{name} {'missing' if value != value else f'{value:g}'}"
                for name, value in zip(route.model.channel_names, row, strict=True)
            )
            print(f"sample      {stream}{when}{sequence}: {values}")
