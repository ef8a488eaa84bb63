"""From history to settings: budget, floors, short and broken histories."""

import dataclasses

import msgspec
import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, persistence_model, plain_model, times, unsure_model
from edgelstm.calibration import calibrate, examine
from edgelstm.detector import ADOPTED_NOTE, Detector
from edgelstm.detector_settings import DetectorSettings, SettingsError
from edgelstm.errors import CalibrationError, UsageError
from edgelstm.evidence_choice import WEIGHTS
from edgelstm.kernels.detection import layout as at
from edgelstm.stream import LoadedModel

MODEL = plain_model()


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize(("budget", "allowed"), [("1 per hour", 83.3), ("1 per day", 3.47)])
def test_the_budget_is_held_within_reason(heavy, budget, allowed):
    """A history of ten hours, then 300,000 samples never seen: at most twice the alerts asked for, and not none
    at all where many are allowed."""
    settings = calibrate(MODEL, times(36_000), noise(1, 36_000, heavy=heavy), budget)
    detector = Detector(MODEL, settings)
    detector.push_block(times(300_000, start_ns=START_NS + 36_000 * SECOND), noise(2, 300_000, heavy=heavy))
    assert detector.counters["raised"] <= 2.0 * allowed + 2
    if allowed > 50:
        assert detector.counters["raised"] >= allowed / 2.0


def test_a_stream_that_is_wilder_than_its_history_comes_to_its_budget_the_sooner():
    """The step of files of before and the one of today, on a stream with heavier tails than the history had."""
    raised = {}
    for step in (0.1, None):
        settings = calibrate(MODEL, times(20_000), noise(1, 20_000), "1 per hour", threshold_step=step)
        detector = Detector(MODEL, settings)
        detector.push_block(times(40_000), noise(2, 40_000, heavy=True))
        raised[settings.threshold_step] = detector.counters["raised"]
    assert set(raised) == {0.1, 0.2}
    assert raised[0.2] < raised[0.1]


def test_the_threshold_follows_the_budget():
    history = times(5000), noise(3, 5000)
    found = [examine(MODEL, *history, budget) for budget in ("1 per hour", "1 per day", "1 per week")]
    thresholds = [one.settings.threshold for one in found]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[2]
    assert found[2].extrapolated
    assert not found[2].capped


def test_settings_survive_json():
    settings = calibrate(MODEL, times(500), noise(3, 500))
    assert msgspec.json.decode(msgspec.json.encode(settings), type=DetectorSettings) == settings
    assert settings.period_ns == SECOND
    assert settings.history_rows == 500


@pytest.mark.parametrize("step", [0.1, 0.25])
def test_a_constant_signal_does_not_alarm_at_its_first_movement(step):
    """One channel never moved in the history, one moved now and then by one step of its quantisation."""
    values = noise(4, 2000)
    values[:, 1] = 21.5
    values[:, 2] = 30.0
    values[700:900, 2] += step
    settings = calibrate(MODEL, times(2000), values)
    detector = Detector(MODEL, settings)
    after = noise(5, 3000)
    after[:, 1] = 21.5
    after[1000:, 1] += step
    after[:, 2] = 30.0
    after[2000:, 2] += step
    alerts = detector.push_block(times(3000, start_ns=START_NS + 2000 * SECOND), after).alerts
    assert alerts == []


def test_a_constant_signal_that_moves_far_alarms():
    values = noise(4, 2000)
    values[:, 1] = 21.5
    detector = Detector(MODEL, calibrate(MODEL, times(2000), values))
    after = noise(5, 300)
    after[:, 1] = 21.5
    after[200:, 1] = 35.0
    alerts = detector.push_block(times(300, start_ns=START_NS + 2000 * SECOND), after).alerts
    assert alerts
    assert alerts[0].channels[0].name == "c1"


