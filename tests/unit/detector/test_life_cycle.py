"""Raised, updated, cleared: hysteresis, cooldown, freeze and its time-out, restart."""

import itertools

import msgspec
import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, plain_model, settings_for, times
from edgelstm import explanation
from edgelstm.alert import alert_id
from edgelstm.detector import Detector
from edgelstm.detector_settings import SIGNALS
from edgelstm.kernels.detection import layout as at
from edgelstm.sample import Sample

MODEL = plain_model()
FAULT = slice(400, 500)


def detector_of(**changes: object) -> Detector:
    return Detector(MODEL, settings_for(MODEL.channel_names, **changes))


def faulty(count: int = 700, by: float = 15.0, fault: slice = FAULT):
    values = noise(7, count)
    values[fault, 0] += by
    return values


def kinds(alerts) -> list[str]:
    return [alert.event_type for alert in alerts]


def test_reasons_name_the_signal_that_says_most_and_its_share():
    """The share of one signal is its surprise to the fourth power over the score's; what is missing says nothing."""
    values = faulty()
    values[FAULT, 2] = np.nan
    detector = detector_of()
    raised = detector.push_block(times(700), values).alerts[0]
    row = (raised.time_ns - START_NS) // SECOND
    again = detector_of()
    again.push_block(times(700)[: row + 1], values[: row + 1])
    surprises, weights = explanation._surprises(again)
    powers = (weights * surprises) ** 4 / raised.score**4
    first, *others = raised.channels
    assert first.name == MODEL.channel_names[0]
    assert first.signal == SIGNALS[int(np.nanargmax(powers[0]))]
    assert first.signal_share == pytest.approx(np.nanmax(powers[0]))
    assert 0.0 < first.signal_share <= first.share
    silent = next(one for one in others if one.name == MODEL.channel_names[2])
    assert (silent.signal, silent.signal_share, silent.share) == (None, None, 0.0)


def test_a_fault_is_raised_and_cleared_under_one_id_with_its_reason():
    verdicts = detector_of().push_block(times(700), faulty())
    alerts = verdicts.alerts
    assert kinds(alerts)[0] == "raised"
    assert kinds(alerts)[-1] == "cleared"
    assert kinds(alerts).count("raised") == 1
    assert len({alert_id("n", "s", MODEL.digest, alert.opened_ns) for alert in alerts}) == 1
    delay = (alerts[0].time_ns - START_NS) // SECOND - FAULT.start
    assert 0 <= delay < 10
    reason = alerts[0].channels[0]
    assert reason.name == "c0"
    assert reason.share > 0.8
    assert reason.value is not None
    assert reason.high is not None
    assert reason.value > reason.high
    assert abs(sum(reason.share for reason in alerts[0].channels) - 1.0) < 1e-12
    cleared = (alerts[-1].time_ns - START_NS) // SECOND
    assert FAULT.stop < cleared < FAULT.stop + 100
    assert alerts[-1].samples == (alerts[-1].time_ns - alerts[0].time_ns) // SECOND + 1
    assert alerts[-1].peak_score >= max(alert.score for alert in alerts)


def test_k_of_n_scores_have_to_be_above():
    """With 5 of 5 the alert comes at the fifth score in a row, with 1 of 1 at the first."""
    first, fifth = (
        detector_of(raise_after=k, raise_window=k).push_block(times(700), faulty()) for k in (1, 5)
    )
    above = fifth.scores > fifth.thresholds
    run = next(n for n in range(700) if above[n - 4 : n + 1].sum() == 5)
    assert fifth.alerts[0].time_ns == times(700)[run]
    assert first.alerts[0].time_ns == times(700)[int(np.argmax(first.scores > first.thresholds))]


def test_updates_keep_their_interval_and_each_says_more():
    settings = {"update_interval_ns": 20 * SECOND, "threshold": 5.0, "critical_ratio": 1.4}
    values = noise(7, 700)
    values[FAULT] += np.linspace(0, 40, 100, dtype=np.float32)[:, None]
    alerts = detector_of(**settings).push_block(times(700), values).alerts
    spoken = [alert for alert in alerts if alert.event_type in ("raised", "updated")]
    assert len(spoken) >= 2
    for earlier, later in itertools.pairwise(spoken):
        assert later.time_ns - earlier.time_ns >= 20 * SECOND
        assert (
            later.severity > earlier.severity
            or later.peak_score > 1.1 * earlier.peak_score
            or (later.severity == "critical" != earlier.severity)
        )


