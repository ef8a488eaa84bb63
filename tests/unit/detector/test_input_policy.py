"""Missing, late, duplicate and gap: each is counted, none becomes zero."""

import msgspec
import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, plain_model, settings_for, times
from edgelstm.detector import Detector
from edgelstm.detector_settings import Evidence
from edgelstm.errors import SampleError, UsageError
from edgelstm.sample import Sample
from edgelstm.stream import LoadedModel
from factories import random_model

MODEL = plain_model()
COUNT = 200


def detector_of(**changes: object) -> Detector:
    return Detector(MODEL, settings_for(MODEL.channel_names, **changes))


def test_warm_up_says_nothing_and_counts_down():
    detector = detector_of()
    values = noise(0, 40)
    assert detector.samples_until_ready == 30
    verdicts = [detector.push(Sample(x, t)) for x, t in zip(values, times(40).tolist(), strict=True)]
    assert verdicts[:30] == [None] * 30
    assert None not in verdicts[30:]
    assert detector.samples_until_ready == 0


def test_hold_judges_only_what_is_there():
    """A missing channel has no part in the score, its value is None, and the others go on as if it were there."""
    whole, holed = detector_of(), detector_of()
    values = noise(0, COUNT)
    broken = values.copy()
    broken[150:160, 2] = np.nan
    whole.push_block(times(COUNT)[:150], values[:150])
    holed.push_block(times(COUNT)[:150], broken[:150])
    shifted = broken.copy()
    shifted[150:160, 0] += 30.0
    verdicts = [
        holed.push(Sample(x, t))
        for x, t in zip(shifted[150:160], times(COUNT)[150:160].tolist(), strict=True)
    ]
    last = verdicts[-1]
    assert last is not None
    assert last.state == "anomaly"
    reason = next(reason for reason in last.channels if reason.name == "c2")
    assert reason.value is None
    assert reason.share == 0.0
    assert holed.counters["missing_values"] == holed.counters["held"] == 10
    assert holed.counters["scored"] == 130


def test_a_missing_value_is_not_a_zero():
    """Values far from zero, a third of them missing: nothing is raised."""
    values = noise(1, 3000)
    values[np.random.default_rng(0).random(values.shape) < 0.3] = np.nan
    detector = detector_of()
    detector.push_block(times(3000), values)
    assert detector.counters["raised"] == 0
    assert detector.counters["missing_values"] > 2000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_without_any_value_is_held_but_not_judged(value):
    detector = detector_of()
    values = noise(0, 60)
    values[50] = value
    scores = detector.push_block(times(60), values).scores
    assert np.isnan(scores[50])
    assert np.isfinite(scores[51])
    assert detector.counters["unscored"] == 1


def test_skip_leaves_the_sample_out():
    detector = detector_of(on_missing="skip")
    values = noise(0, COUNT)
    values[100, 1] = np.nan
    scores = detector.push_block(times(COUNT), values).scores
    assert np.isnan(scores[100])
    assert detector.counters["skipped"] == 1
    assert detector.counters["held"] == 0
    assert detector.counters["gaps"] == 1, "the time that was skipped is missing to the next sample"


def test_reset_begins_anew_after_a_missing_value():
    detector = detector_of(on_missing="reset")
    values = noise(0, COUNT)
    values[100:105, 1] = np.nan
    scores = detector.push_block(times(COUNT), values).scores
    assert np.isnan(scores[100:135]).all()
    assert np.isfinite(scores[135:]).all()
    assert detector.counters["resets"] == 1
    assert detector.counters["skipped"] == 5


def test_duplicate_and_late_samples_change_nothing_but_their_count():
    detector = detector_of()
    values = noise(0, 60)
    detector.push_block(times(60), values)
    before = detector.counters
    assert detector.push(Sample(values[0] + 100, START_NS + 59 * SECOND)) is None
    assert detector.push(Sample(values[0] + 100, START_NS + 3 * SECOND)) is None
    assert detector.counters == {**before, "duplicates": 1, "late": 1}
    assert detector.last_time_ns == START_NS + 59 * SECOND


