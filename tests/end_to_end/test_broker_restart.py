"""A broker that keeps its sessions on disk is killed and started again: what it has saved comes, once, and in order."""

import getpass

import pytest

from edgelstm_firmware_sim import Fault, record
from rig import wait_for
from test_daemon import comparable, expected, expected_alerts

pytestmark = pytest.mark.slow
RECORDING = record("pump", 40, 3, [Fault("cavitation", 20, 3, 26)])
WANTED = expected(RECORDING)


@pytest.fixture
def broker_settings(tmp_path):
    """Every change is saved at once, though mosquitto confirms it a moment before."""
    return (
        f"persistence true\npersistence_location {tmp_path}/\nautosave_on_changes true\nautosave_interval 1\n"
        f"user {getpass.getuser()}"
    )


def send(publish, first, end):
    publish.rows(RECORDING.times_ns[first:end], RECORDING.values[first:end], first=first)


def is_right(seen):
    """The last score, to the bit, which only a stream that missed nothing says; every other, and the alerts, of an undisturbed run."""
    scores, alerts = [score["score"] for score in seen.of("/score")], {}
    for alert in seen.of("/alert"):  # a broker may send each again
        alerts.setdefault((alert["id"], alert["event_type"], alert["ts"]), comparable(alert))
    return (
        scores[-1:] == [WANTED[-1].score]
        and {*scores} <= {verdict.score for verdict in WANTED}
        and sorted(alerts.values(), key=order) == sorted(expected_alerts(WANTED), key=order)
    )


def order(alert):
    return alert["ts"], alert["event_type"]


def is_safe(broker, seen, row):
    """Whether a killed broker would not lose a row of the recording: it is saved, or was scored."""
    scored = any(score["score"] == WANTED[row - 30].score for score in seen.of("/score"))
    return scored or b'"seq": %d,' % row in (broker.folder / "mosquitto.db").read_bytes()


def test_a_session_outlives_a_kill_of_the_broker(make_daemon, subscribe, publish, broker):
    seen = subscribe(client_id="reader")
    daemon = make_daemon(mqtt='reconnect_min = "100ms"').start()
    send(publish, 0, 100)
    wait_for(lambda: is_safe(broker, seen, 99), what="the last row at the broker")
    broker.kill()
    broker.start()
    wait_for(publish.client.is_connected, what="the sensor to be back")
    send(publish, 100, 250)  # some of it before the daemon is back: its session takes them
    wait_for(lambda: is_safe(broker, seen, 249), what="the last row at the broker")
    broker.kill()
    broker.start()
    wait_for(publish.client.is_connected, what="the sensor to be back")
    send(publish, 250, len(RECORDING.values))
    wait_for(lambda: is_right(seen), 30, "every score and alert of an undisturbed run")
    assert "link=in event=connected protocol=5 session=kept" in daemon.text()
    assert daemon.stop() == 0
    assert daemon.counts()["scored"] == len(WANTED)  # what came again is counted, and not scored again


def test_what_was_confirmed_while_nobody_listened_comes_after_both_were_killed(
    make_daemon, subscribe, publish, broker
):
    daemon = make_daemon(extra='[durability]\nmode = "strict"').start()
    seen = subscribe()
    send(publish, 0, 100)
    wait_for(lambda: seen.count("/score", 70), what="the first scores")
    daemon.kill()
    send(publish, 100, len(RECORDING.values))
    wait_for(lambda: is_safe(broker, seen, len(RECORDING.values) - 1), what="the last row at the broker")
    broker.kill()
    broker.start()
    seen = subscribe()
    daemon.start()
    wait_for(lambda: is_right(seen), 30, "every score and alert of an undisturbed run")
    assert daemon.stop() == 0
