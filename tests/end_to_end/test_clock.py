"""The wall clock is set while the daemon runs: by hours, forward and back, as NTP does to a gateway without a clock of its own."""

import json
import time

import numpy as np
import pytest
from test_faults import SCRIPT, start_faulty

import edgelstm
from edgelstm.sample import Sample
from edgelstm.sources.time_text import to_ns
from edgelstm_firmware_sim import Fault, record
from rig import CHANNELS, MODEL, wait_for
from test_daemon import comparable, expected_alerts

pytestmark = pytest.mark.slow
RECORDING = record("pump", 40, 3, [Fault("cavitation", 20, 3, 26)])
HOUR_S = 3600


class Clock:
    """The daemon's clock, ahead of ours by so many seconds."""

    def __init__(self, path):
        self.path, self.ahead_s = path, 0
        self.ahead(0)

    def ahead(self, seconds):
        self.ahead_s = seconds
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.path)

    def now_s(self):
        return time.time() + self.ahead_s


@pytest.fixture
def clock(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOCK", str(tmp_path / "clock"))
    return Clock(tmp_path / "clock")


def times_from_now():
    """Return the recording's times as if it ended now, in whole microseconds as payloads carry them."""
    shifted = RECORDING.times_ns - RECORDING.times_ns[-1] + time.time_ns()
    return np.array([round(t / 1e9 * 1e6) * 1000 for t in shifted.tolist()])


def verdicts_at(times_ns):
    detector = edgelstm.load(MODEL).detector()
    found = [detector.push(Sample(v, t)) for t, v in zip(times_ns.tolist(), RECORDING.values, strict=True)]
    return [verdict for verdict in found if verdict is not None]


def send(publish, times_ns, first, end):
    publish.rows(times_ns[first:end], RECORDING.values[first:end], first=first)


@pytest.mark.parametrize("jump_s", [5 * HOUR_S, -30])
def test_a_jump_is_nothing_to_samples_with_times_of_their_own(
    make_daemon, subscribe, publish, clock, monkeypatch, jump_s
):
    """Scores and alerts are those of the detector to the bit, no link is dropped, no timer fires."""
    times_ns, seen = times_from_now(), subscribe()
    daemon = start_faulty(make_daemon(), monkeypatch, "clock")
    send(publish, times_ns, 0, 150)
    wait_for(lambda: seen.count("/score", 120), what="the scores before it")
    clock.ahead(jump_s)
    send(publish, times_ns, 150, len(times_ns))
    wanted = verdicts_at(times_ns)
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == [verdict.score for verdict in wanted]
    alerts = expected_alerts(wanted)
    assert alerts
    wait_for(lambda: seen.count("/alert", len(alerts)), what="every alert")
    assert [comparable(alert) for alert in seen.of("/alert")] == alerts
    assert daemon.stop() == 0
    assert "event=disconnected" not in daemon.text()
    assert not {"future", "clock_set_back"} & set(daemon.counts())


def test_a_clock_that_falls_behind_the_samples_holds_them_up_for_a_minute(
    make_daemon, subscribe, publish, clock, monkeypatch
):
    """Set back by hours: samples look far ahead of it, until a minute of them says that it is the clock that is wrong."""
    times_ns, seen = times_from_now(), subscribe()
    daemon = start_faulty(make_daemon(), monkeypatch, "clock")
    send(publish, times_ns, 0, 150)
    wait_for(lambda: seen.count("/score", 120), what="the scores before it")
    clock.ahead(-2 * HOUR_S)
    send(publish, times_ns, 150, 160)
    wait_for(lambda: "event=future" in daemon.text(), what="a word about it")
    clock.ahead(-2 * HOUR_S + 61)
    send(publish, times_ns, 160, 200)
    wait_for(lambda: seen.count("/score", 160), what="the scores after it")
    assert daemon.stop() == 0
    assert daemon.counts()["future"] == 10
    assert daemon.counts()["samples"] == 190


def test_samples_that_we_stamp_ourselves_follow_a_clock_that_is_set_back(
    make_daemon, subscribe, publish, clock, monkeypatch
):
    """For a minute the old times go on; then the stream begins anew at the new ones, or its pauses would last for hours."""
    seen, daemon = subscribe(), make_daemon()
    daemon.config.write_text(
        daemon.config.read_text().replace('timestamp = "ts"', "").replace('sequence = "seq"', "")
    )
    start_faulty(daemon, monkeypatch, "clock")
    clock.ahead(2 * HOUR_S)

    def rows(first, end):
        for row in RECORDING.values[first:end].tolist():
            publish.raw("plant/pump1/telemetry", json.dumps(dict(zip(CHANNELS, row, strict=True))))

    rows(0, 60)
    wait_for(lambda: seen.count("/score", 30), what="the first scores")
    clock.ahead(0)
    rows(60, 70)
    wait_for(lambda: seen.count("/score", 40), what="scores with the old times")
    assert to_ns(seen.of("/score")[-1]["ts"]) / 1e9 > clock.now_s() + HOUR_S
    clock.ahead(61)
    rows(70, 130)
    wait_for(lambda: seen.count("/score", 70), what="scores with the new times")
    assert abs(to_ns(seen.of("/score")[-1]["ts"]) / 1e9 - clock.now_s()) < 60
    assert daemon.stop() == 0
    assert daemon.counts()["clock_set_back"] == 1 and daemon.counts()["samples"] == 130


def test_alerts_that_wait_do_not_grow_old_by_a_jump(
    make_daemon, subscribe, publish, broker, clock, monkeypatch
):
    """A month forward, while the broker is unreachable to us: what waits is younger than outbox_max_age all the same."""
    times_ns = times_from_now()
    daemon = make_daemon(port=1, extra='[durability]\noutbox_max_age = "1d"')
    lines = "".join(
        json.dumps({"seq": n, "ts": t / 1e9, **dict(zip(CHANNELS, row, strict=True))}) + "\n"
        for n, (t, row) in enumerate(zip(times_ns.tolist(), RECORDING.values.tolist(), strict=True))
    ).splitlines(keepends=True)
    path = daemon.folder / "samples.ndjson"
    path.write_text("")
    daemon.config.write_text(
        daemon.config.read_text().replace('topics = ["plant/+/telemetry"]', f'source = "file:{path}"')
        .replace('stream = "{1}"', 'stream = "pump1"')
    )  # fmt: skip
    monkeypatch.setenv("FAULT", "clock")
    daemon.program = [str(SCRIPT)]
    daemon.start(connected=False)
    wait_for(lambda: "event=started" in daemon.text(), what="the daemon")
    alerts = expected_alerts(verdicts_at(times_ns))
    cut = next(n for n, t in enumerate(times_ns.tolist()) if t == to_ns(alerts[0]["ts"])) + 1
    append(path, lines[:cut])
    wait_for(lambda: "event=raised" in daemon.text(), what="the alert")
    clock.ahead(30 * 24 * HOUR_S)
    append(path, lines[cut:])
    wait_for(lambda: "event=cleared" in daemon.text(), what="its end")
    daemon.config.write_text(daemon.config.read_text().replace('127.0.0.1:1"', f'127.0.0.1:{broker.port}"'))
    seen = subscribe("edgelstm/gw/stream/pump1/alert")
    assert daemon.stop() == 0
    assert "dropped_alerts_raised" not in daemon.counts()
    daemon.start(connected=False)
    wait_for(lambda: seen.count("/alert", len(alerts)), what="every alert")
    assert daemon.stop() == 0


def append(path, lines):
    with open(path, "a") as file:
        file.writelines(lines)
