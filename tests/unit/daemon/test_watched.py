"""Where a stream goes on after a restart, and what it makes of sequences and clocks."""

import dataclasses
import json

import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, plain_model, settings_for
from edgelstm import alert_payload
from edgelstm.alert import OpenAlert
from edgelstm.config import InputConfig
from edgelstm.daemon.routes import Route, settings_of
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.watched import Watched
from edgelstm.device_verdict import OPEN as ALERT
from edgelstm.device_verdict import REASONS, SCORED, DeviceVerdict
from edgelstm.errors import ConfigError
from edgelstm.sources.codecs import Block
from edgelstm.stream import LoadedModel

NAMES = ("c0", "c1", "c2")
PLAIN = plain_model().model
LOADED = LoadedModel(dataclasses.replace(PLAIN, detector_settings=settings_for(NAMES)))
OTHER = LoadedModel(dataclasses.replace(PLAIN, detector_settings=settings_for(NAMES), name="other"))
VALUES = noise(1, 200)
OPEN = OpenAlert(
    opened_ns=START_NS + 5 * SECOND, peak_score=9.5, samples=3, severity="critical",
    announced_ns=START_NS + 5 * SECOND, announced_peak=9.5, announced_severity="critical",
)  # fmt: skip


def watched(model=LOADED, **options):
    entry = InputConfig(name="i", topics=("t",), model="m", **options)
    return Watched("s", Route("plant/s", entry, model, list, settings_of(entry, model)), "gw")


def block(number, time_ns=None, sequence=None, shift=0.0):
    """One sample, as most payloads hold it."""
    return Block(VALUES[number : number + 1] + np.float32(shift), time_ns, sequence)


def scores(stream):
    """Score what was gathered; return the scores that there are."""
    return [
        score for _, verdicts in stream.score() for score in verdicts.scores[verdicts.states >= 0].tolist()
    ]


def feed(stream, first, end, sequence=False):
    """Push samples a second apart; return their scores."""
    found = []
    for n in range(first, end):
        stream.gather(block(n, START_NS + n * SECOND, n if sequence else None), START_NS + n * SECOND)
        found += scores(stream)
    return found


def test_a_block_is_scored_as_its_samples_one_by_one():
    one_by_one, together = watched(), watched()
    wanted = feed(one_by_one, 0, 100)
    for first in range(0, 100, 20):
        time_ns = START_NS + (first + 19) * SECOND
        together.gather(Block(VALUES[first : first + 20], time_ns), time_ns)
    assert scores(together) == wanted
    assert together.detector.snapshot() == one_by_one.detector.snapshot()
    assert together.last_verdict == one_by_one.last_verdict


@pytest.fixture
def snapshots(tmp_path):
    return Snapshots(tmp_path / "s")


def test_a_stream_that_was_never_seen_begins_at_nothing(snapshots):
    stream = watched()
    assert stream.resume(None, snapshots) == 0
    assert (stream.samples, stream.resumed, stream.state_name) == (0, False, "warming")


def test_a_clean_stop_loses_nothing(snapshots):
    before, straight = watched(), watched()
    feed(before, 0, 100)
    assert before.save(snapshots)
    assert not before.save(snapshots)  # nothing new
    after = watched()
    assert after.resume(before.position(with_state=False), snapshots) == 0
    assert (after.samples, after.resumed, after.state_name) == (100, False, "ok")
    feed(straight, 0, 100)
    assert feed(after, 100, 200) == feed(straight, 100, 200)


def test_after_a_crash_it_goes_on_from_the_snapshot_and_counts_what_that_has_not_seen(snapshots):
    before, skipping = watched(), watched()
    feed(before, 0, 100)
    before.save(snapshots)
    feed(before, 100, 120)
    after = watched()
    assert after.resume(before.position(with_state=False), snapshots) == 20
    assert (after.samples, after.resumed) == (120, True)
    assert feed(after, 110, 120) == []  # sent again, and judged before
    feed(skipping, 0, 100)
    assert feed(after, 120, 200) == feed(skipping, 120, 200)


def test_a_position_with_a_state_needs_no_snapshot(snapshots):
    before, straight = watched(), watched()
    feed(before, 0, 100)
    after = watched()
    assert after.resume(before.position(with_state=True), snapshots) == 0
    feed(straight, 0, 100)
    assert feed(after, 100, 200) == feed(straight, 100, 200)


