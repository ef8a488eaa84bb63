"""The failure matrix: what is killed, cut, full or hostile, and what is left of alerts and scores afterwards."""

import contextlib
import getpass
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edgelstm
from edgelstm.alert_payload import timestamp
from edgelstm.outbox import Outbox
from edgelstm.sample import Sample
from edgelstm_firmware_sim import Fault, record
from proxy import Proxy
from rig import CHANNELS, MODEL, Disk, NoDisk, wait_for
from test_daemon import comparable, expected_alerts, rounded

pytestmark = pytest.mark.slow
FAULTS = [
    Fault(name, 20 + 25 * n, 3, 28 + 25 * n)
    for n, name in enumerate(("cavitation", "blockage", "bearing_wear") * 3)
]
RECORDING = record("pump", 260, 11, FAULTS)
TIMES_NS = rounded(RECORDING)
SCRIPT = Path(__file__).parent / "faults.py"


DETECTOR = edgelstm.load(MODEL).detector()


def verdicts():
    found = [DETECTOR.push(Sample(v, t)) for t, v in zip(TIMES_NS, RECORDING.values, strict=True)]
    return [verdict for verdict in found if verdict is not None]


VERDICTS = verdicts()
FINAL = DETECTOR.snapshot()
VERDICTS_END = timestamp(VERDICTS[-1].time_ns)


def unique(alerts):
    """Return alerts as readers that must not act twice see them: the first of each id, event and time."""
    seen = {(alert["id"], alert["event_type"], alert["ts"]): comparable(alert) for alert in reversed(alerts)}
    return sorted(seen.values(), key=lambda alert: (alert["ts"], alert["event_type"]))


@pytest.fixture
def broker_settings():
    return "max_queued_messages 100000"


@pytest.fixture
def proxy(broker):
    made = Proxy(broker.port)
    yield made
    made.close()


def start_faulty(daemon, monkeypatch, fault):
    monkeypatch.setenv("FAULT", fault)
    daemon.program = [str(SCRIPT)]
    return daemon.start()


def died(daemon):
    return daemon.process.poll() is not None


@pytest.mark.parametrize("mode", ["strict", "alerts"])
@pytest.mark.parametrize(
    "fault",
    ["before-commit:2", "after-commit:2", "before-acknowledge:700", "after-publish:2", "after-delete:2", "during-snapshot:2"],
)  # fmt: skip
def test_no_alert_is_lost_at_a_kill(make_daemon, subscribe, publish, monkeypatch, fault, mode):
    """Killed at a named place, started again: the alerts are those of an undisturbed run, each under its one id."""
    seen = subscribe("edgelstm/gw/stream/pump1/alert", "edgelstm/gw/stream/pump1/score")
    daemon = make_daemon(extra=f'[durability]\nmode = "{mode}"\nsnapshot_interval = "100ms"')
    start_faulty(daemon, monkeypatch, fault)
    publish.rows(RECORDING.times_ns[:-100], RECORDING.values[:-100])
    wait_for(lambda: died(daemon), 30, "the kill")
    monkeypatch.delenv("FAULT")
    daemon.start()
    publish.rows(RECORDING.times_ns[-100:], RECORDING.values[-100:], first=len(TIMES_NS) - 100)
    wait_for(lambda: seen.of("/score") and seen.of("/score")[-1]["ts"] == VERDICTS_END, 30, "the end")
    wanted = sorted(expected_alerts(VERDICTS), key=lambda alert: (alert["ts"], alert["event_type"]))
    if mode == "strict":
        wait_for(lambda: unique(seen.of("/alert")) == wanted, 30, "exactly the alerts of an undisturbed run")
        right = {timestamp(verdict.time_ns): verdict.score for verdict in VERDICTS}
        assert all(right[score["ts"]] == score["score"] for score in seen.of("/score"))
    else:  # the state goes on from a snapshot, so scores differ a little; what was decided before the kill stays
        wait_for(lambda: len({a["id"] for a in seen.of("/alert")}) >= len(FAULTS) - 3, 30, "the alerts")
        raised = {a["id"] for a in seen.of("/alert") if a["event_type"] == "raised"}
        assert {a["id"] for a in seen.of("/alert")} == raised
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.text()
    if mode == "strict":  # what was sent again is counted, and nothing else: the state goes on to the bit
        outbox = Outbox(daemon.folder / "state" / "edgelstm.db")
        state = outbox.positions()["pump1"].state
        outbox.close()
        assert going_on(state) == going_on(FINAL)


