"""A pretend node on a real broker: birth, telemetry, commands, truth, and every way to go."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from rig import wait_for


@pytest.fixture
def node(broker):
    running = []

    def start(*options):
        command = [
            sys.executable,
            "-m",
            "edgelstm",
            "simulate",
            *options,
            "--broker",
            f"mqtt://127.0.0.1:{broker.port}",
        ]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_telemetry_commands_truth_and_goodbye(node, subscribe, publish):
    seen = subscribe("plant/#")
    process = node("pump", "--id", "p1", "--rate", "50", "--seed", "3")
    wait_for(lambda: len(seen.of("/telemetry")) > 20, what="telemetry")
    birth = seen.of("/status")[0]
    assert birth["state"] == "online"
    assert [channel["name"] for channel in birth["channels"]] == ["flow", "pressure", "current", "vibration"]
    assert [sample["seq"] for sample in seen.of("/telemetry")[:20]] == list(range(20))
    assert list(seen.of("/telemetry")[0]) == ["seq", "ts", "flow", "pressure", "current", "vibration"]
    publish.raw("plant/p1/command", b"not json")
    publish.raw("plant/p1/command", b'{"fault": "rust"}')
    publish.raw("plant/p1/command", b'{"fault": "blockage", "ramp_s": 0}')
    wait_for(lambda: [t["event"] for t in seen.of("/truth")] == ["start"], what="the truth")
    assert seen.of("/truth")[0]["fault"] == "blockage"
    publish.raw("plant/p1/command", b'{"fault": null}')
    wait_for(lambda: [t["event"] for t in seen.of("/truth")] == ["start", "stop"], what="the end of it")
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    wait_for(lambda: seen.of("/status")[-1] == {"state": "offline"}, what="goodbye")


def test_a_killed_node_leaves_its_last_will(node, subscribe):
    seen = subscribe("plant/p2/status")
    process = node("pump", "--id", "p2")
    wait_for(lambda: seen.of("/status"), what="birth")
    process.kill()
    wait_for(lambda: seen.of("/status")[-1] == {"state": "offline"}, what="the last will")


def test_the_raw_waveform_of_a_bearing(node, subscribe):
    seen = subscribe("plant/b/telemetry")
    node("bearing", "--id", "b", "--format", "raw", "--seconds", "1")
    wait_for(lambda: len(seen.raw("/telemetry")) >= 5, what="blocks")
    block = np.frombuffer(seen.raw("/telemetry")[0], "<f4")
    assert block.size == 320
    assert 0.01 < block.std() < 1.0


def test_duplicates_carry_the_same_sequence(node, subscribe):
    seen = subscribe("plant/d/telemetry")
    assert node("pump", "--id", "d", "--rate", "100", "--seconds", "0.5", "--duplicates", "1").wait(60) == 0
    wait_for(lambda: len(seen.of("/telemetry")) == 100, what="all of it, twice")
    assert json.dumps(seen.of("/telemetry")[0]) == json.dumps(seen.of("/telemetry")[1])
