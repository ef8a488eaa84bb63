"""What the values of a configuration may be, and which of them go together."""

from __future__ import annotations

import difflib
import re
from urllib.parse import urlsplit

from edgelstm.config import DEFAULT_PORTS, NATS, Config, Duration, InputConfig, Size
from edgelstm.errors import ConfigError
from edgelstm.topic_filters import filters_overlap, valid_filter

_SOURCES = ("stdin:", "file:PATH", "unix:PATH", "serial:PATH", "nats:STREAM")
_LINE_FORMATS = ("json", "csv", "influx", "senml")
_FRAME_FORMATS = ("raw", "device")
_OWN_TIME = ("influx", "senml", "sparkplug")
_FORMATS_WITH = {
    "timestamp": ("json", "msgpack", "csv", *_OWN_TIME),
    "sequence": ("json", "msgpack", "csv"),
    "channels": ("json", "msgpack", "csv", "scalar", *_OWN_TIME),
    "key": ("json", "msgpack", "influx", "senml"),
    "channel": ("scalar",),
    "join_tolerance": ("scalar",),
}
"""Keys of an input, and the formats that they mean something for."""
_RANGES: dict[str, tuple[float, float]] = {
    "mqtt.keepalive": (1, 65_535),
    "mqtt.session_expiry": (0, 4_294_967_295),
    "mqtt.receive_maximum": (1, 65_535),
    "mqtt.max_payload": (1, 128 << 20),
    "mqtt.reconnect_min": (0.1, 3600),
    "mqtt.reconnect_max": (0.1, 86_400),
    "mqtt.refused_pause": (0.1, 86_400),
    "publish.state_interval": (0.1, 1e9),
    "publish.health_interval": (0.1, 1e9),
    "durability.snapshot_interval": (0.1, 1e9),
    "durability.outbox_max_bytes": (1 << 16, 1 << 40),
    "durability.outbox_max_age": (1, 1e9),
    "limits.max_streams": (1, 1_000_000),
    "limits.queue": (1, 10_000_000),
    "limits.future": (0, 1e9),
    "limits.new_streams_per_minute": (1, 1_000_000),
    "limits.idle_evict": (0.1, 1e9),
}
LISTEN = re.compile(r"(?:127\.0\.0\.1|localhost|\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):\d{1,5}")


def check(config: Config) -> None:
    """Hold a configuration that has the right form against what its values may be; raises ConfigError."""
    if config.config_version != 1:
        raise ConfigError(f"config_version: is {config.config_version}; this edgelstm knows 1")
    _check_url(config.mqtt.url)
    if not config.model:
        raise ConfigError("model: no [[model]] is configured")
    if not config.input:
        raise ConfigError("input: no [[input]] is configured, so no topic would be listened to")
    for what, names in (("model", [m.name for m in config.model]), ("input", [i.name for i in config.input])):
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f'{what}: two are named "{name}"')
    for number, model in enumerate(config.model):
        _range(f"model[{number}].shadow_samples", model.shadow_samples, 1, 10_000_000)
        _range(f"model[{number}].alert_budget", model.alert_budget, 0, 1_000_000)
    for key, (low, high) in _RANGES.items():
        section, name = key.split(".")
        _range(key, getattr(getattr(config, section), name), low, high)
    if config.mqtt.reconnect_max < config.mqtt.reconnect_min:
        raise ConfigError("mqtt.reconnect_max: is less than mqtt.reconnect_min")
    if config.limits.queue < config.mqtt.receive_maximum:
        raise ConfigError(
            f"limits.queue: is {config.limits.queue}, less than mqtt.receive_maximum ({config.mqtt.receive_maximum}): "
            "the broker could send more than fits"
        )
    if config.node.shard and not (
        re.fullmatch(r"\d+/[1-9]\d*", config.node.shard) and config.shard[0] < config.shard[1]
    ):
        raise ConfigError(
            f'node.shard: is "{config.node.shard}", expected I/N with I from 0 to N-1, such as 0/4'
        )
    if config.metrics.listen and not LISTEN.fullmatch(config.metrics.listen):
        raise ConfigError(
            f'metrics.listen: is "{config.metrics.listen}", expected HOST:PORT, such as 127.0.0.1:9465'
        )
    for key in ("prefix", "status_topic"):
        topic = getattr(config.homeassistant, key)
        if not topic or any(character in topic for character in "+#"):
            raise ConfigError(f'homeassistant.{key}: is "{topic}", expected a topic without wildcards')
    base = config.publish.base_topic
    if not base or any(character in base for character in "+#") or base.startswith(("/", "$")):
        raise ConfigError(f'publish.base_topic: is "{base}", expected a topic without wildcards')
    for number, entry in enumerate(config.input):
        _check_input(config, f"input[{number}]", entry)


