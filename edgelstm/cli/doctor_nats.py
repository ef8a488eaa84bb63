"""What of a NATS server will make trouble: whether it answers, keeps what we want to read, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgelstm.cli.doctor import Finding

if TYPE_CHECKING:
    from edgelstm.config import Config

NEARLY_FULL = 0.9


def look(config: Config) -> Iterator[Finding]:
    """Look at the server, and at the stream and the consumer of every input that reads from it."""
    entries = [entry for entry in config.input if entry.source.startswith("nats:")]
    if entries:
        yield from asyncio.run(_look(config, entries))


async def _look(config: Config, entries: list[Any]) -> list[Finding]:
    try:
        import nats  # noqa: F401
    except ImportError:
        return [Finding("bad", "nats", 'needs a client: pip install "edgelstm[nats]"')]
    from edgelstm.sources.nats_stream import connect, consumer_name

    try:
        client = await connect(config, "edgelstm-doctor")
    except Exception as exc:  # whatever the client or the system says of it
        text = str(exc) or type(exc).__name__
        return [Finding("bad", "nats", f"{config.nats.url}: {text}; is it running, is nats.url right?")]
    try:
        found = [await _server(client, config)]
        if found[0].level != "bad":
            for entry in entries:
                found += await _stream(client.jetstream(), config, entry, consumer_name(config, entry.name))
        return found
    finally:
        await client.close()


async def _server(client: Any, config: Config) -> Finding:
    from nats.errors import Error

    try:
        account = await client.jetstream().account_info()
    except (Error, TimeoutError):
        return Finding(
            "bad", "nats", f"{config.nats.url}: keeps no streams: let it have a jetstream {{ }} block"
        )
    limit, used = account.limits.max_storage, account.storage
    room = f"{used / 2**20:.0f} MiB kept" + (f" of {limit / 2**20:.0f}" if limit > 0 else "")
    if 0 < limit * NEARLY_FULL < used:
        return Finding("bad", "nats", f"{room}: nearly full; give streams --max-age, or the server more")
    return Finding("ok", "nats", f"{config.nats.url}: answers, {room}")


async def _stream(jetstream: Any, config: Config, entry: Any, consumer: str) -> list[Finding]:
    from nats.js.errors import NotFoundError

    name, subject = entry.source.removeprefix("nats:"), entry.subject
    try:
        info = await jetstream.stream_info(name)
    except NotFoundError:
        wanted = subject.replace("{shard}", "*")
        command = (
            f"nats stream add {name} --subjects '{wanted}' --storage file --retention limits --max-age 2d"
        )
        return [Finding("bad", "nats", f'the server has no stream "{name}"; make it: {command}')]
    return [
        *_kept(name, info, subject.replace("{shard}", str(config.shard[0]))),
        await _consumer(jetstream, name, consumer),
    ]


def _kept(name: str, info: Any, subject: str) -> Iterator[Finding]:
    """Hold what the stream takes in, and what it throws away, against what a worker needs."""
    settings, state = info.config, info.state
    taken = settings.subjects or []
    if not any(overlap(subject, pattern) for pattern in taken):
        yield Finding(
            "bad",
            "nats",
            f"stream {name} keeps {', '.join(taken)}, and nothing of {subject}: change input.subject",
        )
    if settings.retention != "limits":
        yield Finding(
            "bad",
            "nats",
            f"stream {name} has retention {settings.retention}: a worker begins again at a number, which needs limits",
        )
    if settings.storage != "file":
        yield Finding(
            "note",
            "nats",
            f"stream {name} is kept in memory: what is not scored is lost with the server; use --storage file",
        )
    if settings.max_bytes and settings.max_bytes > 0 and state.bytes > NEARLY_FULL * settings.max_bytes:
        yield Finding("note", "nats", f"stream {name} is nearly full ({state.bytes / 2**20:.0f} of {settings.max_bytes / 2**20:.0f} MiB): "
                      f"{'the server refuses what is new' if settings.discard == 'new' else 'the oldest messages go'}; raise --max-bytes")  # fmt: skip
    limits = [settings.max_age, settings.max_bytes, settings.max_msgs]
    if not any(limit and limit > 0 for limit in limits):
        yield Finding(
            "note",
            "nats",
            f"stream {name} grows without end: give it --max-age, longer than a worker may be away",
        )
    age = f", for {settings.max_age / 3600:.0f} h" if settings.max_age else ""
    yield Finding("ok", "nats", f"stream {name} keeps {state.messages} messages{age}")


async def _consumer(jetstream: Any, stream: str, consumer: str) -> Finding:
    from nats.js.errors import NotFoundError

    try:
        info = await jetstream.consumer_info(stream, consumer)
    except NotFoundError:
        return Finding("note", "nats", f"consumer {consumer} is not there: a worker makes it when it starts")
    reads = "a worker reads" if info.num_waiting else "no worker reads now"
    return Finding("ok", "nats", f"consumer {consumer}: {reads}, {info.num_pending} messages wait for it")


def overlap(one: str, other: str) -> bool:
    """Whether any subject matches both patterns, with `*` for a level and `>` for all that follow."""
    mine, theirs = one.split("."), other.split(".")
    for a, b in zip(mine, theirs, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(mine) == len(theirs)