def going_on(state):
    """Return what a detector in this state says of the samples to come."""
    detector = edgelstm.load(MODEL).detector()
    detector.restore(state)
    later_ns = np.array(TIMES_NS[:500]) + TIMES_NS[-1] - TIMES_NS[0] + 10**8
    return detector.push_block(later_ns, RECORDING.values[:500]).scores.tolist()


def test_a_message_that_kills_is_put_aside_after_three_deaths(make_daemon, subscribe, publish, monkeypatch):
    seen, daemon = (
        subscribe("edgelstm/gw/stream/pump1/score"),
        make_daemon(extra='[durability]\nmode = "strict"'),
    )
    start_faulty(daemon, monkeypatch, "poison")
    publish.rows(RECORDING.times_ns[:50], RECORDING.values[:50])
    publish.raw("plant/pump9/telemetry", b'{"ts": 1767225600.5, "poison": true}')
    publish.rows(RECORDING.times_ns[50:100], RECORDING.values[50:100], first=50)
    for _ in range(3):
        wait_for(lambda: died(daemon), what="the death")
        daemon.start(connected=False)
    wait_for(
        lambda: seen.of("/score") and seen.of("/score")[-1]["score"] == VERDICTS[69].score, what="the rest"
    )
    assert {s["score"] for s in seen.of("/score")} <= {v.score for v in VERDICTS[:70]}
    assert daemon.stop() == 0
    assert daemon.counts()["dead_letters"] == 1
    (line,) = (daemon.folder / "state" / "dead-letters.ndjson").read_text().splitlines()
    assert json.loads(line)["topic"] == "plant/pump9/telemetry" and json.loads(line)["deaths"] == 3
    daemon.start()  # it was acknowledged: it does not come again
    publish.rows(RECORDING.times_ns[100:120], RECORDING.values[100:120], first=100)
    wait_for(lambda: seen.of("/score")[-1]["score"] == VERDICTS[89].score, what="scores go on")
    assert daemon.stop() == 0 and "dead_letters" not in daemon.counts()


def test_an_exception_in_scoring_ends_the_daemon_and_is_not_acknowledged(
    make_daemon, subscribe, publish, monkeypatch
):
    daemon, seen = make_daemon(), subscribe()
    start_faulty(daemon, monkeypatch, "exception")
    publish.rows(RECORDING.times_ns[:5], RECORDING.values[:5])
    assert daemon.process.wait(20) == 1
    monkeypatch.delenv("FAULT")
    daemon.start()
    publish.rows(RECORDING.times_ns[5:40], RECORDING.values[5:40], first=5)
    wait_for(lambda: seen.of("/score"), what="scores")
    assert "event=died-while-scoring" in daemon.text()
    assert daemon.stop() == 0
    assert daemon.counts()["samples"] == 40


def test_an_exception_in_a_callback_does_not_make_the_link_deaf(make_daemon, publish, monkeypatch):
    daemon = start_faulty(make_daemon(), monkeypatch, "callback")
    publish.rows(RECORDING.times_ns[:5], RECORDING.values[:5])
    wait_for(lambda: "event=callback-failed" in daemon.text(), what="a word about it")
    assert daemon.process.poll() is None
    assert daemon.stop() == 0


