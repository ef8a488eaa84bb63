"""Brokers that stall or refuse, disks that are full, two daemons in one place, payloads that would kill."""

import dataclasses
import getpass
import json
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

import edgelstm
from edgelstm import config, model_file
from edgelstm.daemon.service import load_models
from edgelstm.errors import EdgeLstmError
from edgelstm.sample import Sample
from edgelstm_firmware_sim import Fault, record
from rig import CHANNELS, MODEL, wait_for

RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
LOADED = edgelstm.load(MODEL)


def scores_of(times_ns, values):
    detector = LOADED.detector()
    verdicts = [
        detector.push(Sample(row, round(t / 1e3) * 1000)) for t, row in zip(times_ns, values, strict=True)
    ]
    return [verdict.score for verdict in verdicts if verdict is not None]


def test_a_broker_that_stalls_does_not_hold_the_daemon_back(make_daemon, subscribe, publish, broker):
    seen, daemon = subscribe(), make_daemon().start()
    publish.rows(RECORDING.times_ns[:60], RECORDING.values[:60])
    wait_for(lambda: seen.count("/score", 30), what="scores")
    broker.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(0.3)
        assert daemon.stop() == 0  # within 30 s, or `stop` fails
    finally:
        broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: seen.raw("/status")[-1:] == [b"offline"], what="offline, from us or as last will")
    daemon.start()
    publish.rows(RECORDING.times_ns[60:], RECORDING.values[60:], first=60)
    wanted = scores_of(RECORDING.times_ns.tolist(), RECORDING.values)
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == wanted
    assert daemon.stop() == 0


def test_a_broker_that_stalls_and_goes_on(make_daemon, subscribe, publish, broker):
    seen, daemon = subscribe(), make_daemon().start()
    publish.rows(RECORDING.times_ns[:150], RECORDING.values[:150])
    broker.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    broker.process.send_signal(signal.SIGCONT)
    publish.rows(RECORDING.times_ns[150:], RECORDING.values[150:], first=150)
    wanted = scores_of(RECORDING.times_ns.tolist(), RECORDING.values)
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == wanted
    assert daemon.stop() == 0


def test_a_full_disk_holds_samples_back_until_there_is_room(make_daemon, subscribe, publish):
    """Files of the daemon may not grow beyond a size, which is what a full disk looks like to a database."""
    seen, daemon = subscribe(), make_daemon(extra='[durability]\nmode = "strict"').start()
    publish.rows(RECORDING.times_ns[:10], RECORDING.values[:10])
    wait_for(lambda: seen.of("/state"), what="a state")
    size = max(path.stat().st_size for path in (daemon.folder / "state").iterdir() if path.is_file())
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size + 4096, resource.RLIM_INFINITY))
    publish.rows(RECORDING.times_ns[10:], RECORDING.values[10:], first=10)
    wait_for(lambda: "event=commit_failed" in daemon.text(), what="a word about the disk")
    assert daemon.process.poll() is None
    told = subprocess.run(
        [sys.executable, "-m", "edgelstm", "status", str(daemon.config)], capture_output=True, text=True
    )
    assert told.returncode == 1, told.stdout
    assert "cannot be written: " in told.stdout
    resource.prlimit(
        daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    wanted = scores_of(RECORDING.times_ns.tolist(), RECORDING.values)
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == wanted
    wait_for(lambda: seen.of("/alert"), what="the alert")
    assert "event=written-again" in daemon.text()
    assert daemon.stop() == 0
    assert daemon.counts()["commit_failed"] >= 1


def test_a_disk_that_stays_full_ends_in_an_error_and_nothing_is_lost(make_daemon, subscribe, publish):
    seen, daemon = subscribe(), make_daemon(extra='[durability]\nmode = "strict"').start()
    publish.rows(RECORDING.times_ns[:10], RECORDING.values[:10])
    wait_for(lambda: seen.of("/state"), what="a state")
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    publish.rows(RECORDING.times_ns[10:100], RECORDING.values[10:100], first=10)
    wait_for(lambda: "event=commit_failed" in daemon.text(), what="a word about the disk")
    assert daemon.stop() == 1
    daemon.start()
    publish.rows(RECORDING.times_ns[100:], RECORDING.values[100:], first=100)
    wanted = scores_of(RECORDING.times_ns.tolist(), RECORDING.values)
    wait_for(
        lambda: seen.of("/score") and seen.of("/score")[-1]["score"] == wanted[-1], what="the last score"
    )
    assert {score["score"] for score in seen.of("/score")} == set(wanted)
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    "number", ["18446744073709551615", "9223372036854775808", "1e30", "-1", "true", '"7"']
)
def test_a_sequence_that_no_database_holds_is_counted(make_daemon, subscribe, publish, number):
    seen, daemon = subscribe(), make_daemon().start()
    publish.raw("plant/pump1/telemetry", f'{{"seq":{number},"ts":1767225600.5,"flow":1}}')
    publish.rows(RECORDING.times_ns[:60], RECORDING.values[:60])
    wait_for(lambda: seen.count("/score", 30), what="scores")
    assert daemon.stop() == 0
    assert daemon.counts()["malformed"] == 1


