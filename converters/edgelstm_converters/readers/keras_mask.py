"""Masking of Keras: the samples that its recurrent layers pass over, as a layer of a float model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatMasking
from edgelstm_converters.layers.float_layer import FloatRecurrent

NAME = "mask"


def mask_value(layers: list[dict[str, Any]]) -> float | None:
    """Return what all channels of a masked sample are; None where no layer of the configuration masks.

    Raises ConversionError for a mask that is not laid on the channels as they come.
    """
    kinds = [layer["class_name"] for layer in layers]
    masks = [number for number, kind in enumerate(kinds) if kind == "Masking"]
    if not masks:
        return None
    number = masks[0]
    if len(masks) > 1 or any(kind != "InputLayer" for kind in kinds[:number]):
        name = layers[masks[-1]]["config"]["name"]
        raise ConversionError(
            f'layer "{name}" (Masking): it has to be the only one, and the first to read the channels'
        )
    readers = [layer for layer in layers[number + 1 :] if layer.get("inbound_nodes")]
    name, first = layers[number]["config"]["name"], layers[0]["config"]["name"]
    if kinds.count("InputLayer") == 1 and any(
        f"'{first}'" in repr(each["inbound_nodes"]) for each in readers
    ):
        raise ConversionError(f'layer "{name}" (Masking): other layers read the channels beside it')
    recurrent = [layer for layer in layers if "return_sequences" in _inner(layer)]
    if recurrent and _inner(recurrent[-1])["return_sequences"]:
        last = recurrent[-1]
        if last["class_name"] == "Bidirectional" or _inner(last).get("zero_output_for_mask"):
            name = f'layer "{last["config"]["name"]}" ({last["class_name"]})'
            raise ConversionError(
                f"{name}: where a sample is masked it gives zeros, which no layer here does"
            )
    return float(np.float32(layers[number]["config"].get("mask_value", 0.0)))


def _inner(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer, or of the one that it wraps."""
    config: dict[str, Any] = layer["config"]
    inner = config.get("layer")
    return inner["config"] if isinstance(inner, dict) else config


def with_mask(model: FloatModel, value: float | None) -> FloatModel:
    """Return the model whose recurrent layers skip samples of which all channels are `value`."""
    if value is None:
        return model
    mask = FloatMasking(
        NAME, model.inputs, tuple(range(model.inputs)), (value,) * model.inputs, sources=(INPUT,)
    )
    layers = [
        replace(
            layer, sources=model.sources_of(number), when=NAME if isinstance(layer, FloatRecurrent) else ""
        )
        for number, layer in enumerate(model.layers)
    ]
    return replace(model, layers=(mask, *layers))
