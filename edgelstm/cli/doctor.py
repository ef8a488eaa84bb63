"""`edgelstm doctor`: what of this machine and its broker will make trouble later, and what to change."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from edgelstm.config import Config

SUMMARY = "Look at clock, disk, kernels and broker of a configuration, and say what to change; exit code 1 if anything is bad."
ROUND_TRIPS, SLOW_MS = 20, 20.0
FREE_BYTES = 256 << 20
WINDOW_WANTED, PROBED = 100, 150
ANSWER_S = 5.0


class Finding(NamedTuple):
    """One thing looked at; level is ok, note or bad."""

    level: str
    subject: str
    text: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="configuration in TOML")


def run(args: argparse.Namespace) -> int:
    from edgelstm import config as configuration

    logging.getLogger("edgelstm").addHandler(logging.NullHandler())  # what a probe meets is a finding
    config = configuration.load(args.config)
    worst = 0
    from edgelstm.cli import doctor_nats

    for look in (_clock, _state_dir, _kernels, _daemon, _broker, _client_id, doctor_nats.look):
        for finding in look(config):
            worst |= finding.level == "bad"
            print(f"{finding.level:4}  {finding.subject:10}  {finding.text}", flush=True)
    return worst


def _clock(config: Config) -> Iterator[Finding]:
    if time.gmtime().tm_year < 2025:
        yield Finding(
            "bad", "clock", f"says {time.strftime('%Y-%m-%d')}: set it, or samples look far ahead of it"
        )
        return
    command = shutil.which("timedatectl")
    synchronised = ""
    if command:
        shown = [command, "show", "-p", "NTPSynchronized", "--value"]
        synchronised = subprocess.run(shown, capture_output=True, text=True, check=False).stdout.strip()
    if synchronised == "no":
        yield Finding("note", "clock", "is not synchronised: install chrony or systemd-timesyncd")
    else:
        yield Finding("ok", "clock", "plausible" + (", synchronised" if synchronised == "yes" else ""))


def _state_dir(config: Config) -> Iterator[Finding]:
    folder = config.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".doctor"
        started_s = time.perf_counter()
        with open(probe, "wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        sync_ms = (time.perf_counter() - started_s) * 1e3
        probe.unlink()
    except OSError as exc:
        yield Finding("bad", "state", f"{folder}: cannot be written: {exc.strerror}; set node.state_dir")
        return
    free = shutil.disk_usage(folder).free
    level = "bad" if free < FREE_BYTES else "ok"
    yield Finding(
        level, "state", f"{folder}: {free / 2**20:.0f} MiB free, a synced write takes {sync_ms:.1f} ms"
    )
    if sync_ms > 50 and config.durability.mode == "strict":
        yield Finding(
            "note", "state", 'slow for durability.mode = "strict", which syncs every batch: prefer "alerts"'
        )


def _kernels(config: Config) -> Iterator[Finding]:
    from edgelstm import detector
    from edgelstm.backend import kernels

    detector.warm_up()
    reason = kernels().not_kept()
    yield Finding("note" if reason else "ok", "kernels", reason or f"{kernels().variant()}, kept on disk")


def _daemon(config: Config) -> Iterator[Finding]:
    from edgelstm.daemon.control import ask
    from edgelstm.errors import UnavailableError

    try:
        found = ask(config.control_socket, "status")
    except UnavailableError:
        yield Finding("note", "daemon", "none is running on this state directory")
        return
    dropped = {
        name: count
        for name, count in found["health"]["counters"].items()
        if name.startswith("dropped") and count
    }
    yield Finding("bad" if found["trouble"] else "ok", "daemon", found["trouble"] or "running and connected")
    for name, count in dropped.items():
        yield Finding("note", "daemon", f"{name} {count}; docs/daemon.md says of what")


class _Probe:
    """A connection with a client id of its own, made like the daemon's."""

    def __init__(
        self,
        config: Config,
        name: str,
        on_messages: Callable[[list[Any]], None] | None = None,
        topic: str = "",
    ) -> None:
        from edgelstm.mqtt_link import Link

        self.topic = topic or f"{config.publish.base_topic}/{config.node_name}/doctor/{os.getpid()}"
        renamed = _renamed(config, f"{config.client_id}-doctor-{os.getpid()}-{name}")
        subscriptions = [(self.topic, 1)] if on_messages else []
        self.link = Link(renamed, "out", on_messages=on_messages, subscriptions=subscriptions)
        self.link.start()


