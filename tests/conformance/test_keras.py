"""Models that Keras itself saves, in both of its formats: the layers, and the numbers that it gives."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch")
pytest.importorskip("keras", reason="keras is not installed: its exports are not tried")
h5py = pytest.importorskip("h5py")
pytestmark = [pytest.mark.torch, pytest.mark.engines]

import warnings  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    from keras import layers as kl

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402

CHANNELS, H = 4, 12
SEQUENCE = {"return_sequences": True}
CONVERTED = {
    "padded on both sides": lambda: [kl.Conv1D(5, 3, padding="same", activation="gelu"), kl.LSTM(H, **SEQUENCE)],
    "begins late": lambda: [kl.Conv1D(5, 3), kl.LSTM(H, **SEQUENCE)],
    "strided": lambda: [kl.Conv1D(5, 3, strides=2, padding="causal"), kl.LSTM(H)],
    "convolved and pooled": lambda: [kl.Conv1D(5, 3, activation="relu"), kl.MaxPooling1D(2), kl.LSTM(H), kl.Dense(2)],
    "pooled and flattened": lambda: [kl.Conv1D(5, 3), kl.MaxPooling1D(3), kl.Flatten(), kl.Dense(2)],
    "strided and padded": lambda: [kl.Conv1D(5, 4, strides=3, padding="same"), kl.GRU(H)],
    "of each channel": lambda: [kl.DepthwiseConv1D(3, depth_multiplier=2, padding="same"), kl.LSTM(H)],
    "separable": lambda: [kl.SeparableConv1D(5, 3, depth_multiplier=2), kl.LSTM(H)],
    "scaled by the data": lambda: [kl.Normalization(mean=[1.0, 2.0, 3.0, 4.0][:CHANNELS], variance=[1.0, 2.0, 0.5, 4.0][:CHANNELS]), kl.LSTM(H)],
    "lstm": lambda: [kl.LSTM(H, **SEQUENCE), kl.Dense(3)],
    "lstm, last step": lambda: [kl.LSTM(H), kl.Dense(3)],
    "lstm without bias": lambda: [kl.LSTM(H, use_bias=False, **SEQUENCE), kl.Dense(3, use_bias=False)],
    "lstm, stateful": lambda: [kl.LSTM(H, stateful=True, **SEQUENCE)],
    "lstm, unrolled": lambda: [kl.LSTM(H, unroll=True, **SEQUENCE)],
    "stack": lambda: [kl.LSTM(H, **SEQUENCE), kl.Dropout(0.5), kl.LSTM(7, **SEQUENCE), kl.Dense(6, "relu"), kl.Dense(3, "tanh")],
    "gru": lambda: [kl.GRU(H, **SEQUENCE), kl.Dense(3, "sigmoid")],
    "gru, reset before": lambda: [kl.GRU(H, reset_after=False, **SEQUENCE)],
    "time distributed": lambda: [kl.LSTM(H, **SEQUENCE), kl.TimeDistributed(kl.Dense(3))],
    "stacked cells": lambda: [kl.RNN(kl.StackedRNNCells([kl.LSTMCell(H), kl.GRUCell(7)]), **SEQUENCE)],
    "stacked cells of a kind": lambda: [kl.RNN([kl.LSTMCell(H), kl.LSTMCell(H), kl.LSTMCell(H)]), kl.Dense(3)],
    "stacked cells, backwards": lambda: [kl.RNN([kl.GRUCell(H), kl.LSTMCell(7)], go_backwards=True), kl.Dense(3)],
    "normalised": lambda: [kl.BatchNormalization(), kl.LSTM(H, **SEQUENCE), kl.BatchNormalization(), kl.Dense(3)],
    "convolved": lambda: [kl.Conv1D(6, 5, padding="causal", activation="relu"), kl.BatchNormalization(), kl.Conv1D(5, 3, padding="causal", dilation_rate=2, groups=1), kl.LSTM(H, **SEQUENCE)],
    "pooled": lambda: [kl.ZeroPadding1D((2, 0)), kl.AveragePooling1D(3, strides=1), kl.GRU(H), kl.Dense(3)],
    "normalised vectors": lambda: [kl.Dense(6), kl.LayerNormalization(), kl.LSTM(H, **SEQUENCE), kl.RMSNormalization(), kl.Dense(3), kl.UnitNormalization()],
    "normalised without factors": lambda: [kl.LSTM(H, **SEQUENCE), kl.LayerNormalization(center=False), kl.LayerNormalization(scale=False), kl.Dense(3)],
    "softmax": lambda: [kl.LSTM(H, **SEQUENCE), kl.Dense(5, "softmax")],
    "softmax of its own": lambda: [kl.GRU(H), kl.Dense(5), kl.Softmax()],
    "masked, both directions, sequence": lambda: [kl.Masking(), kl.Bidirectional(kl.LSTM(H, **SEQUENCE)), kl.Dense(3, "softmax")],
    "both directions": lambda: [kl.Bidirectional(kl.LSTM(H, **SEQUENCE)), kl.Dense(3)],
    "both directions, hierarchical": lambda: [kl.Bidirectional(kl.LSTM(H, **SEQUENCE)), kl.Dense(5, "relu"), kl.Bidirectional(kl.LSTM(7))],
    "both directions, summed": lambda: [kl.Bidirectional(kl.GRU(H, **SEQUENCE), merge_mode="sum")],
    "both directions, averaged": lambda: [kl.Bidirectional(kl.SimpleRNN(H), merge_mode="ave"), kl.Dense(3)],
    "both directions, multiplied": lambda: [kl.Bidirectional(kl.LSTM(H, **SEQUENCE), merge_mode="mul")],
    "both directions, each its own": lambda: [kl.Bidirectional(kl.LSTM(H), backward_layer=kl.LSTM(6, activation="relu", go_backwards=True))],
    "backwards, last step": lambda: [kl.GRU(H, go_backwards=True), kl.Dense(3)],
    "activation layers": lambda: [kl.Rescaling(0.1, 2.0), kl.LSTM(H, **SEQUENCE), kl.Dense(5), kl.ReLU(), kl.Dense(3), kl.Activation("tanh")],
    "masked": lambda: [kl.Masking(), kl.LSTM(H, **SEQUENCE), kl.Dense(3)],
    "masked, last step": lambda: [kl.Masking(-10.0), kl.GRU(H, **SEQUENCE), kl.LSTM(7), kl.Dense(3)],
    "masked, both directions": lambda: [kl.Masking(1.5), kl.Bidirectional(kl.LSTM(H, **SEQUENCE)), kl.Bidirectional(kl.GRU(7)), kl.Dense(3)],
    "masked, mixed": lambda: [kl.Masking(2.0), kl.Dense(5), kl.SimpleRNN(H, **SEQUENCE), kl.BatchNormalization(), kl.LSTM(7, **SEQUENCE)],
}  # fmt: skip
REFUSED = {
    "backwards": (
        lambda: [kl.LSTM(H, go_backwards=True, **SEQUENCE)],
        "its output comes in the reverse order of the samples",
    ),
    "two outputs": (
        lambda: [kl.Bidirectional(kl.LSTM(H), merge_mode=None), kl.Concatenate()],
        "its merge_mode is None; concat, sum, mul, ave can be",
    ),
    "masked late": (
        lambda: [kl.Dense(H), kl.Masking(), kl.LSTM(H, **SEQUENCE)],
        r"\(Masking\): it has to be the only one, and the first to read the channels",
    ),
    "inner": (lambda: [kl.UpSampling1D(2)], r"\(UpSampling1D\): cannot be converted"),
}


def saved(name, made, path):
    """Build a model with random weights, save it, and return what it gives for some samples."""
    keras.utils.set_random_seed(sum(map(ord, name)))
    model = keras.Sequential([keras.Input((16, CHANNELS), batch_size=1), *made()])
    rng = np.random.default_rng(5)
    for weight in model.weights:
        values = rng.normal(0, 0.4, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    x = rng.normal(size=(16, CHANNELS)).astype(np.float32)
    if isinstance(model.layers[0], kl.Masking):
        x[[0, 1, 5, 6, 15]] = model.layers[0].mask_value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = keras.ops.convert_to_numpy(model(x[None], training=False))
        model.save(path)
    return x, y.reshape(-1, y.shape[-1])


@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize("name", CONVERTED)
def test_what_keras_saves(tmp_path, name, kind):
    path = tmp_path / f"m.{kind}"
    x, y = saved(name, CONVERTED[name], path)
    reading = readers.read(path)
    assert reading.proof.startswith("keras: within")
    np.testing.assert_allclose(reading.model.run(x)[-len(y) :], y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_layer(tmp_path, name):
    made, message = REFUSED[name]
    saved(name, made, tmp_path / "m.keras")
    with pytest.raises(ConversionError, match=message):
        readers.read(tmp_path / "m.keras")


def test_what_only_keras_2_writes_of_a_layer_is_no_obstacle_to_the_proof(tmp_path):
    model = keras.Sequential([keras.Input((9, CHANNELS)), kl.LSTM(H), kl.Dense(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = file.attrs["model_config"]
        file.attrs["model_config"] = config.replace(
            '"return_sequences"', '"time_major": false, "return_sequences"'
        )
        assert "time_major" in file.attrs["model_config"]
    before = (tmp_path / "m.h5").read_bytes()
    assert readers.read(tmp_path / "m.h5").proof.startswith("keras: within")
    assert (tmp_path / "m.h5").read_bytes() == before