def test_a_damaged_state_is_said_and_the_snapshot_is_taken(snapshots, caplog):
    before = watched()
    feed(before, 0, 50)
    before.save(snapshots)
    feed(before, 50, 60)
    damaged = bytearray(before.detector.snapshot())
    damaged[100] ^= 1
    position = before.position(with_state=False)._replace(state=bytes(damaged))
    assert watched().resume(position, snapshots) == 10
    assert "event=state-refused" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "empty", "head", "body"])
def test_the_generation_before_takes_over_from_a_damaged_snapshot(snapshots, damage):
    before = watched()
    feed(before, 0, 50)
    before.save(snapshots)
    feed(before, 50, 80)
    before.save(snapshots)
    newest = snapshots.folder / "s.snapshot"
    content = bytearray(newest.read_bytes())
    content[3 if damage == "head" else len(content) // 2] ^= 4
    cut = {"truncated": 30, "empty": 0}.get(damage, len(content))
    newest.write_bytes(content[:cut])
    after = watched()
    assert after.resume(before.position(with_state=False), snapshots) == 30
    assert after.resumed


def test_a_snapshot_ahead_of_the_database_is_the_truth(snapshots):
    """A power failure takes the newest positions from the database; snapshots are synced."""
    before, straight = watched(), watched()
    feed(before, 0, 50)
    position = before.position(with_state=False)
    feed(before, 50, 80)
    before.save(snapshots)
    after = watched()
    assert after.resume(position, snapshots) == 0
    assert (after.samples, after.resumed) == (80, False)
    feed(straight, 0, 80)
    assert feed(after, 80, 200) == feed(straight, 80, 200)


def test_the_alert_of_a_model_that_was_replaced_is_cleared_under_its_own_id(snapshots):
    position = (
        watched().position(with_state=False)._replace(open_alert=OPEN, last_time_ns=START_NS + 9 * SECOND)
    )
    stream = watched(OTHER)
    assert stream.resume(position, snapshots) == 0
    event = json.loads(stream.orphan)
    assert event["event_type"] == "cleared"
    assert event["note"] == "the model was replaced"
    assert event["id"] == alert_payload.alert_id("gw", "s", LOADED.digest, OPEN.opened_ns)
    assert event["duration_s"] == 4.0
    assert stream.detector.open_alert is None


def test_an_alert_that_was_open_goes_on(snapshots):
    position = (
        watched().position(with_state=False)._replace(open_alert=OPEN, last_time_ns=START_NS + 9 * SECOND)
    )
    stream = watched()
    stream.resume(position, snapshots)
    assert stream.orphan is None
    assert stream.state_name == "anomaly"
    assert json.loads(stream.state())["problem"] == "ON"


@pytest.mark.parametrize(
    ("last", "number", "sent_before", "repeat"),
    [
        (None, 5, False, False), (5, 6, False, False), (5, 5, False, True), (500, 3, False, True),
        (2000, 3, False, False),  # far behind: the sender began anew
        (500, 0, False, False), (500, 1, False, False), (500, 0, True, True), (1, 1, False, True), (1, 0, False, True),
    ],
)  # fmt: skip
def test_sequences(last, number, sent_before, repeat):
    stream = watched()
    stream.last_sequence = last
    assert stream.gather(block(0, None, number), START_NS, sent_before=sent_before) == "repeated" * repeat
    assert stream.gather(block(0, START_NS, number), START_NS, sent_before=sent_before) == ""


def test_arrival_goes_forward_whatever_the_clock_does():
    stream, late_ns = watched(), START_NS - 3600 * SECOND
    for number in range(40):
        stream.gather(block(number), START_NS + number * SECOND)
        scores(stream)
    for number in range(40, 80):
        stream.gather(block(number), late_ns + number * SECOND)
        assert len(scores(stream)) == 1
    assert stream.detector.counters["late"] == stream.detector.counters["duplicates"] == 0


@pytest.mark.parametrize("at_once", [False, True])
def test_batches_that_come_close_together_overlap_and_are_all_taken(at_once):
    stream = watched()
    for batch in range(5):
        stream.gather(Block(VALUES[:20]), START_NS + batch * SECOND)
        if not at_once:
            scores(stream)
    scores(stream)
    assert stream.detector.counters["late"] == stream.detector.counters["duplicates"] == 0
    assert stream.samples == 100


def test_one_time_in_the_far_future_is_refused_and_a_minute_of_them_is_believed():
    stream = watched()
    feed(stream, 0, 40)
    assert stream.gather(block(40, START_NS + 10**6 * SECOND), START_NS + 40 * SECOND) == "future"
    assert len(feed(stream, 41, 60)) == 19  # nothing happened
    ahead = [
        stream.gather(block(number, START_NS + (10**6 + number) * SECOND), START_NS + number * SECOND)
        for number in range(60, 160)
    ]
    assert ahead == ["future"] * 60 + [""] * 40


def test_samples_whose_clock_is_set_back_begin_anew():
    stream, behind = watched(), 10**6
    feed(stream, 0, 40)
    found = [
        stream.gather(block(number, START_NS + (number - behind) * SECOND), START_NS + number * SECOND)
        for number in range(41, 200)
    ]
    assert found.count("clock_set_back") == 1 and set(found) == {"", "clock_set_back"}
    assert len(scores(stream)) == 159 - 60 - stream.detector.settings.warm_up


def test_a_gateway_that_sends_its_buffer_again_does_not_set_the_clock_back():
    stream = watched()
    feed(stream, 0, 200)
    for number in range(200):
        old = block(number, START_NS - (1000 - number) * SECOND)
        assert stream.gather(old, START_NS + number * SECOND // 10) == ""
    assert scores(stream) == []
    assert stream.detector.last_time_ns == START_NS + 199 * SECOND


def test_an_alert_that_is_open_when_the_clock_is_set_back_is_cleared():
    stream = watched()
    feed(stream, 0, 40)
    for number in range(40, 50):
        stream.gather(block(number, START_NS + number * SECOND, shift=100), START_NS + number * SECOND)
    scores(stream)
    assert stream.state_name == "anomaly"
    early = block(0, START_NS - 10**6 * SECOND)
    assert stream.gather(early, START_NS) == ""
    assert stream.gather(early, START_NS + 61 * SECOND) == "clock_set_back"
    scores(stream)
    assert json.loads(stream.orphan)["note"] == "the clock of the samples was set back"
    assert stream.state_name == "warming"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [({"threshold": 9.0}, (9.0, 9.0, 9.0)), ({"threshold": 9.0, "threshold_low": 2.0}, (2.0, 9.0, 9.0))],
)
def test_a_threshold_that_is_asked_for_stays(changes, wanted):
    found = settings_of(InputConfig(name="i", topics=("t",), model="m", detector=changes), LOADED)
    assert (found.threshold_low, found.threshold, found.threshold_high) == wanted


def test_a_model_without_a_detector():
    with pytest.raises(ConfigError, match='input "i": model "m" carries no detector'):
        settings_of(InputConfig(name="i", topics=("t",), model="m"), plain_model())


@pytest.mark.parametrize(
    ("sequences", "missing"),
    [
        ((4, 5, 6), 0),
        ((4, 7, 8), 2),
        ((4, 6, 9), 3),
        ((4, 4, 5), 0),  # one came twice
        ((4, 0, 1), 0),  # the sender began anew
        ((4, 5_000_000), 0),  # or counts from somewhere else
    ],
)
def test_sequence_numbers_that_were_passed_over_are_counted(sequences, missing):
    stream = watched()
    for n, sequence in enumerate(sequences):
        stream.gather(block(n, START_NS + n * SECOND, sequence), START_NS + n * SECOND)
    assert stream.missing == missing


def test_a_device_that_decides_is_followed_and_its_settings_are_its_own():
    stream = watched(format="device")
    why = np.ones((3, 3), np.float32)
    for number, flags in enumerate((SCORED, SCORED | ALERT | REASONS, SCORED)):
        verdict = DeviceVerdict(
            flags, 0, min(number, 1), number, 6.0, 5.0, 6.5, why if flags & REASONS else None
        )
        stream.gather(Block(VALUES[number : number + 1], verdict=verdict), START_NS + number * SECOND)
    ((times_ns, verdicts),) = stream.score()
    assert [alert.event_type for alert in verdicts.alerts] == ["raised", "cleared"]
    assert verdicts.states.tolist() == [0, 1, 0] and len(times_ns) == 3
    assert stream.last_verdict[1:] == (6.0, 5.0)
    assert json.loads(stream.event(verdicts.alerts[0], LOADED.digest))["peak_score"] == 6.5
    with pytest.raises(ConfigError, match='input "i": detector: the device decides'):
        watched(format="device", detector={"threshold": 5.0})
