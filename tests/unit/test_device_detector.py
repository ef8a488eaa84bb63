"""The verdicts of a device followed: what is lost on the way loses no alert, and nothing is said twice."""

import struct

import numpy as np
import pytest

from detector_cases import SECOND, plain_model, settings_for
from edgelstm.alert import OpenAlert
from edgelstm.device_detector import UNHEARD_NOTE, DeviceDetector
from edgelstm.device_verdict import ADOPTED, CRITICAL, OPEN, REASONS, SCORED, DeviceVerdict, verdict_of
from edgelstm.errors import SnapshotError

WHY = np.array([[1.0, 0.5, 0.25], [2.0, 0.5, 0.75]], np.float32)


def detector():
    return DeviceDetector(plain_model(2), settings_for(["c0", "c1"]))


def calm(raised=0, updates=0, flags=SCORED, peak=0.0):
    return DeviceVerdict(flags, updates, raised, 0, 1.0, 5.0, peak, None)


def alarm(raised=1, updates=0, peak=6.0, flags=SCORED, samples=1):
    return DeviceVerdict(flags | OPEN | REASONS, updates, raised, samples, 6.0, 5.0, peak, WHY)


def follow(one, *heard, first=0):
    times_ns = np.arange(first, first + len(heard), dtype=np.int64) * SECOND
    return one.follow(times_ns, np.ones((len(heard), 2), np.float32), heard)


def kinds(verdicts):
    return [alert.event_type for alert in verdicts.alerts]


def test_a_life_of_an_alert():
    one = detector()
    found = follow(
        one, calm(), alarm(), alarm(samples=2, peak=9.0), alarm(1, 1, 9.0, SCORED | CRITICAL), calm(1, 1)
    )
    assert kinds(found) == ["raised", "updated", "cleared"]
    raised, updated, cleared = found.alerts
    assert [alert.opened_ns for alert in found.alerts] == [SECOND] * 3
    assert [reason.name for reason in raised.channels] == ["c1", "c0"]
    assert (raised.channels[0].low, raised.channels[0].high, raised.severity) == (1.5, 2.5, "warning")
    assert (updated.severity, updated.peak_score, cleared.time_ns) == ("critical", 9.0, 4 * SECOND)
    assert found.states.tolist() == [0, 1, 1, 1, 0]
    assert one.counters == {"samples": 5, "scored": 5, "raised": 1, "updated": 1, "cleared": 1, "unheard": 0}
    assert one.open_alert is None and one.threshold == 5.0


@pytest.mark.parametrize("lost", range(1, 7))
def test_any_lost_frame_loses_no_alert(lost):
    heard = [calm(), alarm(), alarm(), calm(1), alarm(2), alarm(2), calm(2), calm(2)]
    del heard[lost]
    assert kinds(follow(detector(), *heard)) == ["raised", "cleared"] * 2


def test_an_alert_that_came_and_went_unheard_is_told_and_others_are_counted():
    one = detector()
    found = follow(one, calm(), calm(3, peak=7.0))
    assert kinds(found) == ["raised", "cleared"]
    assert {alert.note for alert in found.alerts} == {UNHEARD_NOTE}
    assert one.counters["unheard"] == 2


def test_one_alert_after_the_other_without_a_calm_frame_between():
    found = follow(detector(), alarm(1), alarm(2))
    assert kinds(found) == ["raised", "cleared", "raised"]
    assert found.alerts[2].opened_ns == SECOND


def test_a_device_that_forgot_all_says_nothing_until_it_has_a_verdict():
    one = detector()
    follow(one, calm(4), alarm(5))
    assert kinds(follow(one, calm(flags=0), calm(flags=0), first=2)) == []
    assert one.open_alert is not None
    assert kinds(follow(one, alarm(1), calm(1), first=4)) == ["cleared", "raised", "cleared"]


def test_an_adopted_level_is_said():
    assert "adopted" in follow(detector(), alarm(), calm(1, flags=SCORED | ADOPTED)).alerts[-1].note


def test_after_a_restart_the_database_is_right_and_the_alert_goes_on():
    one = detector()
    follow(one, calm(), alarm())
    known = one.open_alert
    later = detector()
    later.restore(one.snapshot())
    assert later.open_alert == known and later.last_time_ns == SECOND
    later.adopt(known, SECOND)
    assert kinds(follow(later, alarm(), first=2)) == []
    later.adopt(None, 2 * SECOND)
    assert kinds(follow(later, calm(7), alarm(8), first=3)) == ["raised"]
    assert isinstance(known, OpenAlert)
    with pytest.raises(SnapshotError, match="no snapshot of this kind"):
        later.restore(b"ELSTMDET" + bytes(60))


def test_counts_that_wrap():
    assert kinds(follow(detector(), calm(65_535), alarm(0), calm(0))) == ["raised", "cleared"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "are no verdict"),
        (struct.pack("<BBHIddd", 1, 0, 0, 0, np.nan, 5.0, 0.0), "a number that is none"),
        (struct.pack("<BBHIddd", OPEN, 0, 0, 0, 1.0, 5.0, 0.0), "an open alert without reasons"),
        (struct.pack("<BBHIddd", 128, 0, 0, 0, 1.0, 5.0, 0.0), "with flags 128"),
        (struct.pack("<BBHIddd", REASONS, 0, 0, 0, 1.0, 5.0, 0.0), "of 32 bytes with flags 16, expected 56"),
        (struct.pack("<BBHIddd", 1, 0, 0, 0, 1.0, 5.0, 0.0) + b"x", "of 33 bytes"),
    ],
)
def test_what_is_no_verdict(content, reason):
    with pytest.raises(ValueError, match=reason):
        verdict_of(content, 2)
