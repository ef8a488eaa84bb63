"""The daemon's configuration: frozen records read from TOML; a wrong key or value is an error that names itself.

Only keys that do something are accepted. `EDGELSTM__MQTT__URL=...` in the environment overrides `mqtt.url`.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import SplitResult, urlsplit

import msgspec

from edgelstm.errors import ConfigError

_DURATIONS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
NATS = "nats:"


class Duration(float):
    """Seconds; written as "15s", "500ms", "2h", "7d"."""


class Size(int):
    """Bytes; written as "256KiB", "32MiB"."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who we are, and where state is kept."""

    name: str = ""  # default: the host's name
    shard: str = ""  # I/N: take only every N-th stream, by its name
    state_dir: str = ""  # default: $STATE_DIRECTORY, else the platform's directory for state
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker that samples come from and alerts go to."""

    url: str = "mqtt://127.0.0.1:1883"  # mqtt, mqtts
    protocol: Literal["auto", "5", "3.1.1"] = "auto"  # auto: 5, then 3.1.1
    client_id: str = ""  # default: edgelstm-<node>; "-in" and "-out" are appended
    username: str = ""
    password_file: str = ""  # or $EDGELSTM_MQTT_PASSWORD
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive: Duration = Duration(10.0)
    session_expiry: Duration = Duration(86400.0)
    receive_maximum: int = 1000
    max_payload: Size = Size(256 << 10)
    reconnect_min: Duration = Duration(1.0)
    reconnect_max: Duration = Duration(4.0)
    refused_pause: Duration = Duration(60.0)  # after a refusal that only a person can end
    startup: Literal["retry", "exit"] = "retry"  # where no broker answers at the start


class NatsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The NATS server that inputs with a source of nats: take samples from; see docs/scale.md."""

    url: str = "nats://127.0.0.1:4222"  # nats, tls
    credentials_file: str = ""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""


class PublishConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is published, and how often."""

    base_topic: str = "edgelstm"
    scores: Literal["off", "all", "on_change"] = "on_change"
    score_interval: Duration = Duration(1.0)
    state_interval: Duration = Duration(60.0)
    health_interval: Duration = Duration(60.0)


class DurabilityConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What survives a crash; see docs/daemon.md."""

    mode: Literal["none", "alerts", "strict"] = "alerts"
    snapshot_interval: Duration = Duration(30.0)
    write_budget: Size = Size(
        20 << 20
    )  # bytes of snapshots a day, which are rarer rather than more; 0: no limit
    outbox_max_bytes: Size = Size(32 << 20)
    outbox_max_age: Duration = Duration(7 * 86400.0)


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is bounded."""

    max_streams: int = 2000
    new_streams_per_minute: int = 2000
    idle_evict: Duration = Duration(86400.0)  # silent streams are kept on disk only
    queue: int = 10_000  # messages received and not yet scored
    future: Duration = Duration(300.0)  # samples further ahead of our clock are refused


class ControlConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests over MQTT; off, because whoever may publish to the broker could send them."""

    enabled: bool = False
    allow: tuple[str, ...] = ("ping", "status", "streams/list")
    public_key: str = ""  # model/install then asks for an Ed25519 signature of this key


class HomeAssistantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Streams as devices of Home Assistant."""

    enabled: bool = False
    prefix: str = "homeassistant"
    status_topic: str = "homeassistant/status"


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prometheus metrics and health over HTTP."""

    listen: str = ""  # such as 127.0.0.1:9465; off where empty


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model file, by the name that inputs call it."""

    name: str
    path: str
    sha256: str = ""  # of the file, checked when given
    shadow_samples: int = (
        200  # that a new version judges beside the one in force, before it takes over and after
    )
    latency_budget: Duration = Duration(0.0)  # for a sample; 0: four times what the version before takes
    alert_budget: int = 3  # alerts that a new version may raise beyond those of the one before


class InputConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topics whose payloads are samples of streams."""

    name: str
    model: str
    topics: tuple[str, ...] = ()
    source: str = ""  # instead of topics: stdin:, file:PATH, unix:PATH, serial:PATH, nats:STREAM
    subject: str = ""  # of nats:; {shard} is our part, and what comes behind it the topic
    stream: str = "{topic}"  # {topic}, levels {0}, {1}, ... of the topic, {key}
    qos: int = 1
    format: Literal["json", "msgpack", "raw", "scalar", "csv", "influx", "senml", "sparkplug", "device"] = (
        "json"
    )
    channels: tuple[str, ...] = ()  # dotted paths in the payload, in the order of the model's channels
    timestamp: str = "arrival"  # a dotted path, "arrival", or "own" where the format has a place for it
    timestamp_format: Literal["unix_s", "unix_ms", "unix_us", "unix_ns", "rfc3339"] = "unix_s"
    sequence: str = ""  # dotted path of the sender's own counter
    key: str = ""  # what in the payload tells streams apart: a dotted path, tags of influx, "bn" of senml
    channel: str = ""  # scalar: template of the channel's name, from levels of the topic
    join_tolerance: Duration = Duration(0.0)  # scalar: how long a value holds; 0: two periods of the model
    stale_after: Duration = Duration(0.0)  # silent for so long: availability goes offline; 0: never
    detector: dict[str, Any] = {}  # settings that override those of the model file

    @property
    def filters(self) -> tuple[str, ...]:
        """Return the filters of the topics that samples arrive on."""
        if not self.subject:
            return self.topics
        behind = self.subject.rpartition("{shard}.")[2]
        return (behind.replace(".", "/").replace("*", "+").replace(">", "#"),)

    @property
    def is_partitioned(self) -> bool:
        """Whether every shard is sent its own streams only."""
        return "{shard}" in self.subject


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    config_version: int = 1
    node: NodeConfig = NodeConfig()
    mqtt: MqttConfig = MqttConfig()
    nats: NatsConfig = NatsConfig()
    publish: PublishConfig = PublishConfig()
    durability: DurabilityConfig = DurabilityConfig()
    limits: LimitsConfig = LimitsConfig()
    control: ControlConfig = ControlConfig()
    homeassistant: HomeAssistantConfig = HomeAssistantConfig()
    metrics: MetricsConfig = MetricsConfig()
    model: tuple[ModelConfig, ...] = ()
    input: tuple[InputConfig, ...] = ()

    @property
    def shard(self) -> tuple[int, int]:
        """Return which of how many shards this daemon is."""
        if not self.node.shard:
            return 0, 1
        index, _, count = self.node.shard.partition("/")
        return int(index), int(count)

    @property
    def shard_suffix(self) -> str:
        """Return what tells the shards of one configuration apart, "" where there is one."""
        index, count = self.shard
        return f"-shard-{index}-of-{count}" if count > 1 else ""

    @property
    def node_name(self) -> str:
        return slug(self.node.name or platform.node() or "node")

    @property
    def broker(self) -> SplitResult:
        return urlsplit(self.mqtt.url)

    @property
    def client_id(self) -> str:
        return (self.mqtt.client_id or f"edgelstm-{self.node_name}") + self.shard_suffix

    @property
    def control_socket(self) -> Path:
        """Return where a running daemon answers its own user."""
        return self.state_dir / "control"

    @property
    def state_dir(self) -> Path:
        """Return the directory of database and snapshots: configured, systemd's, or the platform's."""
        chosen = self.node.state_dir or os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        state_home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(chosen) if chosen else Path(state_home) / "edgelstm"
        return folder / self.shard_suffix.strip("-") if self.shard_suffix else folder


def slug(text: str) -> str:
    """Return `text` with whatever has no place in a topic level or a file name replaced by "_"."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.") or "_"


def stream_name(entry: InputConfig, topic: str, key: str = "") -> str:
    """Return the name that the input's template gives to the stream of a topic, and of a key in its payloads."""
    levels = topic.split("/")
    return slug(
        entry.stream.format(*levels, *[""] * (32 - len(levels)), topic=topic.replace("/", "_"), key=key)
    )