@pytest.mark.parametrize("how", ["reset", "refuse", "slow"])
def test_links_that_break(make_daemon, subscribe, publish, proxy, how):
    seen, daemon = subscribe(), make_daemon(mqtt='reconnect_min = "100ms"', port=proxy.port).start()
    for part in range(4):
        rows = slice(part * 500, (part + 1) * 500)
        publish.rows(RECORDING.times_ns[rows], RECORDING.values[rows], first=rows.start)
        if how == "slow":
            proxy.mode = "slow"
        elif how == "reset":
            proxy.reset()
        else:
            proxy.refuse()
            time.sleep(0.3)
            proxy.accept_again()
    wanted = [v for v in VERDICTS if v.time_ns <= TIMES_NS[1999]]
    wait_for(
        lambda: seen.of("/score") and seen.of("/score")[-1]["score"] == wanted[-1].score, 40, "the last score"
    )
    wait_for(
        lambda: (
            unique(seen.of("/alert"))
            == sorted(expected_alerts(wanted), key=lambda a: (a["ts"], a["event_type"]))
        ),
        20,
        "every alert",
    )
    assert daemon.stop() == 0


def test_a_link_that_is_cut_in_silence(make_daemon, subscribe, publish, proxy):
    """Noticed within keepalive and the time for a ping, back soon after it heals, with nothing lost."""
    seen = subscribe()
    daemon = make_daemon(mqtt='keepalive = "2s"', port=proxy.port).start()
    publish.rows(RECORDING.times_ns[:500], RECORDING.values[:500])
    wait_for(lambda: seen.count("/score", 470), what="the first scores")
    before_mb = daemon.rss_mb()
    proxy.mode = "blackhole"
    cut_s = time.monotonic()
    publish.rows(RECORDING.times_ns[500:1000], RECORDING.values[500:1000], first=500)
    wait_for(lambda: daemon.text().count("event=disconnected") >= 2, 20, "both links to notice")
    assert time.monotonic() - cut_s < 12
    proxy.mode = "pass"
    healed_s = time.monotonic()
    wait_for(lambda: daemon.text().count("link=in event=subscribed") >= 2, 20, "the connection")
    print(f"back {time.monotonic() - healed_s:.1f} s after it healed")
    wanted = [v for v in VERDICTS if v.time_ns <= TIMES_NS[999]]
    wait_for(lambda: seen.of("/score")[-1]["score"] == wanted[-1].score, 20, "every sample")
    assert daemon.rss_mb() - before_mb < 50
    assert daemon.stop() == 0


