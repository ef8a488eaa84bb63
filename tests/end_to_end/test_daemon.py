"""From a sample on a real broker to an alert on it, and what is left when things end."""

import subprocess
import sys
import time

import numpy as np
import pytest

import edgelstm
from edgelstm.alert_payload import alert_payload
from edgelstm.outbox import Outbox, Outgoing
from edgelstm.sample import Sample
from edgelstm_firmware_sim import Fault, record
from rig import MODEL, wait_for

RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
LOADED = edgelstm.load(MODEL)


def expected(recording=RECORDING):
    """What the detector says of a recording, with times as the payloads carry them."""
    detector = LOADED.detector()
    verdicts = [
        detector.push(Sample(v, t)) for t, v in zip(rounded(recording), recording.values, strict=True)
    ]
    return [verdict for verdict in verdicts if verdict is not None]


def rounded(recording):
    return [round(t / 1e9 * 1e6) * 1000 for t in recording.times_ns.tolist()]


def comparable(alert):
    return {
        key: alert[key]
        for key in ("id", "event_type", "ts", "score", "threshold", "severity", "channels", "reasons")
    }


def expected_alerts(verdicts, stream="pump1"):
    return [
        comparable(alert_payload(v.alert, node="gw", stream=stream, model="pump", model_digest=LOADED.digest))
        for v in verdicts
        if v.alert is not None
    ]


def test_scores_and_alerts_are_those_of_the_detector_to_the_bit(make_daemon, subscribe, publish):
    daemon, seen = make_daemon().start(), subscribe()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    verdicts = expected()
    wait_for(lambda: seen.count("/score", len(verdicts)), what="every score")
    assert [s["score"] for s in seen.of("/score")] == [v.score for v in verdicts]
    assert [s["threshold"] for s in seen.of("/score")] == [v.threshold for v in verdicts]
    wanted = expected_alerts(verdicts)
    assert wanted, "the recording has to raise an alert, or this proves nothing"
    wait_for(lambda: len(seen.of("/alert")) == len(wanted), what="every alert")
    assert [comparable(alert) for alert in seen.of("/alert")] == wanted
    wait_for(lambda: seen.of("/state")[-1]["state"] == "anomaly", what="the state")
    state = seen.of("/state")[-1]
    assert state["problem"] == "ON" and state["alert_id"] == wanted[0]["id"]
    assert daemon.stop() == 0


def test_status_and_health_and_a_clean_stop(make_daemon, subscribe, publish):
    seen = subscribe("edgelstm/gw/status", "edgelstm/gw/info", "edgelstm/gw/health")
    daemon = make_daemon().start()
    wait_for(lambda: seen.of("/info") and seen.of("/health"), what="info and health")
    assert seen.raw("/status") == [b"online"]
    assert seen.of("/info")[0]["models"] == {"pump": LOADED.digest}
    assert seen.of("/health")[0]["connected"]["out"] is True
    assert daemon.stop() == 0
    wait_for(lambda: seen.raw("/status")[-1:] == [b"offline"], what="offline")
    assert "event=stopped" in daemon.text() and "Traceback" not in daemon.text()


def test_values_beyond_the_range_of_the_network_are_counted(make_daemon, subscribe, publish):
    daemon, seen = make_daemon().start(), subscribe()
    values = RECORDING.values[:60].copy()
    values[[10, 40, 41], 0] = 1e9
    publish.rows(RECORDING.times_ns[:60], values)
    wait_for(lambda: seen.count("/score", 30), what="every score")
    assert daemon.stop() == 0
    assert daemon.counts()["saturated"] == 3


def test_a_killed_daemon_is_declared_offline_by_its_last_will(make_daemon, subscribe):
    daemon, seen = make_daemon().start(), subscribe("edgelstm/gw/status")
    wait_for(lambda: seen.raw("/status") == [b"online"], what="online")
    daemon.kill()
    wait_for(lambda: seen.raw("/status")[-1:] == [b"offline"], what="the last will")


def test_after_a_clean_stop_scores_go_on_as_if_nothing_had_been(make_daemon, subscribe, publish):
    seen, daemon = subscribe(), make_daemon().start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: len(seen.of("/score")) == 70, what="the first scores")
    assert daemon.stop() == 0
    publish.rows(
        RECORDING.times_ns[100:200], RECORDING.values[100:200], first=100
    )  # kept by the broker meanwhile
    daemon.start()
    publish.rows(RECORDING.times_ns[200:], RECORDING.values[200:], first=200)
    verdicts = expected()
    wait_for(lambda: len(seen.of("/score")) >= len(verdicts), what="every score")
    assert [s["score"] for s in seen.of("/score")] == [v.score for v in verdicts]
    assert [comparable(alert) for alert in seen.of("/alert")] == expected_alerts(verdicts)
    assert not any(alert["resumed"] for alert in seen.of("/alert"))


