"""The general detector: no training, any channels, from its first rows on."""

import numpy as np
import pytest

from detector_cases import SECOND, START_NS, times
from edgelstm import model_file
from edgelstm.detector import Detector
from edgelstm.label_score import judge
from edgelstm.pretrained import GENERAL, general_detector, history_rows
from edgelstm.sample import Sample

COUNT = 2400


def recording(seed: int) -> np.ndarray:
    """Three unlike channels: noise, a wave, and something that switches."""
    rng = np.random.default_rng(seed)
    t = np.arange(COUNT)
    columns = (
        40.0 + 2.0 * rng.normal(size=COUNT),
        np.sin(t / 15.0) + 0.1 * rng.normal(size=COUNT),
        1000.0 + 5.0 * (t // 40 % 2) + rng.normal(size=COUNT),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def general(values):
    return general_detector(["a", "b", "c"], times(800), values[:800], "1 per day")[0]


def test_it_is_small_and_has_two_inputs():
    assert GENERAL.stat().st_size <= 60_000
    model = model_file.load(GENERAL)
    assert [channel.name for channel in model.channels] == ["deviation", "step"]
    assert model.detector_settings is None


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_level_fault_in_any_channel_is_found_and_named(channel):
    values = recording(1)
    values[1600:2000, channel] += 5.0 * values[:800, channel].std()
    loaded = general(values)
    assert loaded.channel_names == ("a", "b", "c")
    alerts = loaded.detector().push_block(times(COUNT), values).alerts
    raised = [alert for alert in alerts if alert.event_type == "raised"]
    assert raised
    delay = (raised[0].time_ns - START_NS) // SECOND - 1600
    assert 0 <= delay <= 60
    assert raised[0].channels[0].name == "abc"[channel]


def test_normal_running_is_quiet():
    values = recording(2)
    assert general(values).detector().push_block(times(COUNT), values).alerts == []


def test_one_by_one_is_a_block_and_a_snapshot_goes_on():
    values = recording(3)
    values[1500:, 1] += 4.0
    loaded = general(values)
    whole, single = loaded.detector(), loaded.detector()
    verdicts = whole.push_block(times(COUNT), values)
    for time_ns, row in zip(times(700).tolist(), values, strict=False):
        single.push(Sample(row, time_ns))
    resumed = loaded.detector()
    resumed.restore(single.snapshot())
    rest = resumed.push_block(times(COUNT)[700:], values[700:])
    np.testing.assert_array_equal(rest.scores, verdicts.scores[700:])
    assert resumed.snapshot() == whole.snapshot()


def test_the_network_is_given_what_it_was_trained_on():
    """The features of the training script are those that the detector feeds, to the rounding of float32."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its features are not compared")
    del torch
    from edgelstm_converters.training.general import HISTORY, features

    signal = np.random.default_rng(4).normal(size=600).cumsum() * 0.2 + np.random.default_rng(5).normal(
        size=600
    )
    expected = features(signal.astype(np.float32).astype(np.float64)[None], np.zeros((1, 600)))[0]
    values = signal.astype(np.float32)[:, None]
    loaded = general_detector(
        ["a"], times(HISTORY), values[:HISTORY], level_long=1000, warm_up=1, season_ns=0
    )[0]
    detector = Detector(loaded, loaded.model.detector_settings)
    found = np.empty((600, 2))
    for row, (time_ns, value) in enumerate(zip(times(600).tolist(), values, strict=True)):
        detector.push(Sample(value, time_ns))
        found[row] = detector._feed[0]
    agreement = (
        np.corrcoef(found[50:, 0], expected[50:, 0])[0, 1],
        np.corrcoef(found[50:, 1], expected[50:, 1])[0, 1],
    )
    assert min(agreement) > 0.99


def test_history_is_a_fifth_within_bounds():
    assert [history_rows(rows) for rows in (100, 1000, 10_000, 10**6)] == [100, 400, 2000, 5000]


def test_labels_by_hand():
    states = np.array([-1, 0, 1, 1, 0, 1, 0, 0], np.int8)
    labels = np.array([1, 0, 0, 1, 1, 0, 0, np.nan], np.float32)
    found = judge(np.arange(8) * SECOND, states, labels, SECOND)
    assert (found.precision, found.recall) == (pytest.approx(1 / 3), 0.5)
    assert (found.found, found.events, found.false_events, found.delay_s) == (1, 1, 1, 0.0)