def _renamed(config: Config, client_id: str) -> Config:
    import msgspec

    mqtt = msgspec.structs.replace(config.mqtt, client_id=client_id)
    return msgspec.structs.replace(config, mqtt=mqtt)


def hint_on(error: str) -> str:
    """Return which keys are about what a broker, or the way to it, said."""
    if "certificate" in error.lower():
        return "; mqtt.ca_file is the authority that signed the broker's certificate, mqtt.url has the name in it"
    if "authori" in error.lower() or "user name" in error.lower():
        return "; mqtt.username and mqtt.password_file (or $EDGELSTM_MQTT_PASSWORD) say who we are"
    return ""


def _broker(config: Config) -> Iterator[Finding]:
    """Measure round trips at QoS 1, and how many messages the broker sends without an acknowledgement."""
    arrived: list[Any] = []
    came = threading.Event()

    def take(messages: list[Any]) -> None:
        arrived.extend(messages)
        came.set()

    receiver, sender = _Probe(config, "in", take), _Probe(config, "out")
    try:
        if not (receiver.link.wait_connected(ANSWER_S) and sender.link.wait_connected(ANSWER_S)):
            error = receiver.link.last_error or sender.link.last_error or "no answer"
            yield Finding("bad", "broker", f"{config.mqtt.url}: {error}{hint_on(error)}")
            return
        time.sleep(0.3)
        if receiver.link.refused:
            yield Finding("bad", "broker", f"does not let us read {receiver.topic}: check its access rules")
            return
        times_ms = []
        for _ in range(ROUND_TRIPS):
            came.clear()
            started_s = time.perf_counter()
            sender.link.publish(receiver.topic, b"x", qos=1)
            if not came.wait(ANSWER_S):
                yield Finding(
                    "bad",
                    "broker",
                    f"what we publish to {receiver.topic} does not come back: check its access rules",
                )
                return
            times_ms.append((time.perf_counter() - started_s) * 1e3)
            receiver.link.acknowledge(arrived[-1:])
        middle_ms = statistics.median(times_ms)
        hint = "; let it set_tcp_nodelay true" if middle_ms > SLOW_MS else ""
        yield Finding("note" if hint else "ok", "broker", f"round trip at QoS 1: {middle_ms:.2f} ms{hint}")
        arrived.clear()
        for _ in range(PROBED):
            sender.link.publish(receiver.topic, b"x", qos=1)
        settled, deadline = -1, time.monotonic() + ANSWER_S
        while len(arrived) != settled and time.monotonic() < deadline:
            settled = len(arrived)
            time.sleep(0.3)
        small = settled < WINDOW_WANTED
        hint = (
            "; for more than some 5,000 messages a second let it have max_inflight_messages 1000"
            if small
            else ""
        )
        yield Finding(
            "note" if small else "ok", "broker", f"sends {settled} messages without an acknowledgement{hint}"
        )
        receiver.link.acknowledge(arrived)
    finally:
        sender.link.stop()
        receiver.link.stop()


def _client_id(config: Config) -> Iterator[Finding]:
    """Look for another daemon under our name, where none of ours runs: the two would throw each other out for ever."""
    import msgspec

    from edgelstm.daemon.control import ask
    from edgelstm.daemon.topics import ONLINE, Topics
    from edgelstm.errors import UnavailableError

    try:
        ask(config.control_socket, "ping")
        return  # it notices by itself, and `daemon` above has it
    except UnavailableError:
        pass
    said: list[Any] = []
    # in MQTT 5 a link asks for no retained messages
    older = msgspec.structs.replace(config, mqtt=msgspec.structs.replace(config.mqtt, protocol="3.1.1"))
    probe = _Probe(older, "twin", said.extend, Topics.of(config).status)
    try:
        if not probe.link.wait_connected(ANSWER_S):
            return  # `broker` above has it
        time.sleep(0.5)
        if any(message.payload == ONLINE for message in said):
            yield Finding(
                "bad",
                "client id",
                f"{probe.topic} is online, and no daemon runs on {config.state_dir}: another one has the node name "
                f'"{config.node_name}"; give each its own node.name (and mqtt.client_id), or they throw each other out',
            )
        else:
            yield Finding("ok", "client id", f'nobody else is online as "{config.node_name}"')
    finally:
        probe.link.stop()
