"""Trained on real arrays: it learns, the same seed gives the same bits, what was interrupted goes on as if it had not been."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: training is skipped")

from detector_cases import SECOND, START_NS  # noqa: E402
from edgelstm.errors import UsageError  # noqa: E402
from edgelstm.sources.recording import Recording  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters.training import ForecastDetector, TrainingSettings, train  # noqa: E402
from edgelstm_converters.training.dataset import examine  # noqa: E402
from edgelstm_converters.training.metrics import area_under_curve, class_metrics  # noqa: E402
from edgelstm_converters.training.page import render  # noqa: E402

pytestmark = pytest.mark.torch

SMALL = {"hidden": 8, "epochs": 6, "bptt": 32, "batch": 8}


def waves(count: int = 4000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(count)[:, None]
    return (np.sin(t / np.array([5.0, 9.0])) + 0.05 * rng.normal(size=(count, 2)) + 3.0).astype(np.float32)


def data_of(values: np.ndarray, **options):
    names = tuple("abc"[: values.shape[1]])
    times_ns = START_NS + np.arange(len(values), dtype=np.int64) * SECOND
    return examine([Recording(times_ns, values, names, SECOND, None)], **options)


def bits(trained) -> list[bytes]:
    return [
        getattr(layer, part).weights.tobytes()
        for layer in trained.model.layers
        for part in ("inputs", "hidden", "product")
        if hasattr(layer, part)
    ]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_forecaster_beats_repeating_the_last_value_in_int8(cell):
    trained = train(data_of(waves()), TrainingSettings(cell=cell, epochs=80, hidden=16))
    for exact, integer, last in trained.errors.values():
        assert integer < 0.7 * last
        assert integer == pytest.approx(exact, rel=0.05)
    assert trained.model.detector_settings is not None
    assert trained.model.outputs[0].name == "a"
    assert trained.alerts == 0


def test_the_same_seed_gives_the_same_model_and_another_one_another():
    data = data_of(waves())
    first, again, other = (train(data, TrainingSettings(**SMALL, seed=seed)) for seed in (1, 1, 2))
    assert bits(first) == bits(again) != bits(other)
    assert first.history == again.history


def test_a_recording_may_be_learned_from_to_its_end():
    """No test stretch, as where another recording tests: nothing is judged, and there is a detector."""
    trained = train(data_of(waves(), test=0.0), TrainingSettings(**SMALL, test=0.0))
    assert trained.model.detector_settings is not None
    assert (trained.alerts, trained.alerting, trained.scores.size) == (0, False, 0)


def test_labels_that_only_judge_do_not_reach_the_network():
    """The same weights to the bit with them and without; they judge the detector on the test stretch."""
    values = waves()
    faults = np.zeros((len(values), 1), np.float32)
    faults[3700:3740] = 1.0
    values[3700:3740] += 3.0
    plain = train(data_of(values), TrainingSettings(**SMALL))
    judged = train(
        data_of(np.concatenate([values, faults], axis=1), label="c", learned=False), TrainingSettings(**SMALL)
    )
    assert bits(plain) == bits(judged)
    assert plain.agreement is None
    assert judged.agreement.events == judged.agreement.found == 1
    assert "Against the labels: precision" in render(judged, "judged")
    assert "break between channels" in render(plain, "plain")


def coupled(count: int = 6000) -> np.ndarray:
    """A walk that no one can foretell, and a second channel that follows it at once."""
    rng = np.random.default_rng(4)
    walk = np.zeros(count)
    for t in range(1, count):
        walk[t] = 0.97 * walk[t - 1] + rng.normal()
    return np.stack([walk, 2.0 * walk + 0.1 * rng.normal(size=count)], axis=1).astype(np.float32)


def test_breaks_between_channels_are_found_where_channels_go_together():
    """A forecast of two channels that move as one is wrong then; of two that are strangers, there is nothing to notice."""
    values = coupled()
    settings = TrainingSettings(hidden=12, epochs=30)
    together = {one.kind: one for one in train(data_of(values), settings, budget="1 per h").checks}
    values[:, 1] = np.roll(values[:, 1], 2500)
    apart = {one.kind: one for one in train(data_of(values), settings, budget="1 per h").checks}
    share = {
        name: checks["break between channels"].found / checks["break between channels"].count
        for name, checks in (("together", together), ("apart", apart))
    }
    assert share["together"] > 0.8
    assert share["apart"] < 0.3
    assert together["level shift"].found > 0.8 * together["level shift"].count
    assert together["level shift"].delay < 20


def test_faults_are_put_nowhere_in_a_test_stretch_that_is_too_short():
    assert train(data_of(waves(700)), TrainingSettings(**SMALL)).checks == []


def test_what_was_interrupted_goes_on_to_the_same_bits(tmp_path):
    data, settings, path = data_of(waves()), TrainingSettings(**SMALL, dropout=0.1), tmp_path / "kept"
    whole = train(data, settings)

    def stop(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, settings, say=stop, checkpoint_path=path)
    # interrupted between the third epoch and its being kept: two are there
    told: list[str] = []
    resumed = train(data, settings, checkpoint_path=path, told=told.append)
    assert resumed.resumed == 2
    assert "goes on after epoch 2" in told[0]
    assert resumed.history == whole.history
    assert bits(resumed) == bits(whole)
    again = train(
        data, settings, checkpoint_path=path
    )  # what was done, but not written, need not be trained again
    assert (again.resumed, bits(again)) == (settings.epochs, bits(whole))


def test_what_is_kept_of_another_training_is_not_gone_on_with(tmp_path):
    path = tmp_path / "kept"
    path.write_bytes(b"no training")
    told: list[str] = []
    trained = train(
        data_of(waves(1500)),
        TrainingSettings(**SMALL | {"epochs": 2}),
        checkpoint_path=path,
        told=told.append,
    )
    assert trained.resumed == 0
    assert "begins anew" in told[0]


def test_an_autoencoder_rebuilds_through_its_bottleneck_and_watches():
    rng = np.random.default_rng(1)
    hidden = np.sin(np.arange(5000) / 7.0)[:, None]
    values = (hidden * [1.0, -2.0, 0.5] + 0.05 * rng.normal(size=(5000, 3))).astype(np.float32)
    data = data_of(values, keep_all=True)
    trained = train(data, TrainingSettings(task="autoencoder", bottleneck=1, hidden=16, epochs=80))
    for _, integer, last in trained.errors.values():
        assert integer < last
    broken = values[-1200:].copy()
    broken[600:, 1] *= -1.0  # each value is normal by itself; together they are not
    times_ns = START_NS + (10_000 + np.arange(len(broken), dtype=np.int64)) * SECOND
    found = LoadedModel(trained.model).detector().push_block(times_ns, broken)
    assert [alert.event_type for alert in found.alerts][:1] == ["raised"]


def test_a_classifier_tells_faults_and_drives_the_detector():
    values = waves(6000)
    labels = (np.arange(6000) % 600 >= 480).astype(np.float32)
    values[labels > 0, 0] += 1.5 * np.sin(np.arange(int(labels.sum())) * 2.5)
    data = data_of(np.c_[values, labels].astype(np.float32), label="c")
    trained = train(data, TrainingSettings(task="classify", hidden=16, epochs=40))
    assert trained.metrics.auc > 0.95
    assert trained.metrics.confusion.sum() == 900
    assert trained.model.outputs[0].name == "fault_logit"
    assert trained.alerts == 2, "rows 5280 to 5400 and 5880 to 6000 of the test stretch"
    assert "is 1" in render(trained, "classifier")


def test_class_metrics_by_hand():
    outputs = np.array([[-1.0], [2.0], [1.0], [-3.0]], np.float32)
    found = class_metrics(outputs, np.array([0, 1, 0, 1]), 2)
    assert found.confusion.tolist() == [[1, 1], [1, 1]]
    assert (found.accuracy, found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5, 0.5)
    assert area_under_curve(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])) == 0.875


def test_the_page_tells_everything_and_needs_nothing_else():
    trained = train(data_of(waves(2000)), TrainingSettings(**SMALL))
    page = render(trained, "pump <3>")
    assert "pump &lt;3&gt;" in page
    for heading in ("Data", "Learning curves", "Error on", "Residuals", "would have alarmed", "int8 against"):
        assert heading in page
    assert "http" not in page
    alerts = f"{trained.alerts} alert{'s' * (trained.alerts != 1)} on"
    assert alerts in page
    assert "<p>1 alert on" in render(replace(trained, alerts=1), "one")
    for layer, found in zip(trained.model.layers, trained.model.provenance.layers, strict=True):
        assert f"<td>{layer.name}</td><td>{layer.weight_count:,}</td>" in page
        assert f"<td>{trained.model.multiply_adds[layer.name]:,.0f}</td>" in page
        assert f"<td>{found.worst}: {found.worst_snr_db:z.1f} dB</td>" in page


def test_the_estimator_fits_scores_and_predicts():
    detector = ForecastDetector(budget="1 per day", **SMALL)
    assert detector.get_params()["hidden"] == 8
    with pytest.raises(UsageError, match="call fit first"):
        detector.predict(waves(10))
    detector.fit(waves())
    stream = waves(1000, seed=5)
    stream[700:, 0] += 4.0
    said = detector.predict(stream)
    assert set(said[:690].tolist()) == {1}
    assert said[720:760].mean() == -1
    scores = detector.score_samples(stream)
    assert np.nanmin(scores[:690]) > np.nanmin(scores[700:])


@pytest.mark.parametrize(
    ("name", "value"), [("hidden", 0), ("dropout", 0.95), ("bptt", 1), ("validation", 0.9)]
)
def test_settings_out_of_range_name_themselves(name, value):
    with pytest.raises(UsageError, match=f"{name} is {value}, expected"):
        TrainingSettings(**{name: value})


def test_given_channels_feed_the_network_and_are_not_judged():
    """Channel a follows command b a step later: nobody can foretell it without b; b itself is chance."""
    rng = np.random.default_rng(4)
    command = (rng.uniform(size=4000) < 0.5).astype(np.float32)
    follower = np.concatenate([[0.0], command[:-1]]) + 0.02 * rng.normal(size=4000)
    values = np.stack([follower, command], 1).astype(np.float32)
    data = data_of(values, given=["b"])
    assert (data.watched_names, data.given) == (("a",), ("b",))
    trained = train(data, TrainingSettings(**SMALL))
    integer, last = trained.errors["a"][1:]
    assert list(trained.errors) == ["a"]
    assert integer < 0.5 * last
    judged = {channel.name: bool(channel.evidence) for channel in trained.model.detector_settings.channels}
    assert judged == {"a": True, "b": False}
    with pytest.raises(UsageError, match='no channel "z" to be given'):
        data_of(values, given=["z"])
    with pytest.raises(UsageError, match="none is left to be foretold"):
        data_of(values, given=["a", "b"])
