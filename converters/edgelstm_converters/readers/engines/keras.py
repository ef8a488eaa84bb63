"""Keras, on whichever of its backends is there, on a file at `path`; its one input has no name."""

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
        found = model(*feeds.values(), training=False)
        return [keras.ops.convert_to_numpy(y) for y in (found if isinstance(found, list) else [found])]

    return "keras", run, b""
