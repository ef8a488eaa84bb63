"""Shards that share the streams of one node; doctor and replay."""

import zlib

import pytest
from test_operation import edgelstm_cli

import edgelstm
from edgelstm_firmware_sim import Fault, record
from rig import CHANNELS, MODEL, wait_for

pytestmark = pytest.mark.slow
RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
LOADED = edgelstm.load(MODEL)


def test_shards_share_the_streams_and_score_each_once(make_daemon, subscribe, publish):
    seen, shards = subscribe("edgelstm/gw/#"), []
    for index in range(3):
        daemon = make_daemon(node_extra=f'shard = "{index}/3"', name=f"shard{index}").start()
        shards.append(daemon)
    names = [f"pump{n}" for n in range(12)]
    for name in names:
        publish.rows(RECORDING.times_ns[:40], RECORDING.values[:40], node=name)
    wait_for(lambda: seen.count("/score", 10 * len(names)), what="every score, once")
    for name in names:
        assert len(seen.of(f"stream/{name}/score")) == 10
    assert {topic.split("/")[2] for topic, _ in seen.messages if topic.endswith("/status")} == {
        f"shard-{index}-of-3" for index in range(3)
    }
    for index, daemon in enumerate(shards):
        assert daemon.stop() == 0
        own = sum(zlib.crc32(name.encode()) % 3 == index for name in names)
        assert daemon.counts()["samples"] == 40 * own
        assert daemon.counts().get("other_shard", 0) == 40 * (len(names) - own)


def test_doctor_looks_at_the_broker(make_daemon, broker):
    daemon = make_daemon().start()
    found = edgelstm_cli("doctor", daemon.config)
    assert found.returncode == 0, found.stdout + found.stderr
    assert (
        "round trip at QoS 1" in found.stdout
        and "sends 20 messages without an acknowledgement" in found.stdout
    )
    assert "running and connected" in found.stdout
    assert daemon.stop() == 0
    broker.kill()
    found = edgelstm_cli("doctor", daemon.config)
    assert found.returncode == 1 and "bad   broker" in found.stdout and not found.stderr


def test_doctor_sees_another_daemon_of_the_same_name(make_daemon, tmp_path):
    daemon = make_daemon().start()
    twin = make_daemon(folder=tmp_path / "twin")
    found = edgelstm_cli("doctor", twin.config)
    assert found.returncode == 1 and 'another one has the node name "gw"' in found.stdout, found.stdout
    assert "client id" not in edgelstm_cli("doctor", daemon.config).stdout
    assert "session=kept" not in daemon.text() and daemon.text().count("link=in event=connected") == 1
    assert daemon.stop() == 0
    found = edgelstm_cli("doctor", twin.config)
    assert found.returncode == 0 and 'nobody else is online as "gw"' in found.stdout, found.stdout


def test_replay_is_scored_as_the_recording(make_daemon, subscribe, broker, tmp_path):
    seen, daemon = subscribe(), make_daemon().start()
    rows = [
        ",".join([str(t / 1e9), *map(str, row)])
        for t, row in zip(RECORDING.times_ns.tolist(), RECORDING.values.tolist(), strict=True)
    ]
    (tmp_path / "pump.csv").write_text("\n".join([",".join(["time", *CHANNELS]), *rows]))
    done = edgelstm_cli(
        "replay", tmp_path / "pump.csv", "-p", broker.port, "-t", "plant/pump1/telemetry", "--speed", 0
    )
    assert done.returncode == 0 and f"published {len(rows)} samples" in done.stderr
    offline = edgelstm_cli("score", MODEL, tmp_path / "pump.csv", "--scores", "-")
    lines = [line.split(",") for line in offline.stdout.splitlines() if "," in line]
    at = next(n for n, line in enumerate(lines) if "score" in line)
    column = lines[at].index("score")
    numbers = [float(line[column]) for line in lines[at + 1 :] if line[column]]
    assert len(numbers) >= 200
    wait_for(lambda: seen.count("/score", len(numbers)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == numbers
    assert daemon.stop() == 0
    refused = edgelstm_cli("replay", tmp_path / "pump.csv", "-p", 1)
    assert refused.returncode == 69 and refused.stderr.count("\n") == 1
