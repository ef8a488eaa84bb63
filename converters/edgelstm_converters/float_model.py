"""What every reader makes of a trained model: a graph of float32 layers, and the path through it.

Gate rows are in the order of this project, i f g o (LSTM) and r u n (GRU); `gate_order` brings them there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgelstm.layers import INPUT
from edgelstm_converters.layers import FloatDense, FloatGru, FloatLayer, FloatLstm
from edgelstm_converters.layers.float_layer import ACTIVATIONS, Floats

__all__ = ["ACTIVATIONS", "FloatDense", "FloatGru", "FloatLayer", "FloatLstm", "FloatModel", "Floats"]


@dataclass(frozen=True, slots=True, eq=False)
class FloatModel:
    """Float32 layers on `inputs` channels, each reading what its `sources` name, or the layer before it.

    heads  names of the layers whose values are the outputs; none: the last layer
    """

    inputs: int
    layers: tuple[FloatLayer, ...]
    heads: tuple[str, ...] = ()

    @property
    def head_names(self) -> tuple[str, ...]:
        return self.heads or (self.layers[-1].name,)

    @property
    def outputs(self) -> int:
        units = {layer.name: layer.units for layer in self.layers}
        return sum(units[head] for head in self.head_names)

    def sources_of(self, number: int) -> tuple[str, ...]:
        """Return the names of what layer `number` reads."""
        return self.layers[number].sources or (self.layers[number - 1].name if number else INPUT,)

    def run(self, x: Floats) -> Floats:
        """Return the outputs for every sample of (samples, inputs), state carried from sample to sample."""
        outputs = dict(zip((layer.name for layer in self.layers), self.run_layers(x), strict=True))
        return np.concatenate([outputs[head] for head in self.head_names], axis=1)

    def run_layers(self, x: Floats) -> list[Floats]:
        """Return what every layer gives for every sample, from the initial state on."""
        found = {INPUT: np.asarray(x, np.float32)}
        for number, layer in enumerate(self.layers):
            sources = [found[source][layer.phase :: layer.period] for source in self.sources_of(number)]
            found[layer.name] = _held(layer.run(*sources), layer, len(x))
        return [found[layer.name] for layer in self.layers]


def _held(y: Floats, layer: FloatLayer, samples: int) -> Floats:
    """Return what stands at the output of a layer at every sample: zero before it first runs, then held."""
    if layer.period == 1:
        return y
    held = np.zeros((samples, y.shape[1]), np.float32)
    held[layer.phase :] = np.repeat(y, layer.period, axis=0)[: samples - layer.phase]
    return held