@pytest.mark.parametrize("mode", ["alerts", "strict"])
def test_a_disk_that_is_full(make_daemon, subscribe, publish, tmp_path, mode):
    """In alerts mode the alerts go out all the same; in strict mode samples wait. Both go on when there is room."""
    disk = tmp_path / "state"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=False
        ).returncode
    ):
        pytest.skip("a file system of its own needs the right to mount one")
    try:
        seen, daemon = subscribe(), make_daemon(extra=f'[durability]\nmode = "{mode}"').start()
        publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
        wait_for(lambda: seen.count("/score", 70), what="the first scores")
        with open(disk / "ballast", "wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(4096)):
                pass
        publish.rows(RECORDING.times_ns[100:1000], RECORDING.values[100:1000], first=100)
        wait_for(lambda: "event=commit_failed" in daemon.text(), 20, "a word about the disk")
        if mode == "alerts":
            wait_for(lambda: seen.count("/score", 970), 30, "scores all the same")
            wait_for(lambda: [a for a in seen.of("/alert") if a["event_type"] == "raised"], what="an alert")
        (disk / "ballast").unlink()
        wanted = [v for v in VERDICTS if v.time_ns <= TIMES_NS[999]]
        wait_for(lambda: seen.of("/score")[-1]["score"] == wanted[-1].score, 30, "the last score")
        wait_for(lambda: unique(seen.of("/alert")) == expected_alerts(wanted), 20, "every alert")
        assert daemon.stop() == 0
        assert daemon.counts()["commit_failed"] >= 1
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_disk_that_becomes_read_only(make_daemon, subscribe, publish, tmp_path):
    disk = tmp_path / "state"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a file system of its own needs the right to mount one")
    try:
        seen, daemon = subscribe(), make_daemon().start()
        publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
        wait_for(lambda: seen.count("/score", 70), what="the first scores")
        assert daemon.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        again = subprocess.run(
            [sys.executable, "-m", "edgelstm", "run", str(daemon.config)], capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert again.returncode == 69 and again.stderr.count("\n") == 1, again.stderr
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.fixture
def disk(tmp_path):
    try:
        with Disk(tmp_path / "state", tmp_path) as made:
            yield made
    except NoDisk as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize("mode", ["alerts", "strict"])
def test_a_disk_that_becomes_read_only_under_us(make_daemon, subscribe, publish, disk, mode):
    """In alerts mode alerts go out all the same; in strict mode samples wait. Nothing is lost once it is mended."""
    seen, daemon = subscribe(), make_daemon(extra=f'[durability]\nmode = "{mode}"').start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: seen.count("/score", 70), what="the first scores")
    disk.fail()
    publish.rows(RECORDING.times_ns[100:1000], RECORDING.values[100:1000], first=100)
    wait_for(lambda: "event=commit_failed" in daemon.text(), 20, "a word about the disk")
    if mode == "alerts":
        wait_for(lambda: seen.count("/score", 970), 30, "scores all the same")
        wait_for(lambda: [a for a in seen.of("/alert") if a["event_type"] == "raised"], what="an alert")
    assert daemon.process.poll() is None
    daemon.stop()
    disk.repair()
    daemon.start()
    publish.rows(RECORDING.times_ns[1000:1200], RECORDING.values[1000:1200], first=1000)
    wait_for(lambda: seen.of("/score")[-1]["ts"] == timestamp(TIMES_NS[1199]), 30, "the last score")
    if mode == "strict":
        wanted = [v for v in VERDICTS if v.time_ns <= TIMES_NS[1199]]
        wait_for(lambda: unique(seen.of("/alert")) == expected_alerts(wanted), 20, "every alert")
    assert daemon.stop() == 0


def test_a_flood_of_topics_is_bounded(make_daemon, subscribe, publish):
    """20,000 topics with a sample each: the memory is bounded, the streams that there were are untouched."""
    seen = subscribe("edgelstm/gw/stream/pump1/score")
    daemon = make_daemon(extra="[limits]\nmax_streams = 500\nnew_streams_per_minute = 100").start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: seen.count("/score", 70), what="the first scores")
    before_mb = daemon.rss_mb()
    row = dict(zip(CHANNELS, RECORDING.values[0].tolist(), strict=True))
    payload = json.dumps({"ts": 1767225600, **row})
    infos = [publish.client.publish(f"plant/flood{n}/telemetry", payload, qos=1) for n in range(20_000)]
    for info in infos:
        info.wait_for_publish(60)
    publish.rows(RECORDING.times_ns[100:200], RECORDING.values[100:200], first=100)
    wait_for(lambda: seen.count("/score", 170), 60, "the scores of the stream that there was")
    assert [s["score"] for s in seen.of("/score")] == [v.score for v in VERDICTS[:170]]
    assert daemon.rss_mb() - before_mb < 50
    assert daemon.stop() == 0
    assert daemon.counts()["stream_rate"] == 20_000 - 99


def test_a_flood_of_garbage_is_quarantined(make_daemon, subscribe, publish):
    seen, daemon = subscribe("edgelstm/gw/stream/pump1/score"), make_daemon().start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    infos = [publish.client.publish("plant/bad/telemetry", b"[" * 100_000, qos=1) for _ in range(500)]
    for info in infos:
        info.wait_for_publish(30)
    publish.rows(RECORDING.times_ns[100:200], RECORDING.values[100:200], first=100)
    wait_for(lambda: seen.count("/score", 170), 30, "every score")
    assert daemon.stop() == 0
    assert daemon.counts()["malformed"] == 100 and daemon.counts()["quarantined"] == 400


