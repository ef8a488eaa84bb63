"""Keras files laid out as Keras 2 and 3 do, read without Keras; what is damaged or elsewhere is refused."""

import contextlib
import zipfile

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402
from edgelstm_converters.float_model import FloatGru, FloatLstm  # noqa: E402
from edgelstm_converters.gate_order import reorder  # noqa: E402
from keras_cases import (  # noqa: E402
    DENSE,
    LSTM,
    H,
    I,
    dense_weights,
    layer,
    lstm_weights,
    random,
    sequential,
    write_h5,
    write_keras,
)

X = np.random.default_rng(4).normal(size=(40, I)).astype(np.float32)


def read(path):
    return readers.read(path, verify=False).model


def keras_lstm(kernel, recurrent, bias):
    """The layer that Keras computes from its arrays: columns in the order i, f, c, o."""
    return FloatLstm("rnn", kernel.T.copy(), recurrent.T.copy(), bias)


def test_the_same_lstm_in_both_formats(tmp_path):
    w, d = lstm_weights(), dense_weights()
    config = sequential(LSTM, layer("Dropout", "drop", rate=0.5), DENSE)
    names = ("kernel", "recurrent_kernel", "bias")
    new = write_keras(tmp_path / "m.keras", config, {("lstm/cell", "rnn"): w, ("dense", "head"): d})
    parts = {"rnn": dict(zip(names, w, strict=True)), "head": dict(zip(("kernel", "bias"), d, strict=True))}
    old = write_h5(tmp_path / "m.h5", config, parts)
    expected = keras_lstm(*w).run(X) @ d[0] + d[1]
    for path in (new, old):
        np.testing.assert_allclose(read(path).run(X), expected, atol=1e-5)


def test_names_of_layers_are_looked_up_and_not_counted(tmp_path):
    """Two layers of a class, stored in the other order than they run."""
    first, second = lstm_weights("a"), lstm_weights("b", H)
    config = sequential(layer(**_named(LSTM, "a")), layer(**_named(LSTM, "b")))
    path = write_keras(
        tmp_path / "m.keras", config, {("lstm_1/cell", "a"): first, ("lstm/cell", "b"): second}
    )
    expected = keras_lstm(*second).run(keras_lstm(*first).run(X))
    np.testing.assert_allclose(read(path).run(X), expected, atol=1e-5)


def _named(entry, name):
    return {"kind": entry["class_name"], **entry["config"], "name": name}


@pytest.mark.parametrize("after", [False, True])
def test_a_gru_with_the_reset_before_and_after(tmp_path, after):
    kernel, recurrent = random("kernel", I, 3 * H), random("past", H, 3 * H)
    bias = random("bias", *((2,) if after else ()), 3 * H)
    config = sequential(layer("GRU", "rnn", units=H, reset_after=after, return_sequences=True))
    path = write_keras(tmp_path / "m.keras", config, {("gru/cell", "rnn"): [kernel, recurrent, bias]})
    both = bias if after else np.stack([bias, np.zeros(3 * H, np.float32)])
    parts = [reorder(part, "urn", "run") for part in (kernel.T.copy(), recurrent.T.copy(), *both)]
    np.testing.assert_allclose(read(path).run(X), FloatGru("rnn", *parts, after).run(X), atol=1e-5)


def test_the_layout_of_cudnn(tmp_path):
    """Keras 2.1 stored cuDNN's own matrices: every gate's block transposed, its elements in columns; two biases summed."""
    kernel, recurrent, bias = lstm_weights()
    stored = np.concatenate([block.T.reshape(block.shape) for block in np.split(kernel, 4, axis=1)], axis=1)
    turned = np.concatenate([block.T for block in np.split(recurrent, 4, axis=1)], axis=1)
    half = random("half", 4 * H)
    arrays = {"kernel": stored, "recurrent_kernel": turned, "bias": np.concatenate([half, bias - half])}
    config = sequential(layer("CuDNNLSTM", "rnn", units=H, return_sequences=True))
    path = write_h5(tmp_path / "m.h5", config, {"rnn": arrays})
    np.testing.assert_allclose(read(path).run(X), keras_lstm(kernel, recurrent, bias).run(X), atol=1e-5)