def test_history_with_holes_gaps_and_an_empty_channel():
    values = noise(6, 2000)
    values[300:600, 0] = np.nan
    values[:, 1] = np.nan
    values[1000] = np.nan
    times_ns = times(2000)
    times_ns[1500:] += 10_000 * SECOND
    found = examine(MODEL, times_ns, values)
    assert found.missing == {"c0": 301, "c1": 2000, "c2": 1}
    assert found.constant == ("c1",)
    assert found.counters["resets"] == 1
    assert found.settings.history_alerts == 0
    for baseline in found.settings.channels:
        assert all(
            np.isfinite(value) for value in (baseline.mean, baseline.error_spread, baseline.level_spread)
        )


def test_too_little_history_says_how_much_is_needed():
    with pytest.raises(CalibrationError, match="has 50 usable rows, at least 100"):
        calibrate(MODEL, times(50), noise(0, 50))
    gaps = times(400) * 1
    gaps += np.arange(400) // 20 * 1000 * SECOND
    with pytest.raises(CalibrationError, match="can be scored"):
        calibrate(MODEL, gaps, noise(0, 400))
    with pytest.raises(CalibrationError, match="do not increase"):
        calibrate(MODEL, np.zeros(400, np.int64), noise(0, 400))


def test_choices_are_kept():
    found = examine(
        MODEL, times(500), noise(0, 500), on_missing="skip", gap_reset_ns=7 * SECOND, cooldown_ns=None
    )
    assert found.settings.on_missing == "skip"
    assert found.settings.gap_reset_ns == 7 * SECOND
    assert found.settings.cooldown_ns == 30 * SECOND


def test_forecasts_of_a_network_that_saw_other_inputs_are_named():
    """Twice the value where the value is right: the detector would be blind, and nobody would know."""
    model = persistence_model(["a", "b"], [10, 10], [1, 2])
    assert examine(LoadedModel(model), times(500), noise(0, 500, 2)).blind == {}
    doubled = msgspec.structs.replace(model.outputs[1], scale=2.0 * model.outputs[1].scale)
    wrong = LoadedModel(dataclasses.replace(model, outputs=(model.outputs[0], doubled)))
    blind = examine(wrong, times(500), noise(0, 500, 2)).blind
    assert list(blind) == ["b"]
    assert 3.0 < blind["b"] < 6.0


def test_a_model_that_forecasts_one_channel_judges_the_other_by_its_level():
    model = persistence_model(["a", "b"], [10, 10], [1, 2])
    outputs = (model.outputs[0], dataclasses.replace(model, outputs=()).layers and model.outputs[1])
    renamed = msgspec.structs.replace(outputs[1], name="other")
    loaded = LoadedModel(dataclasses.replace(model, outputs=(outputs[0], renamed)))
    detector = Detector(loaded, calibrate(loaded, times(2000), noise(0, 2000, 2)))
    values = noise(1, 400, 2)
    values[200:, 1] += 12.0
    alerts = detector.push_block(times(400, start_ns=START_NS + 2000 * SECOND), values).alerts
    assert alerts
    assert alerts[0].channels[0].name == "b"


@pytest.mark.parametrize("budget", ["weekly", "1 per fortnite", "0 per day", "", "-1 per day"])
def test_a_budget_that_is_not_understood(budget):
    with pytest.raises(UsageError, match="write for example"):
        calibrate(MODEL, times(500), noise(0, 500), budget)


def test_with_a_reach_what_the_history_has_shown_is_nothing_to_speak_of():
    """Bursts that come as rarely as one in the tail's fraction are normal where the history has them; ten times larger
    ones are not."""
    history = noise(7, 6000)
    history[300::900, 0] += 15.0
    settings = examine(MODEL, times(6000), history, "1 per day", reach=0.25, threshold=3.0).settings
    assert settings.threshold == settings.threshold_low == 3.0
    assert settings.history_alerts == 0
    detector = Detector(MODEL, settings)
    stream = noise(8, 3000)
    stream[500, 0] += 15.0
    stream[2000:2010, 0] += 60.0
    verdicts = detector.push_block(times(3000, start_ns=START_NS + 6000 * SECOND), stream)
    raised = [alert for alert in verdicts.alerts if alert.event_type == "raised"]
    assert len(raised) == 1
    assert 2000 <= (raised[0].time_ns - START_NS) // SECOND - 6000 < 2010