def test_a_short_gap_spares_the_sample_after_it_a_forecast_error():
    """With evidence from forecasts alone, a jump over the gap is no evidence at all."""
    values = noise(0, COUNT)
    values[150:, 0] += 14.0
    plain, gapped = times(COUNT), times(COUNT)
    gapped[150:] += 5 * SECOND
    channels = settings_for(MODEL.channel_names).channels
    deaf = tuple(
        msgspec.structs.replace(
            channel, evidence={name: one for name, one in channel.evidence.items() if name != "level"}
        )
        for channel in channels
    )
    scores = [detector_of(channels=deaf).push_block(t, values).scores[150] for t in (plain, gapped)]
    assert scores[0] > 4.0
    assert scores[1] == 0.0
    detector = detector_of()
    detector.push_block(gapped, values)
    assert (detector.counters["gaps"], detector.counters["resets"]) == (1, 0)


def test_a_long_gap_warms_up_again_and_keeps_baselines():
    values = noise(0, COUNT)
    gapped = times(COUNT)
    gapped[150:] += 500 * SECOND
    detector = detector_of()
    scores = detector.push_block(gapped, values).scores
    assert np.isnan(scores[150:180]).all()
    assert np.isfinite(scores[180:]).all()
    assert (detector.counters["gaps"], detector.counters["resets"]) == (1, 1)
    shifted = values.copy()
    shifted[150:] += 20.0
    level = detector_of()
    assert level.push_block(gapped, shifted).alerts, "another level after the gap is still another level"


def test_wrong_samples_are_refused_with_nothing_changed():
    detector = detector_of()
    before = detector.snapshot()
    for values in (np.zeros(2, np.float32), np.zeros(3), [0.0] * 3):
        with pytest.raises(SampleError, match="expected float32 of shape"):
            detector.push(Sample(values, START_NS))  # type: ignore[arg-type]
    with pytest.raises(SampleError, match="time_ns"):
        detector.push(Sample(np.zeros(3, np.float32), 2**63))
    with pytest.raises(SampleError, match="times_ns"):
        detector.push_block(times(3), noise(0, 4))
    assert detector.snapshot() == before


def test_settings_for_other_channels_and_models_that_forecast_nothing_are_refused():
    with pytest.raises(UsageError, match="are for channels a, b, c"):
        Detector(MODEL, settings_for(["a", "b", "c"]))
    import dataclasses

    from edgelstm.model import Output

    model = random_model(1, inputs=2, layers=(("lstm", 3), ("linear", 1)))
    model = dataclasses.replace(model, outputs=(Output(name="class", scale=1.0),))
    with pytest.raises(UsageError, match="forecasts none of its channels"):
        Detector(LoadedModel(model), settings_for(["c0", "c1"]))


def test_a_value_out_of_range_is_missing_and_counted():
    values = noise(0, COUNT)
    values[100:105, 1] = 900.0
    channels = settings_for(MODEL.channel_names).channels
    limited = (channels[0], msgspec.structs.replace(channels[1], valid_range=(-50.0, 50.0)), channels[2])
    detector = Detector(MODEL, settings_for(MODEL.channel_names, channels=limited))
    verdicts = detector.push_block(times(COUNT), values)
    assert detector.counters["out_of_range"] == 5
    assert detector.counters["missing_values"] == 5
    assert verdicts.alerts == []


def test_a_sensor_that_is_stuck_is_counted_once_and_raises():
    values = noise(0, COUNT)
    values[120:, 1] = values[120, 1]
    channels = settings_for(MODEL.channel_names).channels
    listening = msgspec.structs.replace(
        channels[1],
        longest_repeat=20,
        evidence={"repeat": Evidence(threshold=1.0, mean_excess=0.25, mean_square=0.125)},
    )
    detector = Detector(
        MODEL, settings_for(MODEL.channel_names, channels=(channels[0], listening, channels[2]))
    )
    verdicts = detector.push_block(times(COUNT), values)
    assert detector.counters["stuck"] == 1
    assert [alert.event_type for alert in verdicts.alerts][:1] == ["raised"]
    assert verdicts.alerts[0].channels[0].name == "c1"
