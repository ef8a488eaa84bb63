"""Keras, on whichever of its backends is there, on a file at `path`; its inputs come in their order."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BACKENDS = ("tensorflow", "torch", "jax")
_OF_KERAS_2 = {"time_major": False}
"""What Keras 2 writes of every recurrent layer and Keras 3 refuses to load, though it means what is meant without it."""


def backend() -> str | None:
    """Return the backend that Keras will have, None where there is none."""
    return os.environ.get("KERAS_BACKEND") or next(
        (name for name in BACKENDS if find_spec(name) is not None), None
    )


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    del content
    os.environ["KERAS_BACKEND"] = str(backend())
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception:
        if Path(path).suffix.lower() == ".keras":
            raise
        with tempfile.TemporaryDirectory() as folder:
            model = keras.saving.load_model(_without(path, folder, _OF_KERAS_2), compile=False)

    def run(feeds: dict[str, Any]) -> list[Any]:
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()
        given = list(feeds.values())
        struct = getattr(model, "_inputs_struct", None)  # inputs by name are taken by name
        fed = keras.tree.pack_sequence_as(struct, given) if isinstance(struct, dict) else given
        found = model(fed[0] if isinstance(fed, list) and len(fed) == 1 else fed, training=False)
        return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(found)]

    return "keras", run, b""


def _without(path: str, folder: str, left_out: dict[str, Any]) -> str:
    """Copy a .h5 file to a folder without settings of layers that are left out; raises what h5py does for another kind of file."""
    import h5py

    def cleaned(part: Any) -> Any:
        if isinstance(part, list):
            return [cleaned(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {
            key: cleaned(value)
            for key, value in part.items()
            if key not in left_out or value != left_out[key]
        }

    copy = shutil.copy(path, Path(folder) / "model.h5")
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(cleaned(json.loads(file.attrs["model_config"])))
    return str(copy)
