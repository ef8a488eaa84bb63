"""Workers on a real NATS server: sensors at its MQTT listener, a part of the streams to each, killed and replaced."""

import asyncio
import json
import random
import shutil
import socket
import subprocess
import time

import pytest
from test_faults import SCRIPT, died
from test_inputs import rewrite
from test_operation import edgelstm_cli

import edgelstm
from edgelstm.outbox import Outbox
from edgelstm_firmware_sim import Fault, record
from rig import MODEL, Server, wait_for
from test_daemon import comparable, expected, expected_alerts, rounded

nats = pytest.importorskip("nats")
pytestmark = pytest.mark.slow
SERVER = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/bin")
RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
SHARDS = 3
NODES = [f"pump{n}" for n in range(12)]


class NatsServer(Server):
    """nats-server with JetStream, an MQTT listener, and the topics of pumps dealt into parts."""

    name = "nats-server"

    def __init__(self, folder):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.nats_port, self.port = one.getsockname()[1], other.getsockname()[1]
        self.folder, self.settings, self.process = folder, folder / "nats.conf", None
        self.command = [SERVER, "-c", str(self.settings)]
        self.settings.write_text(
            f"""
            server_name: gw
            listen: "127.0.0.1:{self.nats_port}"
            jetstream {{ store_dir: "{folder / "jetstream"}" }}
            mqtt {{ listen: "127.0.0.1:{self.port}" }}
            mappings = {{
              "plant.*.telemetry": "shard.{{{{partition({SHARDS},1)}}}}.plant.{{{{wildcard(1)}}}}.telemetry"
            }}
            """
        )

    def call(self, work):
        """Return what `work`, given the JetStream context of a connection, comes to."""

        async def run():
            client = await nats.connect(f"nats://127.0.0.1:{self.nats_port}")
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())


@pytest.fixture
def broker(tmp_path):
    if SERVER is None:
        pytest.skip("nats-server is not installed (Debian, Ubuntu: apt install nats-server)")
    server = NatsServer(tmp_path).start()
    server.call(lambda stream: stream.add_stream(name="PUMPS", subjects=["shard.>"]))
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture
def make_worker(make_daemon, broker):
    def make(index, *, mode="strict", name=None, folder=None):
        daemon = make_daemon(
            node_extra=f'shard = "{index}/{SHARDS}"',
            name=name or f"shard{index}",
            extra=f'[durability]\nmode = "{mode}"\n[nats]\nurl = "nats://127.0.0.1:{broker.nats_port}"',
            **({"folder": folder} if folder else {}),
        )
        return rewrite(
            daemon, ('topics = ["plant/+/telemetry"]', 'source = "nats:PUMPS"\nsubject = "shard.{shard}.>"')
        )

    return make


def begin(daemon):
    before = daemon.text().count("detail=reading")
    daemon.start(connected=False)
    wait_for(lambda: daemon.text().count("detail=reading") > before, what=f"the worker: {daemon.log}")


def part(daemon, index):
    """Return where the streams of a worker stand, and how far it has read."""
    outbox = Outbox(daemon.folder / "state" / f"shard-{index}-of-{SHARDS}" / "edgelstm.db")
    try:
        return outbox.positions(), outbox.place("pumps/PUMPS")
    finally:
        outbox.close()


def right_state():
    """Return the state that every stream has to be in after the recording, to the bit."""
    detector = edgelstm.load(MODEL).detector()
    for time_ns, values in zip(rounded(RECORDING), RECORDING.values, strict=True):
        detector.push(edgelstm.Sample(values, time_ns))
    return detector.snapshot()


def publish_parts(publish, between, cuts):
    rows = len(RECORDING.values)
    edges = [0, *cuts, rows]
    for first, end in zip(edges[:-1], edges[1:], strict=True):
        for node in NODES:
            publish.rows(RECORDING.times_ns[first:end], RECORDING.values[first:end], first=first, node=node)
        if end < rows:
            between()


