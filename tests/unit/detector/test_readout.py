"""The readout that learns on: least squares as anybody computes it, better than what is frozen where a series drifts, and safe."""

import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, persistence_model, settings_for, times
from edgelstm.calibration import examine
from edgelstm.detector import Detector
from edgelstm.detector_settings import SettingsError
from edgelstm.errors import UsageError
from edgelstm.kernels.compiled import COMPILES
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection import readout as stage
from edgelstm.output_roles import FAULT_OUTPUT, REBUILT_SUFFIX
from edgelstm.pretrained import GENERAL, general_detector
from edgelstm.sample import Sample
from edgelstm.stream import LoadedModel, load
from factories import random_model

MODEL = LoadedModel(random_model(5, inputs=1, layers=(("lstm", 12), ("linear", 1))))
MEMORY = 1000
HISTORY = 1500


def drifting(count: int, seed: int = 1) -> np.ndarray:
    """One channel: an oscillation about a level; after HISTORY samples it becomes slower and larger, and the level wanders off."""
    rng = np.random.default_rng(seed)
    late = np.clip((np.arange(count) - HISTORY) / 1000.0, 0.0, 1.0)
    turned = np.cumsum(2.0 * np.pi / (9.0 + 7.0 * late))
    values = (1.0 + 1.5 * late) * np.sin(turned) + 4.0 * late + 0.1 * rng.normal(size=count)
    return values.astype(np.float32)[:, None]


def settings_of(loaded: LoadedModel, values: np.ndarray, **choices):
    return examine(loaded, times(len(values)), values, "1 per day", **{"season_ns": 0, **choices}).settings


def never_open(settings):
    """The same with a threshold that no score reaches, so that nothing is frozen."""
    return msgspec.structs.replace(settings, threshold=1e3, threshold_high=1e3)