@pytest.mark.parametrize("version", [2, 3])
def test_a_functional_model(tmp_path, version):
    """Its layers are in no order; what each reads says it."""
    w, d = lstm_weights(), dense_weights()

    def reads(entry, *names):
        if version == 2:
            calls = [[[name, 0, 0, {}] for name in names]]
        else:
            tensors = [
                {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
                for name in names
            ]
            calls = [{"args": tensors, "kwargs": {"mask": None}}]
        return {**entry, "name": entry["config"]["name"], "inbound_nodes": calls}

    first = {**layer("InputLayer", "x", batch_input_shape=[None, None, I]), "name": "x", "inbound_nodes": []}
    layers = [first, reads(LSTM, "x"), reads(DENSE, "rnn")]
    outputs = [["head", 0, 0]] if version == 2 else ["head", 0, 0]
    config = {"class_name": "Functional", "config": {"layers": layers, "output_layers": outputs}}
    path = write_keras(tmp_path / "m.keras", config, {("lstm/cell", "rnn"): w, ("dense", "head"): d})
    np.testing.assert_allclose(read(path).run(X), keras_lstm(*w).run(X) @ d[0] + d[1], atol=1e-5)


def inner_model(name, *layers):
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


STACKED = {
    "class_name": "StackedRNNCells",
    "config": {"cells": [layer("LSTMCell", "one", units=H), layer("LSTMCell", "other", units=H)]},
}
NAMES = ("kernel", "recurrent_kernel", "bias")


def test_a_model_in_a_model_in_both_formats(tmp_path):
    """Two of its layers are called the same as others outside."""
    a, b, d = lstm_weights("a"), lstm_weights("b", H), dense_weights()
    config = sequential(inner_model("part", LSTM), LSTM, DENSE)
    arrays = {("sequential/layers/lstm/cell", "rnn"): a, ("lstm/cell", "rnn"): b, ("dense", "head"): d}
    new = write_keras(tmp_path / "m.keras", config, arrays)
    old = write_h5(
        tmp_path / "m.h5",
        config,
        {"rnn": dict(zip(NAMES, b, strict=True)), "head": dict(zip(("kernel", "bias"), d, strict=True))},
    )
    with h5py.File(old, "a") as file:
        for name, array in zip(NAMES, a, strict=True):
            file[f"model_weights/part/rnn/lstm_cell/{name}:0"] = array
    expected = keras_lstm(*b).run(keras_lstm(*a).run(X)) @ d[0] + d[1]
    for path in (new, old):
        np.testing.assert_allclose(read(path).run(X), expected, atol=1e-5)


def test_cells_of_a_stack_are_told_apart_by_their_names(tmp_path):
    a, b = lstm_weights("a"), lstm_weights("b", H)
    path = write_h5(
        tmp_path / "m.h5", sequential(layer("RNN", "rnn", cell=STACKED, return_sequences=True)), {}
    )
    with h5py.File(path, "a") as file:
        for cell, arrays in (("other", b), ("one", a)):
            for name, array in zip(NAMES, arrays, strict=True):
                file[f"model_weights/rnn/rnn/stacked_rnn_cells/{cell}/{name}:0"] = array
    np.testing.assert_allclose(read(path).run(X), keras_lstm(*b).run(keras_lstm(*a).run(X)), atol=1e-5)


def called(entry, *names, **kwargs):
    """An entry of a functional model of Keras 2."""
    calls = [[[name, 0, 0, kwargs if n == 0 else {}] for n, name in enumerate(names)]] if names else []
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": calls}


def of_keras_2(*layers):
    first = called(layer("InputLayer", "x", batch_input_shape=[None, 7, I]))
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"layers": [first, *layers], **ends}}