def test_samples_that_a_full_queue_of_the_broker_lost_are_counted(make_daemon, subscribe, publish):
    """An untouched mosquitto keeps 1,000 messages for a client that is away, and says nothing of the others."""
    seen, daemon = subscribe("edgelstm/gw/stream/pump1/score"), make_daemon().start()
    times_ns, values = (
        RECORDING.times_ns[0] + np.arange(1600) * 10**8,
        np.tile(RECORDING.values, (6, 1))[:1600],
    )
    publish.rows(times_ns[:100], values[:100])
    wait_for(lambda: seen.count("/score", 70), what="the scores")
    assert daemon.stop() == 0
    publish.rows(times_ns[100:1500], values[100:1500], first=100)
    daemon.start()
    wait_for(lambda: seen.count("/score", 1070), what="the scores of what was kept")
    publish.rows(times_ns[1500:], values[1500:], first=1500)
    # after a gap that long the detector warms up again
    wait_for(lambda: seen.count("/score", 1140), what="the scores")
    assert daemon.stop() == 0
    assert daemon.counts()["samples_missing"] == 400
    assert daemon.counts()["sequence_gaps"] == 1


def test_two_daemons_do_not_share_a_folder(make_daemon):
    daemon = make_daemon().start()
    again = subprocess.run(
        [sys.executable, "-m", "edgelstm", "run", str(daemon.config)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert again.returncode == 69
    assert again.stderr.count("\n") == 1 and "is used by another edgelstm run" in again.stderr
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.stop() == 0


def test_a_broker_that_refuses_alerts_is_told_of_and_gets_them_later(make_daemon, subscribe, publish, broker):
    rules = broker.folder / "acl"
    rules.write_text("topic read #\ntopic write plant/#\ntopic write edgelstm/gw/status\n")
    broker.kill()
    broker.settings.write_text(broker.settings.read_text() + f"acl_file {rules}\nuser {getpass.getuser()}\n")
    broker.start()
    publish.client.reconnect()
    daemon = make_daemon().start()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    wait_for(lambda: "event=publish_refused" in daemon.text(), what="a word about the refusal")
    assert daemon.stop() == 0  # before the rules change: else an alert of later could be let through first
    rules.write_text("topic readwrite #\n")
    broker.process.send_signal(signal.SIGHUP)
    seen = subscribe()
    daemon.start()
    wait_for(lambda: seen.of("/alert"), what="the alert that was refused before")
    assert seen.of("/alert")[0]["event_type"] == "raised"
    assert daemon.stop() == 0
    with sqlite3.connect(daemon.folder / "state" / "edgelstm.db") as db:
        assert db.execute("SELECT COUNT(*) FROM outbox").fetchone() == (0,)
    db.close()


def test_alerts_of_a_long_outage_come_in_order(make_daemon, subscribe, publish, broker):
    """Hundreds of alerts wait in the database of a daemon that was never connected; the window is smaller."""
    daemon = make_daemon().start()
    assert daemon.stop() == 0
    with sqlite3.connect(daemon.folder / "state" / "edgelstm.db") as db:
        db.executemany(
            "INSERT INTO outbox (topic, payload, event, created_ns) VALUES (?, ?, 'raised', ?)",
            [("edgelstm/gw/stream/p/alert", json.dumps({"n": n}), time.time_ns()) for n in range(1000)],
        )
    db.close()
    seen = subscribe("edgelstm/gw/stream/p/alert")
    daemon.start()
    wait_for(lambda: seen.count("/alert", 1000), what="every alert")
    assert [alert["n"] for alert in seen.of("/alert")] == list(range(1000))
    assert daemon.stop() == 0
    assert daemon.counts()["alerts_delivered"] == 1000


def test_a_flood_at_qos_0_is_bounded_and_the_others_go_on(make_daemon, subscribe, publish):
    limits = "[limits]\nqueue = 1000\nmax_streams = 3"
    seen, daemon = subscribe("edgelstm/gw/stream/pump1/score"), make_daemon(extra=limits).start()
    publish.rows(RECORDING.times_ns[:50], RECORDING.values[:50])
    row = dict(zip(CHANNELS, RECORDING.values[0].tolist(), strict=True))
    for number in range(20_000):
        payload = json.dumps({"seq": number, "ts": 1767225600 + number / 10, **row})
        publish.client.publish(f"plant/flood{number % 40}/telemetry", payload, qos=0)
    publish.rows(RECORDING.times_ns[50:], RECORDING.values[50:], first=50)
    wanted = scores_of(RECORDING.times_ns.tolist(), RECORDING.values)
    wait_for(lambda: seen.count("/score", len(wanted)), 30, what="every score of the stream at QoS 1")
    assert [score["score"] for score in seen.of("/score")] == wanted
    assert daemon.stop() == 0
    assert daemon.counts()["stream_limit"] > 1000


def test_settings_of_the_detector_are_changed_or_refused(make_daemon, subscribe, publish):
    daemon = make_daemon(input_extra="detector = { threshold = 999.0 }").start()
    seen = subscribe()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    wait_for(lambda: seen.count("/score", 270), what="scores")
    assert {score["threshold"] for score in seen.of("/score")} == {999.0}
    assert not seen.of("/alert")
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{ raise_aftr = 4 }", 'detector: raise_aftr: unknown key; did you mean "raise_after"?'),
        ("{ raise_after = 40 }", "raise_after is 40, expected 1 to 5"),
        ('{ on_missing = "zero" }', "detector: on_missing: invalid enum value 'zero'"),
        ("{ threshold = 5.0, threshold_low = 6.0 }", "threshold is 5.0, expected 6 to"),
    ],
)
def test_a_mistake_in_the_settings_of_the_detector(make_daemon, change, message):
    daemon = make_daemon(input_extra=f"detector = {change}")
    with pytest.raises(EdgeLstmError) as raised:
        load_models(config.load(daemon.config))
    assert message in str(raised.value) and 'input "pumps"' in str(raised.value)