def test_a_worker_is_killed_and_no_stream_is_split_no_sample_scored_twice_no_alert_lost(
    make_worker, subscribe, publish
):
    """Every stream is in one database, in the state of an undisturbed run to the bit, and its alerts are those."""
    seen, chance = subscribe("edgelstm/gw/stream/+/alert"), random.Random(1)
    workers = [make_worker(index) for index in range(SHARDS)]
    for worker in workers:
        begin(worker)

    def kill_one():
        time.sleep(chance.uniform(0.0, 0.1))
        workers[1].kill()
        time.sleep(chance.uniform(0.0, 0.3))
        workers[1].start(connected=False)  # another process, in the place of the dead one

    publish_parts(publish, kill_one, [60, 120, 130, 200])
    wanted = {
        (node, alert["id"], alert["event_type"], alert["ts"]): alert
        for node in NODES
        for alert in expected_alerts(expected(), stream=node)
    }

    def standing():
        return {
            name: (index, position.samples)
            for index, worker in enumerate(workers)
            for name, position in part(worker, index)[0].items()
        }

    wait_for(
        lambda: sum(samples for _, samples in standing().values()) == len(NODES) * 300, what="every sample"
    )
    wait_for(
        lambda: len({a["id"] for a in seen.of("/alert")}) == len({key[1] for key in wanted}), what="alerts"
    )
    for worker in workers:
        assert worker.stop() == 0, worker.text()
    found = {
        (alert["stream"], alert["id"], alert["event_type"], alert["ts"]): comparable(alert)
        for alert in seen.of("/alert")
    }
    assert found == wanted
    state, owners = right_state(), {}
    for index, worker in enumerate(workers):
        for name, position in part(worker, index)[0].items():
            owners.setdefault(name, []).append(index)
            assert position.samples == 300 and position.state == state, name
    assert sorted(owners) == sorted(NODES)
    assert all(len(indices) == 1 for indices in owners.values()), owners
    assert len({indices[0] for indices in owners.values()}) == SHARDS, "every worker had something to do"


def test_the_server_knows_how_far_a_worker_is_and_may_be_killed_itself(make_worker, broker, publish):
    worker = make_worker(0)
    begin(worker)
    publish_parts(publish, lambda: None, [])

    def floor():
        async def ask(stream):
            found = await stream.consumer_info("PUMPS", "edgelstm-gw-pumps-shard-0-of-3")
            return found.num_pending == 0 and found.num_ack_pending == 0

        return broker.call(ask)

    wait_for(floor, what="the acknowledgements")
    before = sum(p.samples for p in part(worker, 0)[0].values())
    assert before and before % 300 == 0
    broker.kill()
    wait_for(lambda: "event=nats detail=nats://" in worker.text(), what="a word that the server is gone")
    broker.start()
    wait_for(lambda: worker.text().count("detail=reading") == 2, what="the connection")
    assert worker.stop() == 0
    assert sum(p.samples for p in part(worker, 0)[0].values()) == before
    assert all(p.state == right_state() for p in part(worker, 0)[0].values())


def test_who_is_replaced_stops(make_worker, tmp_path):
    """Two machines that take the same part would split its streams: the later one has it."""
    first = make_worker(0)
    begin(first)
    second = make_worker(0, folder=tmp_path / "other")
    begin(second)
    assert first.process.wait(20) == 69
    assert first.text().splitlines()[-1].endswith('of stream "PUMPS" over')
    assert second.process.poll() is None and second.stop() == 0


def test_a_message_that_kills_is_passed_by_after_three_deaths(make_worker, publish, monkeypatch):
    workers = [make_worker(index) for index in range(SHARDS)]
    for worker in workers:
        start_faulty_worker(worker, monkeypatch)
    publish.raw("plant/pump0/telemetry", b'{"ts": 1, "poison": true}')
    victim = wait_for(lambda: next((w for w in workers if died(w)), None), what="the death")
    for _ in range(2):
        victim.start(connected=False)
        wait_for(lambda: died(victim), what="the next death")
    victim.start(connected=False)
    wait_for(lambda: "dead_letters" in victim.text(), what="the dead letter")
    victim.kill()  # that it was passed by is on disk
    victim.start(connected=False)
    publish.rows(RECORDING.times_ns[:20], RECORDING.values[:20], node="pump0")
    index = workers.index(victim)
    wait_for(
        lambda: part(victim, index)[0].get("pump0") and part(victim, index)[0]["pump0"].samples == 20,
        what="the rest",
    )
    assert victim.process.poll() is None
    (line,) = (
        (victim.folder / "state" / f"shard-{index}-of-{SHARDS}" / "dead-letters.ndjson")
        .read_text()
        .splitlines()
    )
    assert json.loads(line)["topic"] == "plant/pump0/telemetry"


