"""The example flow in a real Node-RED: alerts of the daemon arrive, each is acted on once, also those of while it was away."""

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from edgelstm_firmware_sim import Fault, record
from rig import wait_for

FLOW = Path(__file__).parents[2] / "examples" / "node-red.json"
FAILING = record("pump", 90, 3, faults=[Fault("cavitation", start_s=20, ramp_s=5, stop_s=40)])
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node-red") is None, reason="node-red is not on the path (npm install node-red)"),
]  # fmt: skip


class NodeRed:
    """Node-RED without an editor, on a copy of the flow: other port of the broker, debug nodes also speak to the console."""

    def __init__(self, folder, port):
        flow = json.loads(FLOW.read_text())
        for node in flow:
            if node["type"] == "mqtt-broker":
                node["port"] = str(port)
            if node["type"] == "debug":
                node["console"] = "true"
        (folder / "flows.json").write_text(json.dumps(flow))
        (folder / "settings.js").write_text(
            "module.exports = {flowFile: 'flows.json', httpAdminRoot: false, httpNodeRoot: false};"
        )
        self.folder, self.log = folder, folder / "node-red.log"
        self.process = None

    def start(self):
        before = self.log.read_text().count("Connected to broker") if self.log.exists() else 0
        command = ["node-red", "--userDir", str(self.folder), "--settings", str(self.folder / "settings.js")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        wait_for(lambda: self.log.read_text().count("Connected to broker") > before, 120, "node-red")
        return self

    def said(self, node):
        """Return what a debug node printed: a line each, and of objects the lines up to a closing brace."""
        return [
            text.strip()
            for text in re.findall(
                rf"\[debug:{node}\]\s(.*(?:\n.*)*?)(?=\n\d+ \w+ \d\d:|\Z)", self.log.read_text()
            )
        ]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


@pytest.fixture
def node_red(tmp_path, broker):
    folder = tmp_path / "node-red"
    folder.mkdir()
    started = NodeRed(folder, broker.port)
    yield started
    if started.process is not None and started.process.poll() is None:
        started.process.kill()
        started.process.wait()


def test_each_alert_is_acted_on_once(node_red, make_daemon, subscribe, publish):
    node_red.start()
    seen = subscribe("edgelstm/+/stream/+/alert")
    make_daemon().start()
    ended = 300
    publish.rows(FAILING.times_ns[:ended], FAILING.values[:ended])
    wait_for(lambda: seen.of("/alert"), what="an alert")
    (line,) = wait_for(lambda: node_red.said("raised"), what="a line for people")
    assert re.match(r"gw/pump1 (warning|critical): \w+ (is|has been) [^;]*\d", line)
    publish.raw("edgelstm/gw/stream/pump1/alert", seen.raw("/alert")[0])  # again, as after a crash
    node_red.stop()  # the broker keeps for it what comes while it is away
    publish.rows(FAILING.times_ns[ended:], FAILING.values[ended:], first=ended)
    wait_for(lambda: "cleared" in [alert["event_type"] for alert in seen.of("/alert")], what="the end")
    node_red.start()
    (ended_alert,) = wait_for(lambda: node_red.said("cleared"), what="what ended while it was away")
    assert seen.of("/alert")[0]["id"] in ended_alert
    assert node_red.said("raised") == [line]
    node_red.stop()