def test_operations_of_tensorflow(tmp_path):
    """x[:, -1], x * y and a mean over time, as Keras 2 writes them."""
    w = lstm_weights()
    last = [{"start": None, "stop": None, "step": None}, -1]
    config = of_keras_2(
        called(LSTM, "x"),
        called(layer("SlicingOpLambda", "last", function="__operators__.getitem"), "rnn", slice_spec=last),
        called(layer("TFOpLambda", "mean", function="math.reduce_mean"), "rnn", axis=1),
        called(layer("TFOpLambda", "product", function="math.multiply"), "last", y=["mean", 0, 0]),
        called(layer("TFOpLambda", "half", function="math.multiply"), "product", y=0.5),
    )
    model = read(write_h5(tmp_path / "m.h5", config, {"rnn": dict(zip(NAMES, w, strict=True))}))
    y = keras_lstm(*w).run(X[:7])
    np.testing.assert_allclose(model.run(X[:7])[-1], 0.5 * y[-1] * y.mean(axis=0), atol=1e-5)
    config["config"]["layers"][-1]["config"]["function"] = "math.tan"
    with pytest.raises(
        ConversionError, match=r'layer "half" \(TFOpLambda, math\.tan\): is an operation that cannot be'
    ):
        read(write_h5(tmp_path / "n.h5", config, {"rnn": dict(zip(NAMES, w, strict=True))}))


def test_a_call_of_what_is_not_there(tmp_path):
    config = of_keras_2(called(LSTM, "nowhere"))
    with pytest.raises(ConversionError, match=r'layer "rnn" \(LSTM\): what it reads is not in the model'):
        read(write_h5(tmp_path / "m.h5", config, {"rnn": dict(zip(NAMES, lstm_weights(), strict=True))}))