def load(path: str | os.PathLike[str], environment: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration; relative paths in it are relative to its own folder.

    Raises ConfigError: one line with file, key, what was found, and what to do.
    """
    from edgelstm.config_check import check  # which knows the records of this file

    source = Path(path)
    try:
        document = tomllib.loads(source.read_text())
    except OSError as exc:
        raise ConfigError(f"{source}: cannot be read: {exc.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{source}: is no TOML: {exc}") from None
    try:
        _override(document, environment)
        config = msgspec.convert(document, Config, dec_hook=_convert)
        check(config)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{source}: {explain(str(exc), Config)}") from None
    except ConfigError as exc:
        raise ConfigError(f"{source}: {exc}") from None
    return _absolute(config, source.parent)


@contextlib.contextmanager
def errors_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the file in front of what is wrong with a configuration only where its models are known."""
    try:
        yield
    except ConfigError as exc:
        raise ConfigError(f"{path}: {exc}") from None


def _override(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        if not variable.startswith("EDGELSTM__"):
            continue
        section, _, key = variable.removeprefix("EDGELSTM__").lower().partition("__")
        if not key or section not in (
            "node",
            "mqtt",
            "nats",
            "publish",
            "durability",
            "limits",
            "control",
            "homeassistant",
            "metrics",
        ):
            raise ConfigError(f"${variable}: expected EDGELSTM__SECTION__KEY, such as EDGELSTM__MQTT__URL")
        table = document.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{section}: is {table!r}, expected a table: [{section}]")
        number = get_type_hints(get_type_hints(Config)[section]).get(key) is int
        table[key] = int(value) if number and re.fullmatch(r"-?\d+", value) else value


def _convert(kind: type, value: Any) -> Any:
    for wanted, units, example in ((Duration, _DURATIONS, "15s"), (Size, _SIZES, "256KiB")):
        if kind is wanted:
            found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", value) if isinstance(value, str) else None
            if found is None or found[2] not in units:
                raise ValueError(
                    f'is {value!r}, expected a number and one of {", ".join(units)}, such as "{example}"'
                )
            return wanted(float(found[1]) * units[found[2]])
    raise NotImplementedError(kind)


def written(value: object) -> str:
    """Return a duration or a size as it would be written in the file."""
    units = _DURATIONS if isinstance(value, Duration) else _SIZES
    assert isinstance(value, Duration | Size)
    unit = max(
        (unit for unit in units if units[unit] <= value and value % units[unit] == 0),
        key=units.__getitem__,
        default="",
    )
    unit = unit or next(iter(units))
    return f"{value / units[unit]:g}{unit}"


def explain(message: str, root: type) -> str:
    """Return msgspec's message about a `root` with the key in front, and what may have been meant."""
    text, _, where = message.partition(" - at `$")
    key = re.sub(r"\[\.\.\.\]|\[(\d+)\]", lambda m: m[0], where.rstrip("`").lstrip("."))
    unknown = re.match(r"Object contains unknown field `(.+)`", text)
    if unknown:
        known = _fields_at(key, root)
        close = difflib.get_close_matches(unknown[1], known, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(known)}"
        return f"{'.'.join(filter(None, (key, unknown[1])))}: unknown key; {hint}"
    missing = re.match(r"Object missing required field `(.+)`", text)
    if missing:
        return f"{'.'.join(filter(None, (key, missing[1])))}: is missing"
    return f"{key}: {text[0].lower() + text[1:]}" if key else text


def _fields_at(key: str, root: type) -> list[str]:
    kind: Any = root
    for part in re.findall(r"[a-z_]+", key):
        hint = get_type_hints(kind).get(part)
        kind = get_args(hint)[0] if get_origin(hint) is tuple else hint
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _absolute(config: Config, folder: Path) -> Config:
    """Return the configuration with every path made absolute."""

    def resolve(path: str) -> str:
        return str(folder.resolve() / path) if path else path

    mqtt = {
        name: resolve(getattr(config.mqtt, name))
        for name in ("password_file", "ca_file", "cert_file", "key_file")
    }

    nats = {
        name: resolve(getattr(config.nats, name)) for name in ("credentials_file", "password_file", "ca_file")
    }

    def opened(source: str) -> str:
        if source.startswith(NATS):
            return source
        scheme, separator, address = source.partition(":")
        return f"{scheme}{separator}{resolve(address)}"

    return msgspec.structs.replace(
        config,
        input=tuple(msgspec.structs.replace(entry, source=opened(entry.source)) for entry in config.input),
        node=msgspec.structs.replace(config.node, state_dir=resolve(config.node.state_dir)),
        mqtt=msgspec.structs.replace(config.mqtt, **mqtt),
        control=msgspec.structs.replace(config.control, public_key=resolve(config.control.public_key)),
        nats=msgspec.structs.replace(config.nats, **nats),
        model=tuple(msgspec.structs.replace(model, path=resolve(model.path)) for model in config.model),
    )
