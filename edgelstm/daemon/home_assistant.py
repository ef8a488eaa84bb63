"""Home Assistant's MQTT discovery: one retained message per stream, which makes a device of it."""

from __future__ import annotations

from typing import Any

from edgelstm.config import Config
from edgelstm.daemon.topics import Topics, encode
from edgelstm.daemon.watched import Watched

URL = "https://pypi.org/project/edgelstm/"


def discovery_topic(config: Config, stream: str) -> str:
    return f"{config.homeassistant.prefix}/device/edgelstm_{config.node_name}_{stream}/config"


def discovery(config: Config, stream: Watched) -> bytes:
    """Return the message that shows a stream as device with a problem sensor, its score and its alerts."""
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
        "alert": {
            "p": "event",
            "name": "Alert",
            "state_topic": topics.stream(stream.name, "alert"),
            "event_types": ["raised", "updated", "cleared"],
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
                "via_device": f"edgelstm_{config.node_name}",
            },
            "o": {"name": "edgelstm", "sw": __version__, "url": URL},
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