def test_streams_are_apart(make_daemon, subscribe, publish):
    seen, _daemon = subscribe(), make_daemon().start()
    other = record("pump", 6, 9)
    for first in range(0, 60, 20):
        rows = slice(first, first + 20)
        publish.rows(RECORDING.times_ns[rows], RECORDING.values[rows], first=first)
        publish.rows(other.times_ns[rows], other.values[rows], first=first, node="pump 2")
    wait_for(lambda: len(seen.of("/score")) == 60, what="scores of both")
    assert len(seen.of("stream/pump_2/score")) == 30
    assert [s["score"] for s in seen.of("stream/pump1/score")] == [v.score for v in expected()][:30]


GARBAGE = [
    b"",
    b"\x00\xff\xfe" * 10,
    b"{",
    b'{"ts": NaN, "flow": 1}',
    b'{"seq":1,"ts":1e999,"flow":1}',
    b'{"seq":1,"ts":"soon","flow":1}',
    b'{"seq":1,"flow":1}',
    b'{"seq":1,"ts":1767225600.5,"flow":"high"}',
    b'{"seq":1,"ts":1767225600.5,"flow":[1]}',
    b'{"seq":1,"ts":1767225600.5,"flow":1e60}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"seq":1,"ts":1767225600.5,"x":"' + b"y" * 300_000 + b'"}',
]


def test_garbage_is_counted_and_hurts_nobody(make_daemon, subscribe, publish):
    seen = subscribe()
    daemon = make_daemon(extra="", mqtt='protocol = "3.1.1"').start()
    publish.rows(RECORDING.times_ns[:50], RECORDING.values[:50])
    for payload in GARBAGE:
        publish.raw("plant/bad/telemetry", payload)
    publish.rows(RECORDING.times_ns[50:], RECORDING.values[50:], first=50)
    verdicts = expected()
    wait_for(lambda: seen.count("/score", len(verdicts)), what="every score")
    assert [s["score"] for s in seen.of("/score")] == [v.score for v in verdicts]
    assert daemon.stop() == 0
    counts = dict(pair.split("=") for pair in daemon.text().split("event=stopped ")[1].split())
    assert int(counts["malformed"]) + int(counts["oversize"]) == len(GARBAGE)
    assert "Traceback" not in daemon.text()


def test_missing_values_and_repeats(make_daemon, subscribe, publish):
    seen, daemon = subscribe(), make_daemon().start()
    values = RECORDING.values[:90].copy()
    values[40:43, 1] = np.nan
    publish.rows(RECORDING.times_ns[:90], values)
    publish.rows(RECORDING.times_ns[80:90], values[80:90], first=80)  # a gateway that sends its buffer again
    wait_for(
        lambda: seen.of("/score") and seen.of("/score")[-1]["ts"].startswith("2026-01-01T00:00:08.9"),
        what="scores",
    )
    daemon.stop()
    wait_for(lambda: daemon.text().count("samples=100"), what="all samples")
    detector = LOADED.detector()
    verdicts = [detector.push(Sample(v, t)) for t, v in zip(rounded(RECORDING)[:90], values, strict=True)]
    assert [s["score"] for s in seen.of("/score")] == [v.score for v in verdicts if v is not None]


def test_raw_float32_stamped_at_arrival(make_daemon, subscribe, publish):
    seen = subscribe()
    daemon = make_daemon()
    text = (
        daemon.config.read_text()
        .replace('timestamp = "ts"', 'format = "raw"')
        .replace('sequence = "seq"', "")
    )
    daemon.config.write_text(text)
    daemon.start()
    publish.raw("plant/pump1/telemetry", RECORDING.values[:60].astype("<f4").tobytes())
    wait_for(lambda: len(seen.of("/score")) == 30, what="scores of a batch")
    publish.raw("plant/pump1/telemetry", b"12345")
    wait_for(lambda: "event=malformed" in daemon.text(), what="a word about 5 bytes")
    assert daemon.stop() == 0
    assert "malformed=1" in daemon.text()


