"""Whether the layers that were read compute what the source computes, on random input with carried state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLayer, FloatLstm, FloatModel

Floats = NDArray[np.float32]
SAMPLES = 200
TOLERANCE = 1e-5


def probe(inputs: int, samples: int = SAMPLES) -> Floats:
    """Return the samples that source and reading are compared on, (samples, inputs)."""
    return np.random.default_rng(0).normal(0, 1, (samples, inputs)).astype(np.float32)


def largest_difference(model: FloatModel, x: Floats, expected: Floats) -> float:
    """Return the largest difference, relative to the largest output where that is above 1.

    expected  (samples, outputs), or (1, outputs) for a source that gives the last step only
    """
    found = model.run(x)[-len(expected) :]
    if found.shape != expected.shape:
        raise ConversionError(f"its output has shape {expected.shape}, but its layers give {found.shape}")
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def judge(engine: str, difference: float, samples: int, hint: str) -> str:
    """Return the line that says how well the reading is proved; raises ConversionError where it is not the same."""
    if not difference <= TOLERANCE:
        raise ConversionError(f"its layers do not give what {engine} gives (off by {difference:.2g}): {hint}")
    return f"{engine}: within {difference:.1e} over {samples} samples"


def first_line(exc: Exception) -> str:
    """Return what another library says went wrong, as far as one line goes."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)


def against_torch_layers(model: FloatModel) -> str:
    """Rebuild the layers as torch modules and compare; says so where torch is not installed."""
    try:
        import torch
    except ImportError:
        return "not proved: torch is not installed"
    x = probe(model.inputs)
    with torch.no_grad():
        y = torch.from_numpy(x)
        for layer in model.layers:
            y = _torch_layer(torch, layer)(y)
    return judge("torch", largest_difference(model, x, y.numpy()), len(x), "please report this")


def _torch_layer(torch: Any, layer: FloatLayer) -> Callable[[Any], Any]:
    def tensor(array: Floats) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array))

    if isinstance(layer, FloatDense):
        dense = layer
        activate = {"linear": lambda v: v, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
        return lambda v: activate[dense.activation](v @ tensor(dense.weights).T + tensor(dense.bias))
    if not isinstance(layer, FloatLstm | FloatGru):
        raise ConversionError(f'layer "{layer.name}" ({layer.kind}) cannot be compared with a torch module')
    kind = torch.nn.LSTM if isinstance(layer, FloatLstm) else torch.nn.GRU
    module = kind(layer.input_weights.shape[1], layer.units)
    if isinstance(layer, FloatLstm):
        biases = layer.bias, np.zeros_like(layer.bias)
    else:
        biases = layer.input_bias, layer.hidden_bias
    for name, array in zip(
        ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
        (layer.input_weights, layer.hidden_weights, *biases),
        strict=True,
    ):
        getattr(module, name).copy_(tensor(array))
    return lambda v: module(v)[0]