def test_signals_are_chosen_and_given_channels_show_none():
    settings = examine(
        MODEL, times(1000), noise(9, 1000), given=["c1"], weights={"error": 1.0, "repeat": 0.5}
    ).settings
    found = {
        channel.name: {name: one.weight for name, one in channel.evidence.items()}
        for channel in settings.channels
    }
    assert found == {"c0": {"error": 1.0, "repeat": 0.5}, "c1": {}, "c2": {"error": 1.0, "repeat": 0.5}}
    detector = Detector(MODEL, settings)
    stream = noise(10, 500)
    stream[100:, 1] = 1e6
    detector.push_block(times(500, start_ns=START_NS + 1000 * SECOND), stream)
    assert detector.counters["raised"] == 0


def halving(seed, count, wildness):
    """Half of the last value, as `unsure_model` forecasts, and noise; the farther from the mean, the wilder by `wildness`."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, 1))
    for n in range(1, count):
        x[n] = 0.5 * x[n - 1] + rng.normal() * (1.0 - wildness + wildness * abs(x[n - 1, 0]))
    return x.astype(np.float32)


EVEN, BURSTS = halving(1, 3000, 0.0), halving(1, 3000, 0.8)
UNSURE = LoadedModel(unsure_model(["c0"], [0.0], [1.0]))


def test_the_spread_is_heard_where_it_foretells_errors():
    heard = examine(UNSURE, times(3000), BURSTS).settings.channels[0]
    said = UNSURE.stream().run(BURSTS)[:, 1]
    assert heard.evidence["spread"].weight == WEIGHTS["spread"]
    assert heard.usual_spread == pytest.approx(float(said.mean()), rel=0.1)
    deaf = examine(UNSURE, times(3000), EVEN).settings.channels[0]
    assert "error" in deaf.evidence
    assert "spread" not in deaf.evidence
    assert deaf.usual_spread is msgspec.UNSET
    asked = examine(UNSURE, times(3000), EVEN, weights={"spread": 1.0})
    assert set(asked.settings.channels[0].evidence) == {"spread"}


def test_a_spread_that_the_network_does_not_give_cannot_be_asked_for():
    with pytest.raises(UsageError, match=r'"spread" is asked for.* convert --uncertainty N'):
        examine(plain_model(1), times(300), noise(1, 300, 1), weights={"spread": 1.0})
    found = examine(UNSURE, times(3000), BURSTS).settings.channels[0]
    with pytest.raises(SettingsError, match=r'"c0": evidence "spread" needs usual_spread'):
        msgspec.structs.replace(found, usual_spread=msgspec.UNSET)


def test_a_spread_that_nobody_hears_costs_no_byte_of_a_snapshot():
    plain = LoadedModel(persistence_model(["c0"], [0.0], [1.0]))
    sizes = [len(calibrated(loaded, EVEN)) for loaded in (plain, UNSURE)]
    assert sizes[0] == sizes[1]
    assert len(calibrated(UNSURE, BURSTS)) == sizes[0] + 8 * len(at.OF_SPREAD)


def calibrated(loaded, values):
    """Return a snapshot of a detector for a history."""
    return Detector(loaded, calibrate(loaded, times(len(values)), values)).snapshot()


def test_what_the_network_stays_unsure_of_is_a_new_normal():
    settings = examine(UNSURE, times(3000), EVEN, weights={"spread": 1.0}).settings
    detector = Detector(
        UNSURE,
        msgspec.structs.replace(settings, freeze_timeout_ns=100 * SECOND, threshold=4.0, threshold_low=4.0),
    )
    values = np.concatenate([EVEN[:300], np.full((400, 1), 15.0, np.float32)])
    verdicts = detector.push_block(times(700), values)
    raised, cleared = (
        next(a for a in verdicts.alerts if a.event_type == kind) for kind in ("raised", "cleared")
    )
    (reason,) = raised.channels
    assert reason.signal == "spread"
    assert "is something the network is unsure of: a spread of 7.5, " in reason.says
    assert cleared.note == ADOPTED_NOTE
    assert detector._floats[at.FIRST_CHANNEL_WORD + at.USUAL_SPREAD] >= 7.0