def _check_levels(key: str, template: str, topic: str) -> None:
    """Require the topic to have every level that the template names: else all its streams would get one name."""
    levels = topic.split("/")
    try:
        template.format(*levels, topic=topic, key="x")
    except IndexError:
        raise ConfigError(
            f'{key}: is "{template}", but "{topic}" has only the levels {{0}} to {{{len(levels) - 1}}}'
        ) from None


def _check_url(text: str) -> None:
    try:
        url = urlsplit(text)
        good = url.scheme in DEFAULT_PORTS and bool(url.hostname) and url.port != 0 and url.path in ("", "/")
    except ValueError:  # a port that is none, a bracket that is never closed
        good = False
    if not good:
        raise ConfigError(f'mqtt.url: is "{text}", expected mqtt://HOST:PORT or mqtts://HOST:PORT')
    if url.username is not None or url.password is not None:
        raise ConfigError(
            "mqtt.url: holds a user; set mqtt.username, and mqtt.password_file or $EDGELSTM_MQTT_PASSWORD"
        )


def _check_input(config: Config, where: str, entry: InputConfig) -> None:
    models = [model.name for model in config.model]
    if entry.model not in models:
        close = difflib.get_close_matches(entry.model, models, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"configured: {', '.join(models)}"
        raise ConfigError(f'{where}.model: no [[model]] is named "{entry.model}"; {hint}')
    _range(f"{where}.qos", entry.qos, 0, 1)
    _check_origin(config, where, entry)
    for key in ("stream", "channel"):
        try:
            getattr(entry, key).format(*["x"] * 32, topic="x", key="x")
        except (LookupError, ValueError, AttributeError, TypeError):
            raise ConfigError(
                f'{where}.{key}: is "{getattr(entry, key)}", expected text with {{topic}}, {{key}} or levels {{0}}, {{1}}'
            ) from None
    for topic in entry.filters:
        if not topic.endswith("#"):
            _check_levels(f"{where}.stream", entry.stream, topic)
    _check_format(where, entry)
    counted = bool(entry.sequence) or entry.source.startswith(NATS)
    if config.durability.mode == "strict" and entry.timestamp == "arrival" and not counted:
        raise ConfigError(
            f"{where}.timestamp: without a timestamp or a sequence a redelivered sample cannot be recognised, "
            'which durability.mode = "strict" needs'
        )


def _check_origin(config: Config, where: str, entry: InputConfig) -> None:
    """Check where an input's samples come from: topics of the broker, or a source."""
    if bool(entry.topics) == bool(entry.source):
        raise ConfigError(f"{where}: needs either topics of the broker or a source, such as {_SOURCES[1]}")
    if entry.source:
        scheme, _, address = entry.source.partition(":")
        known = [example.partition(":")[0] for example in _SOURCES]
        if scheme not in known or bool(address) == (scheme == "stdin"):
            raise ConfigError(f'{where}.source: is "{entry.source}", expected one of {", ".join(_SOURCES)}')
        if scheme == "serial" and entry.format not in _FRAME_FORMATS:
            raise ConfigError(
                f'{where}.format: "{entry.format}"; the frames of a serial line hold samples as "raw", or with what the '
                'device decided of them, "device"'
            )
        if scheme not in ("serial", "nats") and entry.format not in _LINE_FORMATS:
            raise ConfigError(
                f'{where}.format: "{entry.format}" does not come in lines; expected one of {", ".join(_LINE_FORMATS)}'
            )
    _check_subject(config, where, entry)
    for topic in entry.topics:
        if not valid_filter(topic):
            raise ConfigError(f'{where}.topics: "{topic}" is no topic filter')
        if filters_overlap(topic, f"{config.publish.base_topic}/#"):
            raise ConfigError(
                f'{where}.topics: "{topic}" would feed our own output below "{config.publish.base_topic}" back to us'
            )


def _check_subject(config: Config, where: str, entry: InputConfig) -> None:
    """Check what belongs to a NATS server: the subject, who we are there, and that our place can be kept."""
    if entry.source.startswith(NATS) != bool(entry.subject):
        raise ConfigError(
            f"{where}.subject: "
            + (
                "is missing: what of the stream is to be taken?"
                if not entry.subject
                else f"belongs to a source of {NATS}"
            )
        )
    if not entry.subject:
        return
    behind, (topic,) = entry.subject.rpartition("{shard}.")[2], entry.filters
    if re.search(r"[\s{}/+#]", behind) or entry.subject.count("{shard}") > 1 or not valid_filter(topic):
        raise ConfigError(
            f'{where}.subject: is "{entry.subject}", expected one of NATS, such as "shard.{{shard}}.>" or "plant.*.telemetry"'
        )
    if not entry.is_partitioned and filters_overlap(topic, f"{config.publish.base_topic}/#"):
        raise ConfigError(f'{where}.subject: "{entry.subject}" would feed our own output back to us')
    if config.durability.mode == "none":
        raise ConfigError(
            f'durability.mode: "none" would forget how far {where} was read: choose "alerts" or "strict"'
        )
    nats = config.nats
    if "@" in nats.url:
        raise ConfigError("nats.url: holds a user; set nats.username and nats.password_file")
    if not re.fullmatch(r"(nats|tls)://[^\s/]+", nats.url):
        raise ConfigError(f'nats.url: is "{nats.url}", expected nats://HOST:PORT or tls://HOST:PORT')
    if bool(nats.username) != bool(nats.password_file):
        raise ConfigError("nats: username and password_file belong together")


def _check_format(where: str, entry: InputConfig) -> None:
    """Check that an input sets no key that its format has no use for, and those that it cannot do without."""
    unused = [
        key
        for key, formats in _FORMATS_WITH.items()
        if getattr(entry, key) not in ("", (), "arrival", 0.0) and entry.format not in formats
    ]
    if unused:
        raise ConfigError(
            f'{where}.{unused[0]}: has no meaning for format "{entry.format}"; remove it, '
            f"or choose one of {', '.join(_FORMATS_WITH[unused[0]])}"
        )
    if entry.format in _OWN_TIME and entry.timestamp not in ("arrival", "own"):
        raise ConfigError(
            f'{where}.timestamp: is "{entry.timestamp}", expected "own" or "arrival" for {entry.format}'
        )
    if entry.format == "influx" and entry.timestamp == "own" and entry.timestamp_format == "rfc3339":
        raise ConfigError(f"{where}.timestamp_format: times of influx are numbers, mostly unix_ns")
    if entry.format == "scalar" and not entry.channel:
        raise ConfigError(
            f'{where}.channel: is missing; which level of the topic names the channel? Such as "{{2}}"'
        )
    if "{key}" in entry.stream and not entry.key:
        raise ConfigError(f"{where}.stream: uses {{key}}, but {where}.key is not set")


def _range(key: str, value: float, low: float, high: float) -> None:
    unit = "s" if isinstance(value, Duration) else " bytes" if isinstance(value, Size) else ""
    if not low <= value <= high:
        raise ConfigError(f"{key}: is {value:g}{unit}, expected {low:g} to {high:g}{unit}")