REFUSED = {
    "wrapped": (layer("Bidirectional", "both", layer=DENSE), r'layer "both" \(Bidirectional\): it wraps a Dense; LSTM, .* can be'),
    "backwards": (layer("LSTM", "rnn", go_backwards=True, return_sequences=True), "comes in the reverse order of the samples"),
    "lambda": (layer("Lambda", "any"), r'layer "any" \(Lambda\): .* put in its place what it does, as layers or keras\.ops'),
    "an inner lambda": (inner_model("part", layer("Lambda", "any")), r'layer "part/any" \(Lambda\): cannot be converted'),
    "cells without names": (layer("RNN", "rnn", cell=STACKED), "the weights of its cells are not told apart"),
    "activation": (layer("Activation", "act", activation="squareplus"), r'layer "act" \(activation\): squareplus'),
    "no weights": (layer("Dense", "other"), r'layer "other" \(Dense\): its kernel is not in the file'),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_by_layer(tmp_path, case):
    entry, message = REFUSED[case]
    path = write_keras(tmp_path / "m.keras", sequential(entry), {("lstm/cell", "rnn"): lstm_weights()})
    with pytest.raises(ConversionError, match=rf"m\.keras: .*{message}"):
        read(path)


def test_files_that_are_no_model(tmp_path):
    path = write_keras(tmp_path / "m.keras", sequential(LSTM), {}, leave_out=("model.weights.h5",))
    with pytest.raises(ConversionError, match=r"has no model\.weights\.h5 in it"):
        read(path)
    (tmp_path / "n.keras").write_bytes(b"PK nothing")
    (tmp_path / "n.h5").write_bytes(b"\x89HDF\r\n\x1a\n and nothing")
    for name in ("n.keras", "n.h5"):
        with pytest.raises(ConversionError, match=r"is damaged or no Keras model"):
            read(tmp_path / name)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["kernel"] = random("kernel", 2, 2)
    with pytest.raises(ConversionError, match="holds weights without the model"):
        read(tmp_path / "w.h5")


def test_nothing_outside_of_the_file_is_read(tmp_path):
    config = sequential(LSTM)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = random("kernel", 2, 2)
    path = write_h5(tmp_path / "m.h5", config, {})
    with h5py.File(path, "a") as file:
        file["model_weights/rnn"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ConversionError, match=r'"model_weights/rnn" is a link to somewhere else'):
        read(path)
    path = write_h5(tmp_path / "e.h5", config, {})
    with h5py.File(path, "a") as file:
        file.create_dataset("kernel", (4,), "f4", external=[(str(tmp_path / "secret.h5"), 0, 16)])
    with pytest.raises(ConversionError, match=r'"kernel" stands in another file'):
        read(path)


def test_sizes_that_are_declared_are_not_made(tmp_path):
    path = write_h5(tmp_path / "m.h5", sequential(LSTM), {})
    with h5py.File(path, "a") as file:
        file.create_dataset("model_weights/rnn/kernel", (50_000, 50_000), "f4", chunks=(10, 10))
    with pytest.raises(ConversionError, match=r"the weights are more than the .* bytes that are read"):
        read(path)


def test_weights_that_are_not_finite(tmp_path):
    w = lstm_weights()
    w[1][2, 3] = np.inf
    path = write_keras(tmp_path / "m.keras", sequential(LSTM), {("lstm/cell", "rnn"): w})
    with pytest.raises(
        ConversionError, match=r'weights "layers/lstm/cell/vars/1" hold numbers that are not finite'
    ):
        read(path)


def test_damage_anywhere_ends_in_one_line(tmp_path):
    path = write_keras(
        tmp_path / "m.keras",
        sequential(LSTM, DENSE),
        {("lstm/cell", "rnn"): lstm_weights(), ("dense", "head"): dense_weights()},
    )
    with zipfile.ZipFile(path) as archive:
        stored, config = archive.read("model.weights.h5"), archive.read("config.json")
    rng = np.random.default_rng(0)
    for trial in range(200):
        parts = {"config.json": config, "metadata.json": b"{}", "model.weights.h5": stored}
        name = ("config.json", "model.weights.h5")[trial % 2]
        damaged = bytearray(parts[name])
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.choice([0, 255, 34, 123, rng.integers(0, 256)])
        parts[name] = bytes(damaged)
        with zipfile.ZipFile(tmp_path / "d.keras", "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
        with contextlib.suppress(ConversionError):
            read(tmp_path / "d.keras")


def test_weights_alone_with_an_architecture(tmp_path):
    w, d = lstm_weights(), dense_weights()
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name, array in zip(("kernel", "recurrent_kernel", "bias"), w, strict=True):
            file[f"lstm_1/lstm_1/{name}:0"] = array
        file["head/head/kernel:0"], file["head/head/bias:0"] = d
    (tmp_path / "net.toml").write_text(
        '[[layers]]\nkind = "lstm"\nname = "rnn"\ngates = "ifgo"\ntransposed = true\n'
        'input_weights = "lstm_1/lstm_1/kernel:0"\nhidden_weights = "lstm_1/lstm_1/recurrent_kernel:0"\n'
        'bias = "lstm_1/lstm_1/bias:0"\n[[layers]]\nkind = "dense"\nname = "head"\ntransposed = true\n'
        'weights = "head/head/kernel:0"\nbias = "head/head/bias:0"\n'
    )
    found = readers.read(tmp_path / "w.h5", architecture=tmp_path / "net.toml").model
    np.testing.assert_allclose(found.run(X), keras_lstm(*w).run(X) @ d[0] + d[1], atol=1e-5)


SAID = {
    "stateful": ([None, 12, I], [True], 'its layer "rnn" is stateful', 12),
    "a fixed length": ([None, 12, I], [False], "", 12),
    "nothing": ([None, None, I], [None], "", None),
    "two, both stateful": ([1, None, I], [True, True], 'its layers "rnn", "rnn1" are stateful', None),
    "two, one stateful": ([1, None, I], [True, False], "", None),
}


@pytest.mark.parametrize("case", SAID)
def test_what_a_file_says_about_its_state(tmp_path, case):
    shape, stateful, carried, length = SAID[case]
    names = ["rnn", "rnn1"][: len(stateful)]
    layers = [
        layer(**_named(LSTM, name), **({} if said is None else {"stateful": said}))
        for name, said in zip(names, stateful, strict=True)
    ]
    config = sequential(*layers)
    config["config"]["layers"][0]["config"]["batch_shape"] = shape
    weights = [lstm_weights("a"), lstm_weights("b", H)]
    stored = {(f"lstm{n or ''}/cell", name): weights[n] for n, name in enumerate(names)}
    reading = readers.read(write_keras(tmp_path / "m.keras", config, stored), verify=False)
    assert (reading.carried, reading.length) == (carried, length)