def forecasts(detector: Detector, times_ns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What was forecast after each sample, float64 (samples, channels)."""
    found = np.zeros(values.shape)
    for row in range(len(values)):
        detector.push_block(times_ns[row : row + 1], values[row : row + 1])
        channels = detector._floats[at.FIRST_CHANNEL_WORD :][: values.shape[1] * at.CHANNEL_WORDS]
        found[row] = channels.reshape(-1, at.CHANNEL_WORDS)[:, at.FORECAST]
    return found


def block_of(detector: Detector) -> np.ndarray:
    """The words that the readout of the first network keeps; there is neither recovery nor a season."""
    channels = len(detector.channel_names)
    first = at.FIRST_CHANNEL_WORD + channels * (at.CHANNEL_WORDS + at.READOUT_WORDS)
    return detector._floats[first:]


def covariance_of(detector: Detector) -> np.ndarray:
    """The whole covariance of the first network, symmetric."""
    features, heard = detector.readout.features, detector.readout.heard
    packed = block_of(detector)[(heard + 2) * features :][: features * (features + 1) // 2]
    full = np.zeros((features, features))
    full[np.tril_indices(features)] = packed
    return full + np.tril(full, -1).T


def hidden_of(loaded: LoadedModel, values: np.ndarray) -> np.ndarray:
    stream, (half, count) = loaded.stream(), loaded.program.hidden
    found = np.zeros((len(values), count))
    for row, value in enumerate(values):
        stream.step(value)
        found[row] = stream._state[0].view(np.int16)[half : half + count] / 32768.0
    return found


def features_of(loaded: LoadedModel, settings, values: np.ndarray) -> np.ndarray:
    """What the readout hears after each sample, as its documentation has it."""
    (channel,) = settings.channels
    scale = max(channel.level_spread, channel.level_floor)
    heard = np.clip((values.astype(float) - channel.mean) / scale, -8.0, 8.0)
    return np.hstack([hidden_of(loaded, values), heard, np.ones_like(heard)])


@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_recursive_least_squares(seed):
    """Against the textbook's formulas on whole matrices, an outlier that teaches little among the samples."""
    settings = never_open(settings_of(MODEL, drifting(HISTORY), readout_memory=MEMORY, warm_up=1))
    begun = msgspec.structs.replace(
        settings, channels=(msgspec.structs.replace(settings.channels[0], readout=()),)
    )
    values = drifting(400, seed)
    values[200] += 50.0
    detector = Detector(MODEL, begun)
    traced = np.full((1, *values.shape), np.nan)
    detector.trace(times(len(values)), values, [at.ERROR_SPREAD], [at.ERROR], traced)
    spreads = traced[0, :, 0]
    found = forecasts(Detector(MODEL, begun), times(len(values)), values)[:, 0]

    (channel,) = begun.channels
    scale = max(channel.level_spread, channel.level_floor)
    features, x = features_of(MODEL, begun, values), values[:, 0].astype(float)
    count = features.shape[1]
    weights, covariance, expected = np.zeros(count), 0.1 * np.eye(count), np.zeros(len(x))
    forgetting = 1.0 - 1.0 / MEMORY
    for row in range(len(x)):
        if row > 0:
            before, largest = features[row - 1], 3.0 * max(1.2533 * spreads[row], channel.error_floor)
            lesson = np.clip(x[row] - expected[row - 1], -largest, largest) / scale
            gains = covariance @ before / (forgetting + before @ covariance @ before)
            weights = weights + gains * lesson
            covariance = (covariance - np.outer(gains, before @ covariance)) / forgetting
        expected[row] = x[row] + scale * np.clip(weights @ features[row], -8.0, 8.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_it_follows_what_drifts():
    """A readout of the same features, fitted to the history once and for all, is worse than the last value in the end."""
    values = drifting(6000)
    settings = never_open(settings_of(MODEL, values[:HISTORY], readout_memory=MEMORY))
    (channel,) = settings.channels
    scale = max(channel.level_spread, channel.level_floor)
    features, steps = features_of(MODEL, settings, values), np.diff(values[:, 0].astype(float))
    frozen = np.linalg.lstsq(features[: HISTORY - 1], steps[: HISTORY - 1] / scale, rcond=None)[0]
    learning = forecasts(Detector(MODEL, settings), times(len(values)), values)[:-1, 0]
    end = slice(4000, None)
    errors = {
        "learning on": np.abs(values[1:, 0] - learning)[end].mean(),
        "frozen": np.abs(steps - scale * (features[:-1] @ frozen))[end].mean(),
        "last value": np.abs(steps)[end].mean(),
    }
    assert errors["learning on"] < 0.5 * errors["last value"], errors
    assert errors["learning on"] < 0.5 * errors["frozen"], errors


def test_its_error_is_the_one_that_is_judged_and_shown():
    history, values = drifting(HISTORY), drifting(1200, seed=3)
    values[1100:] += 30.0
    choices = {"readout_memory": MEMORY, "raise_after": 1, "raise_window": 1, "weights": {"error": 1.0}}
    detector = Detector(MODEL, settings_of(MODEL, history, **choices))
    found = forecasts(detector, times(1100), values[:1100])
    assert detector.open_alert is None
    verdict = detector.push(Sample(values[1100], int(times(1101)[-1])))
    assert verdict.alert.event_type == "raised"
    assert verdict.channels[0].expected == pytest.approx(found[-1, 0])
    assert verdict.channels[0].signal == "error"


def test_of_a_network_apart_the_words_are_of_a_forecast_and_no_longer_of_the_last_value():
    values = drifting(1200, seed=3)
    values[1100:] += 30.0
    said = []
    for choices in ({}, {"readout_memory": MEMORY}):
        only = {"weights": {"error": 1.0}, "raise_after": 1, "raise_window": 1, "season_ns": 0}
        loaded, _ = general_detector(["c0"], times(HISTORY), drifting(HISTORY), **only, **choices)
        detector = loaded.detector()
        detector.push_block(times(1100), values[:1100])
        verdict = detector.push(Sample(values[1100], int(times(1101)[-1])))
        said.append(verdict.channels[0].says)
    assert "jumped from" in said[0]
    assert "forecast was" in said[1]


def test_calibration_lets_it_begin_with_what_the_history_taught():
    values = drifting(HISTORY + 60)
    settings = never_open(settings_of(MODEL, values[:HISTORY], readout_memory=MEMORY))
    (channel,) = settings.channels
    assert len(channel.readout) == Detector(MODEL, settings).readout.features
    unlearned = msgspec.structs.replace(settings, channels=(msgspec.structs.replace(channel, readout=()),))
    errors = []
    for one in (settings, unlearned):
        detector = Detector(MODEL, one)
        found = forecasts(detector, times(60), values[HISTORY:])[:-1]
        errors.append(np.abs(values[HISTORY + 1 :] - found)[5:].mean())
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("network", ["joint", "apart"])
def test_it_is_frozen_while_an_alert_is_open(network):
    values = drifting(3000)
    values[2500:, 0] += 40.0 * (-1.0) ** np.arange(500)
    choices = {"readout_memory": MEMORY, "freeze_timeout_ns": 10**15, "season_ns": 0}
    if network == "apart":
        loaded, _ = general_detector(["c0"], times(HISTORY), values[:HISTORY], **choices)
        detector = loaded.detector()
    else:
        detector = Detector(MODEL, settings_of(MODEL, values[:HISTORY], **choices))
    features = detector.readout.features

    def learned():
        block = block_of(detector)
        return np.concatenate([block[:features], block[3 * features :]])

    before, frozen = learned(), 0
    for row, time_ns in enumerate(times(len(values))):
        was_open = detector.open_alert is not None
        detector.push_block(np.array([time_ns]), values[row : row + 1])
        now = learned()
        if was_open and detector.open_alert is not None:
            np.testing.assert_array_equal(now, before)
            frozen += 1
        before = now
    assert frozen > 300


def test_what_never_moves_leaves_the_covariance_bounded():
    """Nothing excites it for a million samples; then something does."""
    settings = never_open(settings_of(MODEL, drifting(HISTORY), readout_memory=100))
    detector, count = Detector(MODEL, settings), 1_000_000 if COMPILES else 1500
    detector.push_block(times(count), np.full((count, 1), 0.25, np.float32))
    features = detector.readout.features
    covariance = covariance_of(detector)
    assert np.isfinite(covariance).all()
    assert np.trace(covariance) <= 1.02 * stage.LARGEST_VARIANCE * features
    assert not COMPILES or np.trace(covariance) > stage.LARGEST_VARIANCE * features
    assert np.linalg.eigvalsh(covariance).min() > 0.0
    values = drifting(HISTORY)
    found = forecasts(detector, times(HISTORY, start_ns=START_NS + count * SECOND), values)[:-1]
    errors = np.abs(values[1:] - found)
    assert errors.max() < 10.0
    assert errors[500:].mean() < np.abs(np.diff(values, axis=0))[500:].mean()


def test_a_covariance_that_rounding_has_spoiled_begins_anew():
    detector = Detector(MODEL, never_open(settings_of(MODEL, drifting(HISTORY), readout_memory=MEMORY)))
    detector.push_block(times(100), drifting(100))
    features = detector.readout.features
    weights = block_of(detector)[:features].copy()
    block_of(detector)[2 * features : 3 * features] = np.nan  # the gains
    detector.push_block(times(1, start_ns=START_NS + 100 * SECOND), drifting(101)[100:])
    np.testing.assert_array_equal(covariance_of(detector), stage.FIRST_VARIANCE * np.eye(features))
    np.testing.assert_array_equal(block_of(detector)[:features], weights)


@pytest.mark.parametrize("gap", ["missing", "nothing at all", "a gap in time"])
def test_what_is_not_there_teaches_nothing(gap):
    """Neither a sample without a value nor the one after it, for which there is no forecast, moves a weight."""
    loaded = LoadedModel(random_model(6, inputs=2, layers=(("lstm", 8), ("linear", 2))))
    settings = settings_for(loaded.channel_names, threshold=1e3, threshold_high=1e3, readout_memory=MEMORY)
    detector, values, times_ns = Detector(loaded, settings), noise(3, 203, channels=2), times(203)
    detector.push_block(times_ns[:200], values[:200])
    features, before = detector.readout.features, block_of(detector).copy()
    untaught = [1, 1]
    if gap == "missing":
        values[200, 1] = np.nan
        untaught = [0, 1]
    elif gap == "nothing at all":
        values[200] = np.nan
    else:
        times_ns[200:] += 10 * SECOND
    for row in (200,) if gap == "a gap in time" else (200, 201):
        detector.push_block(times_ns[row : row + 1], values[row : row + 1])
        now = block_of(detector)
        for channel, still in enumerate(untaught):
            own = slice(channel * features, (channel + 1) * features)
            assert np.array_equal(now[own], before[own]) == bool(still)
    detector.push_block(times_ns[row + 1 :], values[row + 1 :])
    assert not np.array_equal(block_of(detector)[features : 2 * features], before[features : 2 * features])
    assert np.isfinite(block_of(detector)).all()


def test_a_network_apart_is_given_what_it_was_trained_on():
    """Its second input is the step in deviations of steps, not of what a readout leaves of them."""
    values = drifting(HISTORY)
    plain, _ = general_detector(["c0"], times(HISTORY), values, season_ns=0)
    reading, _ = general_detector(["c0"], times(HISTORY), values, season_ns=0, readout_memory=MEMORY)
    steps = plain.model.detector_settings.channels[0].error_spread
    assert reading.model.detector_settings.channels[0].step_spread == pytest.approx(steps, rel=0.02)
    assert reading.model.detector_settings.channels[0].error_spread < 0.7 * steps
    first, second = (
        Detector(
            loaded, never_open(msgspec.structs.replace(loaded.model.detector_settings, threshold_low=0.0))
        )
        for loaded in (plain, reading)
    )
    first.push_block(times(300), values[:300])
    second.push_block(times(300), values[:300])
    np.testing.assert_allclose(second._feed, first._feed, rtol=0.02)


@pytest.mark.parametrize("turned", np.linspace(0.0, 2.999, 40))
def test_a_wave_is_nearly_a_sine(turned):
    assert stage.wave(turned) == pytest.approx(np.sin(2.0 * np.pi * turned), abs=0.06)


def test_it_knows_the_season():
    """White noise about a season that is too coarse for the network to see: only the waves tell the next value."""
    count, season = 6000, 60
    rng = np.random.default_rng(1)
    values = (np.sin(2.0 * np.pi * np.arange(count) / season) + rng.normal(size=count)).astype(np.float32)[
        :, None
    ]
    errors = []
    for season_ns in (season * SECOND, 0):
        settings = settings_of(MODEL, values[:3000], readout_memory=MEMORY, season_ns=season_ns)
        found = forecasts(Detector(MODEL, never_open(settings)), times(count), values)[3000:-1]
        errors.append(np.abs(values[3001:] - found).mean())
    assert errors[0] < 0.95 * errors[1]


def test_models_and_settings_without_it_are_as_they_were():
    settings = settings_of(MODEL, drifting(HISTORY))
    assert Detector(MODEL, settings).readout is None
    words = at.FIRST_CHANNEL_WORD + at.CHANNEL_WORDS
    assert Detector(MODEL, settings)._floats.size == words
    text = msgspec.json.encode(settings)
    assert b"readout" not in text
    assert b"step_spread" not in text


def test_cut_anywhere_and_reset():
    values = drifting(1200)
    settings = settings_of(MODEL, drifting(HISTORY), readout_memory=MEMORY)
    whole = Detector(MODEL, settings)
    fresh, expected = whole.snapshot(), whole.push_block(times(1200), values)
    current, scores = Detector(MODEL, settings), []
    for start, end in itertools.pairwise([0, 1, 31, 400, 1200]):
        snapshot, current = current.snapshot(), Detector(MODEL, settings)
        current.restore(snapshot)
        scores.append(current.push_block(times(1200)[start:end], values[start:end]).scores)
    np.testing.assert_array_equal(np.concatenate(scores), expected.scores)
    assert current.snapshot() == whole.snapshot()
    whole.reset()
    assert whole.snapshot() == fresh


def model_with(outputs: str) -> LoadedModel:
    model = random_model(5, inputs=1, layers=(("lstm", 4), ("linear", 1)))
    return LoadedModel(replace(model, outputs=(msgspec.structs.replace(model.outputs[0], name=outputs),)))


REFUSED = {
    "rebuilds the sample": lambda: model_with("c0" + REBUILT_SUFFIX),
    "forecasts none of its channels": lambda: model_with(FAULT_OUTPUT),
    "no recurrent layer": lambda: LoadedModel(persistence_model(["c0"], [0.0], [1.0])),
    "has 130 hidden values and 1 channels, which makes 132 features": lambda: LoadedModel(
        random_model(5, inputs=1, layers=(("lstm", 130), ("linear", 1)))
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_has_nothing_to_read_out_is_refused(why):
    loaded = REFUSED[why]()
    with pytest.raises(UsageError, match=why) as refused:
        Detector(loaded, settings_for(loaded.channel_names, readout_memory=MEMORY))
    assert "\n" not in str(refused.value)


def test_weights_of_another_network_are_refused():
    settings = settings_of(MODEL, drifting(HISTORY), readout_memory=MEMORY)
    other = LoadedModel(random_model(5, inputs=1, layers=(("lstm", 9), ("linear", 1))))
    with pytest.raises(
        UsageError, match='channel "c0": readout has 14 weights, but model "random-5" makes 11 features'
    ):
        Detector(other, settings)


@pytest.mark.parametrize("memory", [0, 99, 10_000_001])
def test_a_memory_out_of_range_is_refused(memory):
    with pytest.raises(SettingsError, match=f"readout_memory is {memory}, expected 100"):
        settings_for(["c0"], readout_memory=memory)


def test_the_last_recurrent_layer_is_read_out():
    model = random_model(5, inputs=1, layers=(("gru", 4), ("lstm", 6), ("relu", 5), ("linear", 1)))
    assert LoadedModel(model).program.hidden[1] == 6
    assert load(GENERAL).program.hidden == (64, 32)