def test_no_broker_at_the_start(tmp_path, broker, make_daemon, subscribe, publish):
    broker.kill()
    waiting = make_daemon().start(connected=False)
    wait_for(lambda: "event=waiting" in waiting.text(), what="a word about the missing broker")
    broker.start()
    wait_for(lambda: "link=in event=subscribed" in waiting.text(), what="the connection")
    assert waiting.stop() == 0


def test_no_broker_and_no_patience(broker, make_daemon):
    broker.kill()
    daemon = make_daemon(mqtt='startup = "exit"')
    done = subprocess.run(
        [sys.executable, "-m", "edgelstm", "run", str(daemon.config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 69
    assert done.stderr.splitlines()[-1].startswith("edgelstm: no broker at mqtt://127.0.0.1:")


def test_a_broker_that_loses_everything(make_daemon, subscribe, publish, broker):
    """mosquitto without persistence, killed: subscriptions, retained messages and sessions are gone."""
    daemon, early = make_daemon().start(), subscribe()
    publish.rows(RECORDING.times_ns[:200], RECORDING.values[:200])
    wait_for(lambda: early.count("/score", len(expected()) - 100), what="scores before it")
    broker.kill()
    broker.start()
    wait_for(lambda: daemon.text().count("link=in event=subscribed") == 2, what="the second connection")
    wait_for(lambda: daemon.text().count("link=out event=connected") == 2, what="the second connection")
    late = subscribe()
    wait_for(lambda: late.raw("/status") == [b"online"], what="the status, published again")
    wait_for(lambda: late.of("/state"), what="the state, published again")
    wait_for(publish.client.is_connected, what="the sensor to be back")
    publish.rows(RECORDING.times_ns[200:], RECORDING.values[200:], first=200)
    wait_for(lambda: late.count("/score", 100), what="scores after it")
    assert [s["score"] for s in late.of("/score")] == [v.score for v in expected()[-100:]]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (("url =", "ulr ="), 78, 'mqtt.ulr: unknown key; did you mean "url"?'),
        ((str(MODEL), "/nowhere/pump.elstm"), 69, "/nowhere/pump.elstm: no such file"),
        (('"plant/+/telemetry"', '"#"'), 78, 'input[0].topics: "#" would feed our own output'),
        (('model = "pump"', 'model = "pmup"'), 78, 'did you mean "pump"?'),
        (
            ('sequence = "seq"', 'channels = ["a"]'),
            78,
            'gateway.toml: input "pumps": channels: names 1, but model',
        ),
    ],
)
def test_a_mistake_is_one_line(broker, make_daemon, change, code, message):
    daemon = make_daemon()
    daemon.config.write_text(daemon.config.read_text().replace(*change))
    done = subprocess.run(
        [sys.executable, "-m", "edgelstm", "run", str(daemon.config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code
    assert (
        len(done.stderr.splitlines()) == 1 and done.stderr.startswith("edgelstm: ") and message in done.stderr
    )


def test_watch_prints_alerts_and_ends(make_daemon, broker, publish):
    make_daemon().start()
    watching = subprocess.Popen(
        [sys.executable, "-m", "edgelstm", "watch", "-p", str(broker.port), "-C", "1", "-W", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "watching" in watching.stderr.readline()
    time.sleep(0.3)
    publish.rows(RECORDING.times_ns, RECORDING.values)
    out, _ = watching.communicate(timeout=25)
    assert watching.returncode == 0
    assert out.startswith("gw/pump1  2026-01-01T00:00:1") and "raised" in out and "vibration (" in out


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.1])
def test_alerts_on_their_way_when_the_broker_dies_are_delivered(make_daemon, broker, delay_s):
    """Nothing stays behind in the outbox, whether a PUBACK was lost with the broker or a PUBLISH was."""
    daemon = make_daemon(mqtt='reconnect_min = "100ms"')
    (daemon.folder / "state").mkdir()
    outbox = Outbox(daemon.folder / "state" / "edgelstm.db")
    outbox.commit([Outgoing(f"edgelstm/gw/stream/s/{n}", b"{}", "raised") for n in range(3000)], [])
    daemon.start()
    wait_for(lambda: outbox.size()[0] < 3000, what="the first of them to be delivered")
    time.sleep(delay_s)
    broker.kill()
    left = outbox.size()[0]
    assert left > 0, "the broker has to die while alerts are on their way"
    broker.start()
    wait_for(lambda: outbox.size()[0] == 0, what=f"the {left} that were left")
    outbox.close()
    assert daemon.stop() == 0