def test_two_daemons_with_one_client_id_say_so_and_do_not_fight(make_daemon, tmp_path):
    first = make_daemon(mqtt='client_id = "same"\nreconnect_min = "100ms"').start()
    other = make_daemon(mqtt='client_id = "same"\nreconnect_min = "100ms"', folder=tmp_path / "other").start()
    wait_for(lambda: "duplicate client id" in first.text() + other.text(), 40, "a word about it")
    assert first.stop() == 0 and other.stop() == 0


def test_a_subscription_that_the_broker_refuses_is_said_everywhere(make_daemon, broker):
    """Connected, but deaf: the log, the status and the exit code of `edgelstm status` say so."""
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
    if plugin is None:
        pytest.skip("this mosquitto has no plugin that refuses subscriptions")
    rules = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    (broker.folder / "rules.json").write_text(json.dumps({"defaultACLAccess": rules}))
    broker.kill()
    broker.settings.write_text(
        broker.settings.read_text()
        + f"user {getpass.getuser()}\nplugin {plugin}\nplugin_opt_config_file {broker.folder / 'rules.json'}\n"
    )
    broker.start()
    daemon = make_daemon().start()
    wait_for(
        lambda: "event=subscription-refused topic=plant/+/telemetry" in daemon.text(), what="a word about it"
    )
    status = subprocess.run(
        [sys.executable, "-m", "edgelstm", "status", str(daemon.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 1 and "plant/+/telemetry" in status.stdout, status
    assert daemon.stop() == 0


def test_wrong_credentials_are_not_tried_all_the_time(make_daemon, broker, tmp_path):
    broker.kill()
    broker.settings.write_text(
        broker.settings.read_text().replace("allow_anonymous true", "allow_anonymous false")
    )
    broker.start()
    daemon = make_daemon(mqtt='reconnect_min = "100ms"').start(connected=False)
    wait_for(lambda: daemon.text().count("the broker refused: Not authorized") == 2, what="both refusals")
    time.sleep(1.5)
    log = (tmp_path / "mosquitto.log").read_text()
    assert log.count("not authorised") <= 4
    assert daemon.stop() == 0


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_damaged_snapshots_are_refused_and_the_one_before_is_taken(make_daemon, subscribe, publish, damage):
    seen, daemon = subscribe(), make_daemon().start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: seen.count("/score", 70), what="the first scores")
    assert daemon.stop() == 0
    daemon.start()
    publish.rows(RECORDING.times_ns[100:110], RECORDING.values[100:110], first=100)
    wait_for(lambda: seen.count("/score", 80), what="more scores")
    assert daemon.stop() == 0
    path = daemon.folder / "state" / "snapshots" / "pump1.snapshot"
    content = bytearray(path.read_bytes())
    content[200] ^= 4
    path.write_bytes({"cut": content[:100], "bit": content, "empty": b""}[damage])
    daemon.start()
    publish.rows(RECORDING.times_ns[110:120], RECORDING.values[110:120], first=110)
    wait_for(lambda: seen.count("/score", 90), what="scores go on")
    assert daemon.stop() == 0
    assert "event=snapshot-refused" in daemon.text()
    assert daemon.counts()["samples_skipped_by_restart"] == 10


def test_a_stream_that_was_silent_for_long_is_evicted_and_goes_on_when_it_returns(
    make_daemon, subscribe, publish
):
    seen = subscribe("edgelstm/gw/stream/pump1/score")
    daemon = make_daemon(
        extra='[limits]\nidle_evict = "1s"\n[durability]\nsnapshot_interval = "300ms"'
    ).start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: seen.count("/score", 70), what="the first scores")
    wait_for(lambda: "event=evicted" in daemon.text(), what="the eviction")
    publish.rows(RECORDING.times_ns[100:200], RECORDING.values[100:200], first=100)
    wait_for(lambda: seen.count("/score", 170), what="scores go on")
    assert [s["score"] for s in seen.of("/score")] == [v.score for v in VERDICTS[:170]]
    assert daemon.stop() == 0
    assert daemon.counts()["samples_skipped_by_restart"] == 0
