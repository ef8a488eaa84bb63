"""Masking of Keras: the samples that its recurrent layers pass over, as a layer of a float model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatDense, FloatMasking, FloatMultiply
from edgelstm_converters.layers.float_layer import FloatLayer, FloatRecurrent

NAME = "mask"
UNMASKED = (
    "GlobalAveragePooling1D", "GlobalMaxPooling1D", "RepeatVector", "Flatten", "Attention", "AdditiveAttention",
    "MultiHeadAttention", "ConvLSTM2D", "Reshape", "Permute",
)  # fmt: skip
"""Layers over all samples of a window, which know no mask here."""


def mask_value(layers: list[dict[str, Any]]) -> float | None:
    """Return what all channels of a masked sample are; None where no layer of the configuration masks.

    Raises ConversionError for a mask that is not laid on the channels as they come.
    """
    kinds = [layer["class_name"] for layer in layers]
    masks = [number for number, kind in enumerate(kinds) if kind == "Masking"]
    if not masks:
        return None
    unmasked = [layer for layer in layers if layer["class_name"] in UNMASKED]
    if unmasked:
        name, kind = unmasked[0]["config"]["name"], unmasked[0]["class_name"]
        raise ConversionError(
            f'layer "{name}" ({kind}): behind Masking it would leave samples out, which cannot be converted: leave the mask out'
        )
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
    return float(np.float32(layers[number]["config"].get("mask_value", 0.0)))


def settings(layer: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer, or of the one that it wraps."""
    config: dict[str, Any] = layer["config"]
    inner = config.get("layer")
    return inner["config"] if isinstance(inner, dict) else config


def zeroing(layers: list[dict[str, Any]]) -> frozenset[str]:
    """Return the names of the layers of a sequence that give zeros where a sample is masked, as both ways of Bidirectional do."""
    names: list[str] = []
    for layer in layers:
        name, inner = layer["config"]["name"], settings(layer)
        if inner.get("return_sequences") and layer["class_name"] == "Bidirectional":
            names += [f"{name}.forward", f"{name}.backward"]
        elif inner.get("return_sequences") and inner.get("zero_output_for_mask"):
            names.append(name)
    return frozenset(name.replace("/", ".") for name in names)


def with_mask(model: FloatModel, value: float | None, zeroed: frozenset[str]) -> FloatModel:
    """Return the model whose recurrent layers skip samples of which all channels are `value`; `zeroed` of them give zeros there."""
    if value is None:
        return model
    mask = FloatMasking(
        NAME, model.inputs, tuple(range(model.inputs)), (value,) * model.inputs, sources=(INPUT,)
    )
    layers: list[FloatLayer] = [mask]
    backward = list(model.backward)
    renamed: dict[str, str] = {}
    for number, layer in enumerate(model.layers):
        sources = tuple(renamed.get(source, source) for source in model.sources_of(number))
        layers.append(replace(layer, sources=sources, when=NAME if isinstance(layer, FloatRecurrent) else ""))
        if layer.name in zeroed:
            one, none = np.ones((layer.units, 1), np.float32), np.zeros(layer.units, np.float32)
            kept = FloatDense(f"{layer.name}.kept", one, none, sources=(NAME,))
            product = FloatMultiply(f"{layer.name}.zeroed", layer.units, sources=(layer.name, kept.name))
            layers += [kept, product]
            renamed[layer.name] = product.name
            backward += [kept.name, product.name] if layer.name in model.backward else []
    heads = tuple(renamed.get(head, head) for head in model.head_names)
    return replace(model, layers=tuple(layers), heads=heads, backward=tuple(backward))
