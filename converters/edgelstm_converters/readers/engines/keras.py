"""Keras, on whichever of its backends is there, on a file at `path`; its inputs come in their order."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

BACKENDS = ("tensorflow", "torch", "jax")


def backend() -> str | None:
    """Return the backend that Keras will have, None where there is none."""
    return os.environ.get("KERAS_BACKEND") or next(
        (name for name in BACKENDS if find_spec(name) is not None), None
    )


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    del content
    os.environ["KERAS_BACKEND"] = str(backend())
    import keras

    model = keras.saving.load_model(path, compile=False)

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