def test_a_model_that_is_replaced_clears_the_alert_of_the_one_before(
    make_daemon, subscribe, publish, tmp_path
):
    seen, daemon = subscribe(), make_daemon().start()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    wanted = len(scores_of(RECORDING.times_ns.tolist(), RECORDING.values))
    wait_for(lambda: seen.count("/score", wanted), what="every score")
    wait_for(lambda: seen.of("/alert"), what="an alert")
    assert daemon.stop() == 0
    raised = [alert["id"] for alert in seen.of("/alert") if alert["event_type"] == "raised"]
    assert seen.of("/state")[-1]["problem"] == "ON"
    other = tmp_path / "other.elstm"
    model_file.save(dataclasses.replace(LOADED.model, name="other"), other)
    daemon.config.write_text(daemon.config.read_text().replace(str(MODEL), str(other)))
    daemon.start()
    later_ns = RECORDING.times_ns[:40] + 40 * 10**9
    publish.rows(later_ns, RECORDING.values[:40], first=400)
    cleared = wait_for(lambda: [a for a in seen.of("/alert") if a["event_type"] == "cleared"], what="an end")
    assert [alert["id"] for alert in cleared] == raised[-1:]
    assert cleared[0]["note"] == "the model was replaced"
    wait_for(lambda: seen.of("/state")[-1]["state"] == "ok", what="the state")
    assert daemon.stop() == 0
    assert np.isfinite([score["score"] for score in seen.of("/score")]).all()
