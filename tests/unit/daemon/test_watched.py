"""Where a stream goes on after a restart, and what it makes of sequences and clocks."""

import dataclasses
import json

import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, plain_model, settings_for
from edgelstm import alert_payload
from edgelstm.alert import OpenAlert
from edgelstm.config import InputConfig
from edgelstm.daemon.routes import Route
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.watched import Watched, settings_of
from edgelstm.errors import ConfigError
from edgelstm.sources.codecs import Reading
from edgelstm.stream import LoadedModel

NAMES = ("c0", "c1", "c2")
PLAIN = plain_model().model
LOADED = LoadedModel(dataclasses.replace(PLAIN, detector_settings=settings_for(NAMES)))
OTHER = LoadedModel(dataclasses.replace(PLAIN, detector_settings=settings_for(NAMES), name="other"))
VALUES = noise(1, 200)
OPEN = OpenAlert(opened_ns=START_NS + 5 * SECOND, peak_score=9.5, samples=3, severity="critical")


def watched(model=LOADED, **options):
    entry = InputConfig(name="i", topics=("t",), model="m", **options)
    return Watched(Route("plant/s", "s", entry, model, list), "gw")


def feed(stream, first, end, sequence=False):
    """Push samples a second apart; return their scores."""
    verdicts = [
        stream.push(Reading(VALUES[n], START_NS + n * SECOND, n if sequence else None), START_NS)
        for n in range(first, end)
    ]
    return [verdict.score for verdict in verdicts if verdict is not None]


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
    assert stream.is_repeat(Reading(VALUES[0], None, number), sent_before=sent_before) is repeat
    assert not stream.is_repeat(Reading(VALUES[0], START_NS, number), sent_before=sent_before)


def test_arrival_goes_forward_whatever_the_clock_does():
    stream, late_ns = watched(), START_NS - 3600 * SECOND
    for number in range(40):
        stream.push(Reading(VALUES[number]), START_NS + number * SECOND)
    for number in range(40, 80):
        assert stream.push(Reading(VALUES[number]), late_ns + number * SECOND) is not None
    assert stream.detector.counters["late"] == stream.detector.counters["duplicates"] == 0


def test_batches_that_come_close_together_overlap_and_are_all_taken():
    stream = watched()
    for batch in range(5):
        for number in range(20):
            stream.push(Reading(VALUES[number], samples_before_last=19 - number), START_NS + batch * SECOND)
    assert stream.detector.counters["late"] == stream.detector.counters["duplicates"] == 0
    assert stream.samples == 100


def test_one_time_in_the_far_future_does_not_silence_a_stream_for_ever():
    stream = watched()
    feed(stream, 0, 40)
    stream.push(Reading(VALUES[40], START_NS + 10**9 * SECOND), START_NS)
    scored, back = 0, 0
    for number in range(41, 200):
        reading, arrival_ns = Reading(VALUES[number], START_NS + number * SECOND), START_NS + number * SECOND
        back += stream.clock_was_set_back(reading, arrival_ns)
        scored += stream.push(reading, arrival_ns) is not None
    assert back == 1
    assert scored == 159 - 60 - stream.detector.settings.warm_up


def test_a_gateway_that_sends_its_buffer_again_does_not_set_the_clock_back():
    stream = watched()
    feed(stream, 0, 200)
    for number in range(200):
        reading = Reading(VALUES[number], START_NS - (1000 - number) * SECOND)
        assert not stream.clock_was_set_back(reading, START_NS + number * SECOND // 10)
    assert stream.detector.last_time_ns == START_NS + 199 * SECOND


def test_an_alert_that_is_open_when_the_clock_is_set_back_is_cleared():
    stream = watched()
    feed(stream, 0, 40)
    for number in range(40, 50):
        stream.push(Reading(VALUES[number] + np.float32(100), START_NS + number * SECOND), START_NS)
    assert stream.state_name == "anomaly"
    early = Reading(VALUES[0], START_NS - 10**6 * SECOND)
    assert not stream.clock_was_set_back(early, 0)
    assert stream.clock_was_set_back(early, 61 * SECOND)
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
