"""Home Assistant's MQTT discovery: one retained message per stream, and one for the node, which make devices of them."""

from __future__ import annotations

from typing import Any

from edgelstm.config import Config
from edgelstm.daemon.topics import OFFLINE, ONLINE, Topics, encode
from edgelstm.daemon.watched import Watched

_HEALTH: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("open_alerts", "Open alerts", {"state_class": "measurement"}),
    ("streams", "Streams", {"state_class": "measurement"}),
    ("queue", "Messages waiting", {"state_class": "measurement"}),
    ("outbox", "Alerts waiting", {"state_class": "measurement"}),
    ("counters.samples", "Samples", {"state_class": "total_increasing"}),
    (
        "rss_bytes",
        "Memory",
        {"state_class": "measurement", "device_class": "data_size", "unit_of_measurement": "B"},
    ),
)
"""What of the health message is shown: its key, a name, and what Home Assistant is to know of it."""

LONGEST_STATE = 255
"""Home Assistant refuses a state of more characters."""


def node_ident(config: Config) -> str:
    return f"edgelstm_{config.node_name}{config.shard_suffix}"


def node_topic(config: Config) -> str:
    return f"{config.homeassistant.prefix}/device/{node_ident(config)}/config"


def node_discovery(config: Config) -> bytes:
    """Return the message that shows this daemon as device: whether it is connected, and its health."""
    from edgelstm import __version__

    topics, ident = Topics.of(config), node_ident(config)
    components: dict[str, dict[str, Any]] = {
        "connected": {
            "p": "binary_sensor",
            "name": "Connected",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.status,
            "payload_on": ONLINE.decode(),
            "payload_off": OFFLINE.decode(),
        }
    }
    for name, what, extra in _HEALTH:
        components[name] = {
            "p": "sensor",
            "name": what,
            "entity_category": "diagnostic",
            "state_topic": topics.health,
            "value_template": f"{{{{ value_json.{name} | default(0) }}}}",
            "availability": [{"topic": topics.status}],
            "expire_after": max(1, round(3 * config.publish.health_interval)),
            **extra,
        }
    for name, component in components.items():
        component["unique_id"] = f"{ident}_{name.replace('.', '_')}"
    return encode(
        {
            "dev": {
                "ids": [ident],
                "name": f"edgelstm {config.node_name}{config.shard_suffix}",
                "mf": "edgelstm",
                "sw": __version__,
            },
            "o": {"name": "edgelstm", "sw": __version__},
            "qos": 1,
            "cmps": {name.replace(".", "_"): component for name, component in components.items()},
        }
    )


def discovery_topic(config: Config, stream: str) -> str:
    return f"{config.homeassistant.prefix}/device/edgelstm_{config.node_name}_{stream}/config"


def discovery(config: Config, stream: Watched) -> bytes:
    """Return the message that shows a stream as device with a problem sensor, its score, its alerts and what the last one means."""
    from edgelstm import __version__

    topics, ident = Topics.of(config), f"edgelstm_{config.node_name}_{stream.name}"
    components: dict[str, dict[str, Any]] = {
        "problem": {
            "p": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ value_json.problem }}",
        },
        "score": {
            "p": "sensor",
            "name": "Score",
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "value_template": "{{ value_json.score }}",
        },
        "threshold": {
            "p": "sensor",
            "name": "Threshold",
            "entity_category": "diagnostic",
            "suggested_display_precision": 2,
            "value_template": "{{ value_json.threshold }}",
        },
        "alert": {
            "p": "event",
            "name": "Alert",
            "state_topic": topics.stream(stream.name, "alert"),
            "event_types": ["raised", "updated", "cleared"],
        },
        "reason": {
            "p": "sensor",
            "name": "Reason",
            "state_topic": topics.stream(stream.name, "alert"),
            "value_template": f"{{{{ value_json.text[:{LONGEST_STATE}] }}}}",
        },
    }
    for name, component in components.items():
        component["unique_id"] = f"{ident}_{name}"
    return encode(
        {
            "dev": {
                "ids": [ident],
                "name": f"{stream.name} anomaly",
                "mf": "edgelstm",
                "mdl": f"{stream.model.model.name} {stream.model.digest[:12]}",
                "via_device": node_ident(config),
            },
            "o": {"name": "edgelstm", "sw": __version__},
            "availability": [
                {"topic": topics.status},
                {"topic": topics.stream(stream.name, "availability")},
            ],
            "availability_mode": "all",
            "qos": 1,
            "state_topic": topics.stream(stream.name, "state"),
            "cmps": components,
        }
    )
