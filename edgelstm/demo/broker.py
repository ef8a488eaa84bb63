"""A broker for the demonstration: an installed mosquitto, else the embedded one of the `demo` extra."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

from edgelstm.demo.children import Children
from edgelstm.errors import UnavailableError

START_S = 10.0
_EMBEDDED = (
    "import sys; from iotcore import Broker; "
    "Broker(port=int(sys.argv[1]), listen='127.0.0.1', max_payload_size=262144).run_forever()"
)


class DemoBroker(NamedTuple):
    """What runs, where, and which protocol it speaks best."""

    name: str
    port: int
    protocol: str

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


def start(children: Children, folder: Path) -> DemoBroker:
    """Start a broker on a free loopback port; raises UnavailableError where none is installed."""
    port = _free_port()
    program = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    )
    if program:
        settings = folder / "mosquitto.conf"
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false"]
        if os.geteuid() == 0:
            lines.append("user root")  # a change of user would undo that it dies with us
        settings.write_text("\n".join(lines) + "\n")
        child = children.start("broker", [program, "-c", str(settings)])
        broker = DemoBroker("mosquitto", port, "auto")
    elif _embedded_is_installed():
        child = children.start("broker", [sys.executable, "-c", _EMBEDDED, str(port)])
        broker = DemoBroker("the embedded broker", port, "3.1.1")
    else:
        raise UnavailableError(
            "the demo needs a broker: install mosquitto (Debian, Ubuntu: apt install mosquitto), "
            "or the embedded one: pip install 'edgelstm[demo]'"
        )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return broker
        except OSError:
            time.sleep(0.05)
    lines = children.log("broker").read_text(errors="replace").strip().splitlines()
    raise UnavailableError(f"{broker.name} did not start: {lines[-1] if lines else 'it said nothing'}")


def _embedded_is_installed() -> bool:
    import importlib.util

    return importlib.util.find_spec("iotcore") is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
