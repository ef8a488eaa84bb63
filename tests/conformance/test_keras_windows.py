"""Models of Keras over windows, and functional ones: the numbers that Keras gives, from both of its formats."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch")
pytest.importorskip("keras", reason="keras is not installed: its exports are not tried")
pytest.importorskip("h5py")
pytestmark = [pytest.mark.torch, pytest.mark.engines]

import warnings  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    from keras import layers as kl

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.output_roles import REBUILT_SUFFIX  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from edgelstm_converters.execution import Execution  # noqa: E402

N, CHANNELS, H = 12, 4, 8
SEQUENCE = {"return_sequences": True}


def inner(name, *layers, shape=(N, CHANNELS)):
    return keras.Sequential([keras.Input(shape), *layers], name=name)


def grid(*layers, rows=4, columns=5):
    return [kl.Reshape((N, rows, columns, 1)), *layers]


CHAINS = {
    "autoencoder": lambda: [kl.LSTM(H), kl.RepeatVector(N), kl.LSTM(6, **SEQUENCE), kl.TimeDistributed(kl.Dense(CHANNELS))],
    "deep autoencoder": lambda: [kl.LSTM(H, **SEQUENCE), kl.Dropout(0.2), kl.LSTM(6, activation="relu"), kl.Dense(3), kl.RepeatVector(N), kl.GRU(6, **SEQUENCE), kl.LSTM(H, **SEQUENCE), kl.TimeDistributed(kl.Dense(CHANNELS))],
    "autoencoder, both directions": lambda: [kl.Bidirectional(kl.LSTM(H)), kl.Dense(5, "tanh"), kl.RepeatVector(N), kl.Bidirectional(kl.LSTM(6, **SEQUENCE)), kl.TimeDistributed(kl.Dense(CHANNELS))],
    "models in a model": lambda: [inner("encoder", kl.LSTM(H, name="rnn"), kl.Dense(5)), inner("decoder", kl.RepeatVector(N), kl.LSTM(H, name="rnn", **SEQUENCE), kl.TimeDistributed(kl.Dense(CHANNELS)), shape=(5,))],
    "distributed": lambda: [kl.TimeDistributed(inner("each", kl.Dense(6, "relu"), kl.LayerNormalization(), kl.Dense(3), shape=(CHANNELS,))), kl.LSTM(H, **SEQUENCE), kl.TimeDistributed(kl.LayerNormalization()), kl.TimeDistributed(kl.Activation("relu"))],
    "mean": lambda: [kl.LSTM(H, **SEQUENCE), kl.GlobalAveragePooling1D(), kl.Dense(3)],
    "largest, both directions": lambda: [kl.Bidirectional(kl.LSTM(H, **SEQUENCE)), kl.GlobalMaxPooling1D(), kl.Dense(3)],
    "mean of a convolution": lambda: [kl.Conv1D(H, 3, activation="relu"), kl.GlobalAveragePooling1D(keepdims=True), kl.Flatten(), kl.Dense(3)],
    "flattened": lambda: [kl.LSTM(H, **SEQUENCE), kl.Flatten(), kl.Dense(3, "relu"), kl.Dense(2, "softmax")],
    "flattened, both directions": lambda: [kl.Bidirectional(kl.GRU(H, **SEQUENCE)), kl.Flatten(), kl.Dense(2)],
    "flattened signal": lambda: [kl.Flatten(), kl.Dense(5, "tanh"), kl.Dense(2)],
    "turned": lambda: [kl.Permute((2, 1)), kl.Dense(5), kl.Permute((2, 1)), kl.Flatten(), kl.Dense(2)],
    "limits": lambda: [kl.Dense(6), kl.ReLU(6.0), kl.LSTM(5, **SEQUENCE), kl.LeakyReLU(0.1), kl.Dense(4, "swish")],
}  # fmt: skip
GRIDS = {
    "grid": lambda: grid(kl.ConvLSTM2D(3, 3, padding="same", **SEQUENCE), kl.BatchNormalization(), kl.TimeDistributed(kl.Flatten()), kl.Dense(2)),
    "smaller grid": lambda: grid(kl.ConvLSTM2D(3, 3, strides=(1, 2), **SEQUENCE), kl.ConvLSTM2D(2, 3, padding="same"), kl.Flatten(), kl.Dense(2)),
    "convolved grid": lambda: grid(kl.TimeDistributed(kl.Conv2D(3, 3, padding="same", strides=2, activation="relu")), kl.TimeDistributed(kl.AveragePooling2D((2, 1))), kl.TimeDistributed(kl.Conv2D(4, (1, 2), groups=1)), kl.TimeDistributed(kl.Flatten()), kl.LSTM(7, **SEQUENCE)),
    "mean of a grid": lambda: grid(kl.ConvLSTM2D(2, 3, padding="same", **SEQUENCE), kl.TimeDistributed(kl.GlobalAveragePooling2D()), kl.LSTM(4)),
}  # fmt: skip


def causal(x):
    for _ in range(2):
        attended = kl.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
        x = kl.LayerNormalization()(kl.Add()([x, attended]))
        x = kl.LayerNormalization()(kl.Add()([x, kl.Dense(H)(kl.Dense(12, "relu")(x))]))
    return kl.Dense(2)(x)


def last_of(x):
    """The last row, as .h5 can hold it: an operation would not be loaded again."""
    return kl.Flatten()(kl.Cropping1D((N - 1, 0))(x))


def of_attention(x, **options):
    return kl.Dense(2)(
        last_of(kl.LayerNormalization()(kl.Add()([x, kl.MultiHeadAttention(2, 3, **options)(x, x)])))
    )


def pair(**options):
    a, b = keras.Input((N, 3), name="a"), keras.Input((N, 1), name="b")
    x, y = kl.LSTM(6, **SEQUENCE)(a), kl.GRU(5, **SEQUENCE)(b)
    return keras.Model([b, a], [kl.Dense(2, name="p")(kl.Concatenate()([x, y])), kl.Dense(1, name="q")(y)])


def by_name():
    a, b = keras.Input((N, 3), name="a"), keras.Input((N, 1), name="b")
    return keras.Model({"b": b, "a": a}, kl.Dense(2)(kl.Concatenate()([kl.LSTM(6)(a), kl.GRU(5)(b)])))


def twice():
    a, b = keras.Input((N, 2), name="a"), keras.Input((N, 2), name="b")
    shared, head = kl.LSTM(6), inner("head", kl.Dense(4, "tanh"), shape=(6,))
    return keras.Model([a, b], kl.Dense(1)(kl.Subtract()([head(shared(a)), head(shared(b))])))


def functional(make):
    def made():
        x = keras.Input((N, CHANNELS))
        return keras.Model(x, make(kl.LSTM(H, **SEQUENCE)(x)))

    return made


def with_state(x):
    sequence, hidden, _ = kl.LSTM(H, return_state=True, **SEQUENCE)(x)
    return kl.Dense(2)(kl.Concatenate()([hidden, last_of(sequence)]))


FUNCTIONAL = {
    "transformer": functional(causal),
    "attention, read at the end": functional(lambda x: of_attention(x, value_dim=5, use_bias=False)),
    "attention, causal, mean": functional(lambda x: kl.GlobalAveragePooling1D()(kl.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True))),
    "attention of the last": functional(lambda x: kl.Dense(2)(kl.Flatten()(kl.Attention(use_scale=True)([kl.Cropping1D((N - 1, 0))(x), x])))),
    "attention, additive": functional(lambda x: kl.Dense(2)(kl.AdditiveAttention()([x, x], use_causal_mask=True))),
    "attention, additive, scaled": functional(lambda x: kl.Dense(2)(kl.Attention(use_scale=True, score_mode="concat")([x, x], use_causal_mask=True))),
    "two inputs and outputs": pair,
    "inputs by name": by_name,
    "layers called twice": twice,
    "state": functional(with_state),
    "average": functional(lambda x: kl.Average()([kl.Dense(3)(x), kl.LSTM(3, **SEQUENCE)(x), kl.GRU(3, **SEQUENCE)(x)])),
}  # fmt: skip


def operations(x):
    mean, last = keras.ops.mean(x, axis=1), keras.ops.tanh(x[:, -1, :])
    gated = keras.ops.sigmoid(mean) * last + 0.5
    return kl.Dense(2)(keras.ops.concatenate([gated, x[..., -1, :4] / 2.0 - last[:, 4:]], axis=-1))


def built(name, make):
    """Build a model with random weights that follow from its name."""
    keras.utils.set_random_seed(1)
    model = make()
    rng = np.random.default_rng([5, *name.encode()])
    for weight in model.weights:
        values = rng.normal(0, 0.4, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def chain(layers, width=CHANNELS):
    return lambda: keras.Sequential([keras.Input((N, width)), *layers()])


CASES = {
    **{name: chain(layers) for name, layers in CHAINS.items()},
    **{name: chain(layers, 20) for name, layers in GRIDS.items()},
    **FUNCTIONAL,
}


NOT_LOADED = ("attention of the last", "attention, additive, scaled")
"""By Keras itself out of .h5: its own configuration of Attention is refused there."""


@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize("name", CASES)
def test_what_keras_saves(tmp_path, name, kind):
    model = built(name, CASES[name])
    reading = readers.read(saved(model, tmp_path / f"m.{kind}"))
    if kind == "keras" or name not in NOT_LOADED:
        assert reading.proof.startswith("keras: within")
        return
    x = np.random.default_rng(1).normal(size=(N, CHANNELS)).astype(np.float32)
    np.testing.assert_allclose(
        reading.model.run(x)[-1], given(model, x[None])[0].reshape(-1, 2)[-1], rtol=0, atol=1e-5
    )


def test_operations_between_layers(tmp_path):
    """Keras itself does not load them again out of .h5; they are read there as well."""
    model = built("operations", functional(operations))
    x = np.random.default_rng(1).normal(size=(N, CHANNELS)).astype(np.float32)
    expected = given(model, x[None])[0]
    assert readers.read(saved(model, tmp_path / "m.keras")).proof.startswith("keras: within")
    found = readers.read(saved(model, tmp_path / "m.h5"), verify=False).model.run(x)
    np.testing.assert_allclose(found[-1], expected, rtol=0, atol=1e-5)


def test_several_inputs_are_named_in_their_order(tmp_path):
    reading = readers.read(saved(built("pair", pair), tmp_path / "m.keras"))
    assert reading.proof.endswith("channels of b (1), a (3); outputs of p, q")
    assert reading.model.inputs == 4


REFUSED = {
    "lambda": (functional(lambda x: kl.Lambda(lambda t: t * 2)(x)), r'"lambda.*" \(Lambda\): .*put in its place what it does, as layers or keras\.ops'),
    "other rows than samples": (functional(lambda x: kl.LSTM(5, return_sequences=True)(kl.RepeatVector(4)(x[:, -1]))), f"repeats what a window of {N} samples ends with 4 times"),
    "attention to the future": (functional(lambda x: kl.MultiHeadAttention(2, 3)(x, x)), "looks at samples that come later: train it with a causal mask"),
    "mean of attention to the future": (functional(lambda x: kl.GlobalAveragePooling1D()(kl.Attention()([x, x]))), "reads every sample of .*, which looks at samples that come later"),
    "recurrent behind attention to the future": (functional(lambda x: kl.LSTM(3)(kl.Attention()([x, x]))), "reads every sample of .*, which looks at samples that come later"),
    "no length": (lambda: keras.Sequential([keras.Input((None, CHANNELS)), kl.LSTM(H, **SEQUENCE), kl.GlobalAveragePooling1D()]), "goes over all samples of a sequence, and the input does not say how many"),
    "masked mean": (chain(lambda: [kl.Masking(), kl.LSTM(H, **SEQUENCE), kl.GlobalAveragePooling1D()]), r"\(GlobalAveragePooling1D\): behind Masking"),
    "recurrent in a sample": (lambda: keras.Sequential([keras.Input((N, 3, 2)), kl.TimeDistributed(kl.LSTM(4))]), r"\(TimeDistributed\): it runs a LSTM inside of every sample"),
    "largest of a grid": (chain(lambda: grid(kl.TimeDistributed(kl.MaxPooling2D())), 20), r"\(MaxPooling2D\): cannot be converted"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_layer(tmp_path, name):
    make, message = REFUSED[name]
    path = saved(built(name, make), tmp_path / "m.keras")
    with pytest.raises(ConversionError, match=message):
        readers.read(path)


def given(model, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how Keras hands a tensor to NumPy
        return keras.ops.convert_to_numpy(model(x))


def streamed(model, x):
    """What Keras gives for every window of the last N samples."""
    windows = np.lib.stride_tricks.sliding_window_view(x, N, axis=0).transpose(0, 2, 1)
    return given(model, windows)


@pytest.mark.parametrize(
    "name", ["autoencoder", "autoencoder, both directions", "flattened, both directions", "mean", "grid"]
)
def test_windows_of_a_stream(tmp_path, name):
    """In float the newest row of what Keras gives for each window; in int8 within what rounding leaves."""
    model = built(name, CASES[name])
    x = np.random.default_rng(2).normal(size=(90, model.input_shape[-1])).astype(np.float32)
    y = streamed(model, x)
    y = y[:, -1] if y.ndim == 3 else y
    late = {"lookahead": 0} if name == "autoencoder, both directions" else {}
    path = saved(model, tmp_path / "m.keras")
    found = convert_with_report(path, calibration=x, execution=Execution(window=N, **late))
    np.testing.assert_allclose(found.float_model.run(x)[N - 1 :], y, rtol=0, atol=1e-5)
    assert found.model.provenance.output_snr_db > 25


def test_an_autoencoder_rebuilds_its_channels(tmp_path):
    """Its outputs are named so, and it is run over windows of its own length only."""
    path = saved(built("autoencoder", CASES["autoencoder"]), tmp_path / "m.keras")
    x = np.random.default_rng(3).normal(size=(60, CHANNELS)).astype(np.float32)
    names = ["flow", "pressure", "current", "level"]
    scaling = {name: {"mean": 2.0, "std": 3.0} for name in names}
    options = {"calibration": x * 3 + 2, "channels": names, "scaling": scaling}
    found = convert_with_report(path, execution=Execution(window=N), **options)
    assert [output.name for output in found.model.outputs] == [f"{name}{REBUILT_SUFFIX}" for name in names]
    plain = convert_with_report(path, calibration=x, execution=Execution(window=N))
    np.testing.assert_allclose(found.exact[N:], plain.exact[N:] * 3 + 2, rtol=0, atol=1e-4)
    for execution in (Execution(), Execution(window=N - 1)):
        with pytest.raises(
            ConversionError, match=rf"repeats what a window of {N} samples ends with: say .* --window {N}"
        ):
            convert_with_report(path, execution=execution, **options)