def start_faulty_worker(worker, monkeypatch):
    monkeypatch.setenv("FAULT", "poison")
    worker.program = [str(SCRIPT)]
    begin(worker)


def test_a_stream_that_is_not_there_or_no_longer_whole_is_named(make_worker, broker, publish):
    broker.call(lambda stream: stream.delete_stream("PUMPS"))
    worker = make_worker(0, mode="alerts")
    worker.start(connected=False)
    wait_for(lambda: 'no stream "PUMPS"' in worker.text(), what="a word about it")
    broker.call(lambda stream: stream.add_stream(name="PUMPS", subjects=["shard.>"]))
    wait_for(lambda: "detail=reading" in worker.text(), what="the stream")
    publish_parts(publish, lambda: None, [])
    wait_for(lambda: part(worker, 0)[1] > 2000, what="all of it")
    assert worker.stop() == 0
    publish_parts(publish, lambda: None, [])
    broker.call(lambda stream: stream.purge_stream("PUMPS", seq=7000))
    begin(worker)
    wait_for(lambda: "the server no longer keeps messages" in worker.text(), what="a word about the gap")
    assert worker.stop() == 0
    broker.call(lambda stream: stream.delete_stream("PUMPS"))
    broker.call(lambda stream: stream.add_stream(name="PUMPS", subjects=["shard.>"]))
    begin(worker)
    wait_for(lambda: "the stream was made anew" in worker.text(), what="a word about it")
    assert worker.stop() == 0


def test_a_server_that_is_away_is_said_and_holds_no_stop_up(make_worker, broker):
    worker = rewrite(make_worker(0), (f"nats://127.0.0.1:{broker.nats_port}", "nats://127.0.0.1:1"))
    worker.start(connected=False)
    wait_for(
        lambda: "event=nats detail=nats://127.0.0.1:1: " in worker.text(), what="a word about the server"
    )
    assert "Connect call failed" in worker.text()
    assert worker.stop() == 0


def test_doctor_looks_at_the_server(make_worker, broker):
    """What is missing or too small is named with the command that mends it; what is there is counted."""
    worker = make_worker(0)
    found = edgelstm_cli("doctor", worker.config)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "stream PUMPS grows without end: give it --max-age" in found.stdout
    assert (
        "consumer edgelstm-gw-pumps-shard-0-of-3 is not there: a worker makes it when it starts"
        in found.stdout
    )
    begin(worker)
    assert ": a worker reads, 0 messages wait for it" in edgelstm_cli("doctor", worker.config).stdout
    assert worker.stop() == 0

    async def small(stream):
        await stream.delete_stream("PUMPS")
        await stream.add_stream(
            name="PUMPS", subjects=["plant.>"], storage="memory", max_bytes=400, retention="interest"
        )

    broker.call(small)
    found = edgelstm_cli("doctor", worker.config)
    assert found.returncode == 1
    for text in ("keeps plant.>, and nothing of shard.0.>", "has retention interest", "is kept in memory"):
        assert text in found.stdout
    broker.call(lambda stream: stream.delete_stream("PUMPS"))
    found = edgelstm_cli("doctor", worker.config)
    assert found.returncode == 1 and "make it: nats stream add PUMPS --subjects 'shard.*.>'" in found.stdout
    rewrite(worker, (f":{broker.nats_port}", ":1"))
    found = edgelstm_cli("doctor", worker.config)
    assert found.returncode == 1 and "is nats.url right?" in found.stdout and not found.stderr


def test_doctor_says_that_the_server_keeps_no_streams(make_worker, broker):
    worker = make_worker(0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plain = subprocess.Popen(
        [SERVER, "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        rewrite(worker, (f"nats://127.0.0.1:{broker.nats_port}", f"nats://127.0.0.1:{port}"))
        wait_for(
            lambda: "jetstream { }" in edgelstm_cli("doctor", worker.config).stdout,
            what="the missing JetStream",
        )
    finally:
        plain.kill()
        plain.wait()
