"""Recovery: who raised an alert keeps it open, who drifted meanwhile does not, and is at a new normal after it."""

import itertools

import msgspec
import numpy as np
import pytest

from detector_cases import SECOND, START_NS, drifting_aside, noise, plain_model, settings_for, times
from edgelstm.detector import ADOPTED_NOTE, OTHERS_NOTE, Detector
from edgelstm.detector_settings import SettingsError

MODEL = plain_model()
END = 500
COUNT = 900


def detector_of(**changes: object) -> Detector:
    return Detector(MODEL, settings_for(MODEL.channel_names, **changes))


def row(alert) -> int:
    return (alert.time_ns - START_NS) // SECOND


def of(verdicts, kind: str) -> list[int]:
    return [row(alert) for alert in verdicts.alerts if alert.event_type == kind]


def test_a_channel_that_drifts_meanwhile_does_not_keep_it_open():
    on_all = detector_of().push_block(times(COUNT), drifting_aside(COUNT))
    assert of(on_all, "raised")
    assert not of(on_all, "cleared"), "the drift stays, so the score does"
    detector = detector_of(recovery_ratio=0.3)
    verdicts = detector.push_block(times(COUNT), drifting_aside(COUNT))
    assert of(verdicts, "raised") == of(on_all, "raised")
    (cleared,) = of(verdicts, "cleared")
    assert END <= cleared < END + 60
    assert verdicts.alerts[-1].note == OTHERS_NOTE
    assert detector.counters["adopted"] == 1
    assert (verdicts.scores[cleared + 40 :] < verdicts.thresholds[cleared + 40 :]).all(), "the new normal"


def test_scores_are_the_same_until_it_clears():
    on_all, followed = (
        detector_of(**changes).push_block(times(COUNT), drifting_aside(COUNT))
        for changes in ({}, {"recovery_ratio": 0.3})
    )
    (cleared,) = of(followed, "cleared")
    np.testing.assert_array_equal(on_all.scores[: cleared + 1], followed.scores[: cleared + 1])
    assert (on_all.scores[cleared + 2 :] != followed.scores[cleared + 2 :]).all()


@pytest.mark.parametrize(("ratio", "clears"), [(0.3, True), (0.1, False)])
def test_a_level_is_back_below_the_ratio_of_its_largest(ratio, clears):
    """A fault of 15 deviations goes back to 3, far above what raises, and stays there."""
    values = noise(7, COUNT)
    values[400:END, 0] += 15.0
    values[END:, 0] += 3.0
    detector = detector_of(recovery_ratio=ratio)
    verdicts = detector.push_block(times(COUNT), values)
    assert bool([one for one in of(verdicts, "cleared") if one < END + 60]) == clears
    assert detector.counters["adopted"] == 0, (
        "the channel that raised it keeps the baseline that it comes back to"
    )


def test_a_fault_that_stays_stays_open():
    values = noise(7, 2000)
    values[400:, 0] += 15.0
    verdicts = detector_of(recovery_ratio=0.5).push_block(times(2000), values)
    assert len(of(verdicts, "raised")) == 1
    assert not of(verdicts, "cleared")


def test_noise_without_a_level_is_followed_by_all_its_signals():
    """The mean does not move, so nothing is said of the level: the alert lasts as long as the errors do."""
    values = noise(7, COUNT)
    values[400:600:2, 0] += 12.0
    values[401:600:2, 0] -= 12.0
    verdicts = detector_of(recovery_ratio=0.9).push_block(times(COUNT), values)
    (cleared,) = of(verdicts, "cleared")
    assert 600 <= cleared < 660


def test_the_time_out_adopts_all_as_before():
    values = noise(7, COUNT)
    values[400:, 0] += 15.0
    detector = detector_of(recovery_ratio=0.3, freeze_timeout_ns=200 * SECOND)
    alerts = detector.push_block(times(COUNT), values).alerts
    assert alerts[-1].note == ADOPTED_NOTE
    assert detector.counters["adopted"] == 1


def test_cut_anywhere_is_whole():
    values = drifting_aside(COUNT)
    whole = detector_of(recovery_ratio=0.3)
    expected = whole.push_block(times(COUNT), values)
    current, scores = detector_of(recovery_ratio=0.3), []
    for start, end in itertools.pairwise([0, 403, 410, 419, 430, 480, 512, 515, COUNT]):
        snapshot, current = current.snapshot(), detector_of(recovery_ratio=0.3)
        current.restore(snapshot)
        scores.append(current.push_block(times(COUNT)[start:end], values[start:end]).scores)
    np.testing.assert_array_equal(np.concatenate(scores), expected.scores)
    assert current.snapshot() == whole.snapshot()


def test_an_alert_taken_over_without_its_state_clears_on_all_channels():
    """Nobody knows who raised it: what drifted keeps it open, as if there were no recovery."""
    values, at_end = drifting_aside(COUNT), END - 20
    before = detector_of(recovery_ratio=0.3)
    before.push_block(times(COUNT)[:at_end], values[:at_end])
    after = detector_of(recovery_ratio=0.3)
    after.push_block(times(COUNT)[:390], values[:390])
    after.adopt(before.open_alert, before.last_time_ns)
    verdicts = after.push_block(times(COUNT)[at_end:], values[at_end:])
    assert not of(verdicts, "cleared")


def test_settings_without_it_are_written_as_before():
    """Or digests of model files and snapshots would change."""
    assert b"recovery" not in msgspec.json.encode(settings_for(["a"]))
    assert b'"recovery_ratio":0.3' in msgspec.json.encode(settings_for(["a"], recovery_ratio=0.3))
    assert len(detector_of().snapshot()) < len(detector_of(recovery_ratio=0.3).snapshot())


@pytest.mark.parametrize("ratio", [0.0, 1.5, float("nan")])
def test_a_ratio_out_of_range_is_named(ratio):
    with pytest.raises(SettingsError, match=f"recovery_ratio is {ratio}, expected 0.01 to 1"):
        settings_for(["a"], recovery_ratio=ratio)
