"""Input scaling that a network was trained with, folded into its weights, so that it takes sensor values as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import FloatDense, FloatLayer, FloatModel
from edgelstm_converters.layers import FloatAffine

SCALED_INPUT = "scaled input"
Scaling = Mapping[str, Mapping[str, float]]
LARGEST = float(np.finfo(np.float32).max)


def read_scaling(path: Path) -> Scaling:
    """Read `{"channel": {"mean": 1.0, "std": 2.0}, ...}`; raises ConversionError naming the channel that is wrong."""
    try:
        found = json.loads(path.read_text())
    except OSError as exc:
        raise ConversionError(f"{path}: cannot be read: {exc.strerror}") from None
    except ValueError as exc:
        raise ConversionError(f"{path}: is no JSON: {exc}") from None
    try:
        check_scaling(found)
    except ConversionError as exc:
        raise ConversionError(f"{path}: {exc}") from None
    scaling: Scaling = found
    return scaling


def check_scaling(scaling: Any) -> None:
    """Raise ConversionError naming the channel whose entry is not a mean and a standard deviation."""
    if not isinstance(scaling, Mapping):
        raise ConversionError('the scaling is not of the form {"channel": {"mean": 1.0, "std": 2.0}, ...}')
    for name, entry in scaling.items():
        numbers = [entry.get(key) for key in ("mean", "std")] if isinstance(entry, Mapping) else [None]
        if not all(map(_is_number, numbers)):
            raise ConversionError(
                f'channel "{name}": expected {{"mean": number, "std": number}}, found {entry}'
            )
        if entry["std"] <= 0:
            raise ConversionError(f'channel "{name}": std is {entry["std"]}, expected more than 0')


def _is_number(value: Any) -> bool:
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and type(value) is not bool and bool(-LARGEST <= value <= LARGEST)


def fold(model: FloatModel, scaling: Scaling, channels: Sequence[str], outputs: Sequence[str]) -> FloatModel:
    """Return the model that takes unscaled channels, and gives unscaled values where an output is a channel.

    The network saw `(x - mean) / std`. Raises ConversionError for a channel without an entry, an entry without a
    channel, or a last layer that cannot be unscaled.
    """
    check_scaling(scaling)
    for name in channels:
        if name not in scaling:
            raise ConversionError(
                f'the scaling has no entry for channel "{name}"; it has: {", ".join(scaling)}'
            )
    unknown = [name for name in scaling if name not in (*channels, *outputs)]
    if unknown:
        raise ConversionError(
            f'the scaling has an entry "{unknown[0]}", which is no channel: {", ".join(channels)}'
        )
    mean = np.array([scaling[name]["mean"] for name in channels])
    std = np.array([scaling[name]["std"] for name in channels])
    one, none = np.ones(len(channels), np.float32), np.zeros(len(channels), np.float32)
    scaling_layer = FloatAffine(SCALED_INPUT, one, none, sources=(INPUT,)).with_scaled_input(mean, std)
    layers: list[FloatLayer] = []
    for number, layer in enumerate(model.layers):
        sources = model.sources_of(number)
        if INPUT in sources:
            whole = bool(layer.int8_steps)  # of int8, which no column of its own scale would stay
            found = layer.with_scaled_input(mean, std) if sources == (INPUT,) and not whole else None
            if found is None:  # it cannot take the scaling in: a layer of its own scales for it
                if scaling_layer not in layers:
                    layers.append(scaling_layer)
                renamed = tuple(SCALED_INPUT if source == INPUT else source for source in sources)
                found = replace(layer, sources=renamed)
            layer = found
        layers.append(layer)
    return _unscale(replace(model, layers=tuple(layers)), scaling, outputs)


def _unscale(model: FloatModel, scaling: Scaling, outputs: Sequence[str]) -> FloatModel:
    scaled = [name for name in outputs if name in scaling]
    if not scaled:
        return model
    last = model.layers[-1]
    if not isinstance(last, FloatDense) or last.activation != "linear":
        raise ConversionError(
            f'output "{scaled[0]}" is a forecast of a scaled channel, but the last layer "{last.name}" is not linear '
            "and cannot be unscaled; name the outputs otherwise with --outputs, or end the network with a linear layer"
        )
    mean = np.array([scaling[name]["mean"] if name in scaling else 0.0 for name in outputs])
    std = np.array([scaling[name]["std"] if name in scaling else 1.0 for name in outputs])
    weights, bias = last.weights * std[:, None], last.bias * std + mean
    steps = last.scaled_steps("weights", std)
    unscaled = replace(
        last, weights=weights.astype(np.float32), bias=bias.astype(np.float32), int8_steps=steps
    )
    return replace(model, layers=(*model.layers[:-1], unscaled))
