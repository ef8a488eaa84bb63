"""Layers of Keras over the samples of a window, and such as change the shape of what they read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgelstm_converters.readers.keras_file import Stored
from edgelstm_converters.readers.keras_layers import Builder, Settings, channels_last, refused


def _integers(build: Builder, name: str, *values: int) -> str:
    return build.constant(name, np.array(values, np.int64))


def repeat_vector(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    row = build.add("Unsqueeze", [sources[0], _integers(build, f"{name}/axis", 1)], f"{name}/row", name)
    build.add("Tile", [row, _integers(build, f"{name}/repeats", 1, int(settings["n"]), 1)], name, name)


def reshape(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    wanted = _integers(build, f"{name}/shape", 0, *map(int, settings["target_shape"]))
    build.add("Reshape", [sources[0], wanted], name, name)


def permute(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    build.add("Transpose", sources, name, name, perm=[0, *map(int, settings["dims"])])


def flatten(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    channels_last(name, "Flatten", settings)
    build.add("Flatten", sources, name, name)


def pooled(op: str, kind: str, axes: tuple[int, ...]) -> Callable[..., None]:
    """A layer that pools all of some axes."""

    def layer(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
        channels_last(name, kind, settings)
        keepdims = int(bool(settings.get("keepdims", False)))
        build.add(op, [sources[0], _integers(build, f"{name}/axes", *axes)], name, name, keepdims=keepdims)

    return layer


def average(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    total = build.add("Sum", sources, f"{name}/total", name)
    build.add("Mul", [total, build.constant(f"{name}/share", np.float32(1.0 / len(sources)))], name, name)


def cropping(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    first, last = settings["cropping"]
    if last:
        raise refused(name, "Cropping1D", "it leaves the newest samples out, so that its output is late")
    ends = [
        _integers(build, f"{name}/{key}", n) for key, n in (("first", first), ("end", 1 << 30), ("axis", 1))
    ]
    build.add("Slice", [sources[0], *ends], name, name)


WINDOW: dict[str, Callable[..., None]] = {
    "RepeatVector": repeat_vector, "Reshape": reshape, "Permute": permute, "Flatten": flatten, "Average": average,
    "GlobalAveragePooling1D": pooled("ReduceMean", "GlobalAveragePooling1D", (1,)), "Cropping1D": cropping,
    "GlobalMaxPooling1D": pooled("ReduceMax", "GlobalMaxPooling1D", (1,)),
    "GlobalAveragePooling2D": pooled("ReduceMean", "GlobalAveragePooling2D", (1, 2)),
}  # fmt: skip
