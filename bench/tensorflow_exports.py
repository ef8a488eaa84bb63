"""Writes what TensorFlow makes of recurrent networks, for support.py: run by an interpreter that has tensorflow, tf_keras, tf2onnx.

    python bench/tensorflow_exports.py FOLDER

FOLDER gets one file an export, and `exports.jsonl`: a line for each, with its file, or with why there is none. Converters that
end with a signal take their process with them: another one goes on behind that export.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

STEPS, INPUTS, HIDDEN = 12, 4, 16
SEQUENCE = {"return_sequences": True}
NETWORKS = {
    "LSTM": lambda kl: [kl.LSTM(HIDDEN, **SEQUENCE)],
    "LSTM, last step": lambda kl: [kl.LSTM(HIDDEN)],
    "LSTM, 2 layers, 40 units": lambda kl: [kl.LSTM(40, **SEQUENCE), kl.LSTM(40, **SEQUENCE)],
    "LSTM, relu": lambda kl: [kl.LSTM(HIDDEN, activation="relu", **SEQUENCE)],
    "LSTM without bias": lambda kl: [kl.LSTM(HIDDEN, use_bias=False, **SEQUENCE)],
    "LSTM, stateful": lambda kl: [kl.LSTM(HIDDEN, stateful=True, **SEQUENCE)],
    "LSTM, unrolled": lambda kl: [kl.LSTM(HIDDEN, unroll=True, **SEQUENCE)],
    "LSTM, masked": lambda kl: [kl.Masking(), kl.LSTM(HIDDEN, **SEQUENCE)],
    "LSTM, backwards, last step": lambda kl: [kl.LSTM(HIDDEN, go_backwards=True)],
    "LSTM, bidirectional": lambda kl: [kl.Bidirectional(kl.LSTM(HIDDEN, **SEQUENCE))],
    "LSTM, bidirectional, last step": lambda kl: [kl.Bidirectional(kl.LSTM(HIDDEN))],
    "GRU, reset after": lambda kl: [kl.GRU(HIDDEN, **SEQUENCE)],
    "GRU, reset before": lambda kl: [kl.GRU(HIDDEN, reset_after=False, **SEQUENCE)],
    "GRU, unrolled": lambda kl: [kl.GRU(HIDDEN, unroll=True, **SEQUENCE)],
    "GRU, 2 layers, last step": lambda kl: [kl.GRU(HIDDEN, **SEQUENCE), kl.GRU(8)],
    "GRU, bidirectional": lambda kl: [kl.Bidirectional(kl.GRU(HIDDEN, **SEQUENCE))],
    "SimpleRNN": lambda kl: [kl.SimpleRNN(HIDDEN, **SEQUENCE)],
    "stacked cells": lambda kl: [
        kl.RNN(kl.StackedRNNCells([kl.LSTMCell(HIDDEN), kl.GRUCell(8)]), **SEQUENCE)
    ],
    "convolution, LSTM, layer norm": lambda kl: [
        kl.Conv1D(8, 3, padding="causal", activation="relu"),
        kl.LSTM(HIDDEN, **SEQUENCE),
        kl.LayerNormalization(),
    ],
    "LSTM, mean over the window": lambda kl: [kl.LSTM(HIDDEN, **SEQUENCE), kl.GlobalAveragePooling1D()],
    "LSTM, flattened window": lambda kl: [kl.LSTM(HIDDEN, **SEQUENCE), kl.Flatten()],
    "autoencoder of windows": lambda kl: [
        kl.LSTM(HIDDEN),
        kl.RepeatVector(STEPS),
        kl.LSTM(HIDDEN, **SEQUENCE),
    ],
}
KERAS = {"Keras 3": "keras", "Keras 2": "tf_keras"}
ROUTES = {
    "TFLite": "float.tflite",
    "TFLite, dynamic range": "dynamic.tflite",
    "TFLite, int8": "int8.tflite",
    "tf2onnx": "tf.onnx",
}


def build(module, made):
    import importlib

    import numpy as np

    keras = importlib.import_module(module)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.InputLayer(batch_input_shape=(1, STEPS, INPUTS)) if module == "tf_keras" else keras.Input((STEPS, INPUTS), batch_size=1),
         *made(keras.layers), keras.layers.Dense(3)]
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:  # what training leaves: no weight is zero
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


def export(module, made, route, path):
    """Write one file."""
    import numpy as np
    import tensorflow as tf

    model = build(module, made)
    signature = [tf.TensorSpec((1, STEPS, INPUTS), tf.float32)]
    if route == "tf2onnx":
        import tf2onnx

        function = tf.function(lambda x: model(x, training=False))
        tf2onnx.convert.from_function(function, signature, opset=17, output_path=str(path))
        return
    folder = path.with_suffix("")
    if module == "keras":
        model.export(str(folder), input_signature=signature, verbose=False)
    else:
        call = tf.function(lambda x: model(x, training=False), input_signature=signature)
        tf.saved_model.save(model, str(folder), signatures=call)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if route != "TFLite":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if route == "TFLite, int8":
        rng = np.random.default_rng(0)
        samples = rng.normal(size=(50, 1, STEPS, INPUTS)).astype(np.float32)
        converter.representative_dataset = lambda: ([x] for x in samples)
    path.write_bytes(converter.convert())


def work(folder, numbers):
    """Make exports by their numbers, a line said before and one after each."""
    for number in numbers:
        version, name, route = list(everything())[number]
        path = folder / f"{number}-{ROUTES[route]}"
        why = ""
        try:
            export(KERAS[version], NETWORKS[name], route, path)
        except Exception as exc:
            why = next(iter(str(exc).strip().splitlines()), type(exc).__name__)[:160]
        said = {
            "keras": version,
            "network": name,
            "route": route,
            "file": "" if why else path.name,
            "why": why,
        }
        with (folder / "exports.jsonl").open("a") as file:
            file.write(json.dumps({"number": number, **said}) + "\n")


def everything():
    for version in KERAS:
        for name in NETWORKS:
            for route in ROUTES:
                yield version, name, route


def done(folder):
    path = folder / "exports.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        work(folder, [int(number) for number in sys.argv[2].split(",")])
        return
    versions = {
        name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "tf_keras", "tf2onnx")
    }
    (folder / "versions.json").write_text(json.dumps(versions))
    total = list(everything())
    while True:
        known = {each["number"] for each in done(folder)}
        left = [n for n in range(len(total)) if n not in known]
        if not left:
            break
        command = [sys.executable, __file__, str(folder), ",".join(map(str, left))]
        quiet = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "",
        }
        code = subprocess.run(
            command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).returncode
        after = {each["number"] for each in done(folder)}
        if code and (rest := [n for n in left if n not in after]):
            version, name, route = total[rest[0]]
            why = f"the converter crashes (signal {-code})" if code < 0 else f"the converter ends with {code}"
            said = {
                "number": rest[0],
                "keras": version,
                "network": name,
                "route": route,
                "file": "",
                "why": why,
            }
            with (folder / "exports.jsonl").open("a") as file:
                file.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
