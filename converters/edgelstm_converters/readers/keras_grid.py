"""Layers of Keras over a small grid of sensors: (batch, samples, rows, columns, values), or one sample of it without samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgelstm_converters.gate_order import LSTM, reorder
from edgelstm_converters.readers.keras_file import Stored
from edgelstm_converters.readers.keras_layers import (
    Builder,
    Settings,
    activate,
    channels_last,
    parts,
    refused,
    word_of,
)

PARTS = ("kernel", "recurrent_kernel", "bias")


def _pair(value: int | list[int]) -> list[int]:
    return list(map(int, value)) if isinstance(value, list | tuple) else [int(value)] * 2


def _padding(name: str, kind: str, settings: Settings) -> str:
    words = {"same": "SAME_UPPER", "valid": "VALID"}
    padding = settings.get("padding", "valid")
    if padding not in words:
        raise refused(name, kind, f"its padding is {padding}, expected same or valid")
    return words[padding]


def _of_grid(build: Builder, op: str, inputs: list[str], name: str, **attributes: object) -> str:
    """Add an operator that has channels in front of the grid between two transpositions."""
    front = build.add("Transpose", inputs[:1], f"{name}/front", name, perm=[0, 3, 1, 2])
    made = build.add(op, [front, *inputs[1:]], f"{name}/made", name, **attributes)
    return build.add("Transpose", [made], f"{name}/back", name, perm=[0, 2, 3, 1])


def conv2d(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    channels_last(name, "Conv2D", settings)
    weights = parts(name, "Conv2D", stored, bool(settings.get("use_bias", True)), ("kernel", "bias"))
    inputs = [sources[0], build.constant(f"{name}/kernel", weights["kernel"].transpose(3, 2, 0, 1))]
    if "bias" in weights:
        inputs.append(build.constant(f"{name}/bias", weights["bias"]))
    made = _of_grid(
        build, "Conv", inputs, name, group=settings.get("groups", 1), auto_pad=_padding(name, "Conv2D", settings),
        strides=_pair(settings.get("strides", 1)), dilations=_pair(settings.get("dilation_rate", 1)),
    )  # fmt: skip
    activate(build, name, settings.get("activation", "linear"), made, name)


def average_pooling(
    build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored
) -> None:
    channels_last(name, "AveragePooling2D", settings)
    size = _pair(settings.get("pool_size", 2))
    if settings.get("padding", "valid") != "valid":
        raise refused(
            name, "AveragePooling2D", "its averages leave out the padding, which cannot be converted"
        )
    strides = _pair(settings.get("strides") or size)
    made = _of_grid(build, "AveragePool", sources, name, kernel_shape=size, strides=strides)
    build.add("Identity", [made], name, name)


def conv_lstm(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    """https://keras.io/api/layers/recurrent_layers/conv_lstm2d; the convolution over the past is padded whatever `padding` says."""
    kind = "ConvLSTM2D"
    channels_last(name, kind, settings)
    words = [
        word_of(settings.get(key, word))
        for key, word in (("activation", "tanh"), ("recurrent_activation", "sigmoid"))
    ]
    if words != ["tanh", "sigmoid"]:
        raise refused(name, kind, f"its activations are {words[0]} and {words[1]}, expected tanh and sigmoid")
    for key, why in (
        ("return_state", "it gives its state as an output"),
        ("go_backwards", "it runs backwards"),
    ):
        if settings.get(key):
            raise refused(name, kind, why)
    if _pair(settings.get("dilation_rate", 1)) != [1, 1] or len(sources) > 1:
        raise refused(name, kind, "it is dilated, or given an initial state, which cannot be converted")
    weights = parts(name, kind, stored, bool(settings.get("use_bias", True)), PARTS)
    kernels = (np.ascontiguousarray(weights[key].transpose(3, 0, 1, 2)) for key in PARTS[:2])
    w, r = (reorder(kernel, "ifgo", LSTM) for kernel in kernels)
    bias = reorder(weights.get("bias", np.zeros(len(w), np.float32)), "ifgo", LSTM)
    inputs = [
        sources[0],
        *(build.constant(f"{name}/{key}", v) for key, v in (("W", w), ("R", r), ("B", bias))),
    ]
    given = [f"{name}/sequence", f"{name}/last"]
    padding, strides = _padding(name, kind, settings), _pair(settings.get("strides", 1))
    build.node("ConvLSTM", inputs, given, name, auto_pad=padding, strides=strides)
    build.add("Identity", [given[0 if settings.get("return_sequences") else 1]], name, name)


GRID: dict[str, Callable[..., None]] = {
    "Conv2D": conv2d,
    "AveragePooling2D": average_pooling,
    "ConvLSTM2D": conv_lstm,
}
