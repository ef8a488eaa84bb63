"""Keras files written by hand, as Keras 2 and 3 lay them out, with h5py alone."""

import io
import json
import zipfile

import h5py
import numpy as np

I, H = 3, 5  # noqa: E741


def random(name, *shape):
    """Return weights, random by their name and shape alone, so that no test depends on which ones ran before it."""
    return np.random.default_rng([3, *name.encode(), *shape]).normal(0, 0.5, shape).astype(np.float32)


def layer(kind, name, **settings):
    return {"class_name": kind, "config": {"name": name, **settings}}


def sequential(*layers):
    first = layer("InputLayer", "input", batch_shape=[None, None, I])
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [first, *layers]}}


LSTM = layer("LSTM", "rnn", units=H, activation="tanh", recurrent_activation="sigmoid", return_sequences=True)
DENSE = layer("Dense", "head", units=2, activation="linear")


def lstm_weights(name="rnn", inputs=I):
    return [random(name, inputs, 4 * H), random(f"{name} past", H, 4 * H), random(f"{name} bias", 4 * H)]


def dense_weights(name="head"):
    return [random(name, H, 2), random(f"{name} bias", 2)]


def write_keras(path, config, weights, *, version="3.15.1", leave_out=()):
    """Write .keras; `weights` are arrays by the path of a layer's variables, with the layer's name."""
    stored = io.BytesIO()
    with h5py.File(stored, "w") as file:
        for (place, name), arrays in weights.items():
            owner = file.require_group(f"layers/{place.removesuffix('/cell')}/vars")
            owner.attrs["name"] = name
            group = file.require_group(f"layers/{place}/vars")
            for number, array in enumerate(arrays):
                group[str(number)] = array
    parts = {
        "config.json": json.dumps(config),
        "metadata.json": json.dumps({"keras_version": version}),
        "model.weights.h5": stored.getvalue(),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            if name not in leave_out:
                archive.writestr(name, content)
    return path


def write_h5(path, config, weights, *, version="2.1.3", suffix=":0"):
    """Write .h5; `weights` are arrays by layer and by name."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = json.dumps(config)
        for name, arrays in weights.items():
            for part, array in arrays.items():
                file[f"model_weights/{name}/{name}/{part}{suffix}"] = array
    return path
