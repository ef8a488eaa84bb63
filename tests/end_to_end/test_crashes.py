"""kill -9 in the middle of a replay, again and again: nothing decided is lost, repeats carry the same id."""

import json
import random
import time

import pytest

import edgelstm
from edgelstm.alert_payload import alert_payload, timestamp
from edgelstm.sample import Sample
from edgelstm.sources.time_text import to_ns
from edgelstm_firmware_sim import Fault, record
from rig import MODEL, wait_for

pytestmark = pytest.mark.slow
LOADED = edgelstm.load(MODEL)
KILLS = 10
FAULTS = [
    Fault(name, 30 + 60 * n, 5, 45 + 60 * n)
    for n, name in enumerate(("cavitation", "blockage", "bearing_wear") * 3)
]
RECORDING = record("pump", 600, 17, FAULTS)


@pytest.fixture
def broker_settings():
    """An untouched mosquitto keeps 1,000 messages for a client that is away; a replay at full speed sends more."""
    return "max_queued_messages 100000"


def replay_with_kills(daemon, publish, seed):
    """Publish the recording in parts while the daemon is killed at random moments of it."""
    chance = random.Random(seed)
    samples = len(RECORDING.values)
    cuts = [0, *sorted(chance.sample(range(100, samples - 100), KILLS)), samples]
    for first, end in zip(cuts[:-1], cuts[1:], strict=True):
        publish.rows(RECORDING.times_ns[first:end], RECORDING.values[first:end], first=first)
        if end < samples:
            time.sleep(chance.uniform(0.0, 0.15))  # somewhere in the middle of the work
            daemon.kill()
            daemon.start()


def test_strict_survives_ten_kills_to_the_bit(make_daemon, subscribe, publish):
    seen = subscribe("edgelstm/gw/stream/pump1/alert", "edgelstm/gw/stream/pump1/score")
    daemon = make_daemon(extra='[durability]\nmode = "strict"').start()
    replay_with_kills(daemon, publish, seed=1)
    detector = LOADED.detector()
    times_ns = [round(t / 1e3) * 1000 for t in RECORDING.times_ns.tolist()]
    verdicts = [detector.push(Sample(v, t)) for t, v in zip(times_ns, RECORDING.values, strict=True)]
    alerts = [v.alert for v in verdicts if v is not None and v.alert is not None]
    wanted = [
        alert_payload(a, node="gw", stream="pump1", model="pump", model_digest=LOADED.digest) for a in alerts
    ]
    assert sum(alert["event_type"] == "raised" for alert in wanted) >= 3
    last = json.loads(json.dumps(wanted[-1]))
    wait_for(lambda: any(key(a) == key(last) for a in seen.of("/alert")), what="the last alert")
    wait_for(lambda: seen.of("/score")[-1]["score"] == verdicts[-1].score, what="the last score")
    received = seen.of("/alert")
    assert {key(alert) for alert in received} == {
        key(alert) for alert in wanted
    }  # none missing, none invented
    # a score is published once, at QoS 0, so a kill may lose some; those that came are right
    right = {v.time_ns: v.score for v in verdicts if v is not None}
    published = {score["ts"]: score["score"] for score in seen.of("/score")}
    exact = {timestamp(t): score for t, score in right.items()}
    assert len(published) > len(exact) // 2
    assert all(exact[ts] == score for ts, score in published.items())
    assert daemon.stop() == 0


def test_alerts_mode_loses_no_alert_and_says_what_it_skipped(make_daemon, subscribe, publish):
    seen = subscribe("edgelstm/gw/stream/pump1/alert", "edgelstm/gw/stream/pump1/score")
    daemon = make_daemon(extra='[durability]\nmode = "alerts"\nsnapshot_interval = "200ms"').start()
    replay_with_kills(daemon, publish, seed=2)
    end = timestamp(round(RECORDING.times_ns[-1] / 1e3) * 1000)
    wait_for(lambda: seen.of("/score") and seen.of("/score")[-1]["ts"] == end, what="the last score")
    assert daemon.stop() == 0
    committed = {  # every event that was committed and lived to be logged, by kind and score
        (line.split("event=")[1].split()[0], line.split("score=")[1].split()[0])
        for line in daemon.text().splitlines()
        if "stream=pump1 event=" in line and "score=" in line
    }
    received = {(alert["event_type"], f"{alert['score']:.2f}") for alert in seen.of("/alert")}
    assert len(committed) >= 3
    assert committed <= received  # none is missing
    assert len(received - committed) <= KILLS  # a kill between commit and log leaves an event out of the log
    per_event = {}
    for alert in seen.of("/alert"):
        per_event.setdefault((alert["event_type"], alert["ts"]), set()).add(alert["id"])
    assert all(len(ids) == 1 for ids in per_event.values())  # a repeat has the same id
    raised = {alert["id"] for alert in seen.of("/alert") if alert["event_type"] == "raised"}
    assert {alert["id"] for alert in seen.of("/alert")} == raised  # what is updated or cleared was raised
    found = [f for f in FAULTS if any(f.start_s <= at < f.start_s + 20 for at in raised_at(seen))]
    assert len(found) >= len(FAULTS) - 3  # a fault may fall into the samples that a restart skipped
    assert "skipped=" in daemon.text()


def raised_at(seen):
    """Return when alerts were raised, in seconds of the recording."""
    start = int(RECORDING.times_ns[0])
    return [(to_ns(a["ts"]) - start) / 1e9 for a in seen.of("/alert") if a["event_type"] == "raised"]


def key(alert):
    return (
        alert["id"],
        alert["event_type"],
        alert["ts"],
        alert["score"],
        alert["peak_score"],
        alert["samples"],
    )