def test_it_clears_only_after_so_many_calm_scores():
    verdicts = detector_of(clear_after=25).push_block(times(700), faulty())
    row = int((verdicts.alerts[-1].time_ns - START_NS) // SECOND)
    calm = verdicts.scores < 0.7 * verdicts.thresholds
    assert calm[row - 24 : row + 1].all()
    assert not calm[row - 25]


def test_cooldown_is_time():
    values = noise(7, 900)
    values[400:450, 0] += 15.0
    values[600:650, 0] += 15.0
    eager = detector_of(cooldown_ns=0).push_block(times(900), values)
    patient = detector_of(cooldown_ns=1000 * SECOND).push_block(times(900), values)
    assert kinds(eager.alerts).count("raised") >= 2
    assert kinds(patient.alerts).count("raised") == 1


def baselines(detector: Detector) -> np.ndarray:
    own = detector._floats[at.FIRST_CHANNEL_WORD :].reshape(3, at.CHANNEL_WORDS)
    return own[
        :, [at.LONG_MEAN, at.VARIANCE, at.ERROR_SPREAD, *range(at.FIRST_TAIL, at.CHANNEL_WORDS)]
    ].copy()


def test_baselines_tails_and_threshold_are_frozen_while_open():
    """The fault lasts 3,000 samples, three memories long, and is not learned: it is still open at its end."""
    detector = detector_of()
    values = faulty(4000, fault=slice(400, 3900))
    detector.push_block(times(4000)[:450], values[:450])
    assert detector.open_alert is not None
    before, threshold = baselines(detector), detector.threshold
    verdicts = detector.push_block(times(4000)[450:3400], values[450:3400])
    assert (verdicts.states == 1).all()
    np.testing.assert_array_equal(baselines(detector), before)
    assert detector.threshold == threshold


def test_after_the_time_out_the_new_level_is_adopted_and_said():
    detector = detector_of(freeze_timeout_ns=600 * SECOND)
    alerts = detector.push_block(times(4000), faulty(4000, fault=slice(400, 4000))).alerts
    assert kinds(alerts).count("raised") == 1
    assert kinds(alerts)[-1] == "cleared"
    assert alerts[-1].time_ns - alerts[-1].opened_ns == 600 * SECOND
    assert "adopted" in alerts[-1].note
    assert alerts[0].note == ""
    assert detector.counters["adopted"] == 1
    back = detector.push_block(times(200, start_ns=START_NS + 4000 * SECOND), faulty(200, fault=slice(0, 0)))
    assert kinds(back.alerts)[:1] == ["raised"], "going back to the old level is a change again"


def test_adopt_goes_on_with_the_alert_of_the_database():
    """A detector without a snapshot, or with an old one, clears the alert under the id it was raised with."""
    values = faulty()
    whole = detector_of()
    whole.push_block(times(700)[:380], values[:380])
    old = whole.snapshot()
    raised = whole.push_block(times(700)[380:450], values[380:450]).alerts[0]
    known, position = whole.open_alert, whole.last_time_ns
    assert known is not None
    assert position is not None
    for snapshot in (old, None):
        detector = detector_of()
        if snapshot is not None:
            detector.restore(snapshot)
        detector.adopt(known, position)
        assert detector.open_alert == known
        assert detector.push(Sample(values[420], int(times(700)[420]))) is None, "already decided"
        alerts = detector.push_block(times(700)[450:], values[450:]).alerts
        assert alerts[-1].event_type == "cleared"
        assert alerts[-1].opened_ns == raised.opened_ns
        assert "raised" not in kinds(alerts)
    detector = detector_of()
    detector.restore(whole.snapshot())
    detector.adopt(None, position)
    assert detector.open_alert is None


def test_open_alert_of_the_same_opening_is_overridden_by_the_database():
    detector = detector_of()
    detector.push_block(times(450), faulty(450))
    here = detector.open_alert
    assert here is not None
    there = msgspec.structs.replace(here, peak_score=99.0, samples=7, severity="critical")
    detector.adopt(there, detector.last_time_ns)
    assert detector.open_alert == there


def test_what_was_not_announced_yet_is_announced_after_a_restart():
    """An alert that grew critical between two announcements is told of, also by one that begins at an old snapshot."""
    values = noise(7, 700)
    values[400:600, 0] += np.linspace(4.0, 80.0, 200, dtype=np.float32)
    whole = detector_of(update_interval_ns=150 * SECOND, critical_ratio=1.7)
    whole.push_block(times(390), values[:390])
    old, row = whole.snapshot(), 390
    while whole.open_alert is None or whole.open_alert.severity == whole.open_alert.announced_severity:
        whole.push(Sample(values[row], int(times(700)[row])))
        row += 1
    known = whole.open_alert
    assert (known.announced_severity, known.severity) == ("warning", "critical")
    for snapshot in (whole.snapshot(), old):
        detector = detector_of(update_interval_ns=150 * SECOND, critical_ratio=1.7)
        detector.restore(snapshot)
        detector.adopt(known, whole.last_time_ns)
        alerts = detector.push_block(times(700)[row:], values[row:]).alerts
        assert (alerts[0].event_type, alerts[0].severity) == ("updated", "critical")
        assert alerts[0].opened_ns == known.opened_ns
