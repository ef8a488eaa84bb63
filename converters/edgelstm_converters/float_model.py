"""What every reader makes of a trained model: float32 layers in a chain, and the path through them.

Gate rows are in the order of this project, i f g o (LSTM) and r u n (GRU); `gate_order` brings them there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
State = list[tuple[Floats, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class FloatLstm:
    """Long short-term memory layer. input_weights (4h, i), hidden_weights (4h, h), bias (4h,)."""

    kind: ClassVar[str] = "lstm"
    name: str
    input_weights: Floats
    hidden_weights: Floats
    bias: Floats

    @property
    def inputs(self) -> int:
        return int(self.input_weights.shape[1])

    @property
    def units(self) -> int:
        return int(self.hidden_weights.shape[1])

    def initial(self) -> tuple[Floats, ...]:
        return np.zeros(self.units, np.float32), np.zeros(self.units, np.float32)

    def run(self, x: Floats, state: tuple[Floats, ...]) -> tuple[Floats, tuple[Floats, ...]]:
        """Return (samples, h) for (samples, i), and the state after it."""
        hidden, cell = state
        parts = x @ self.input_weights.T + self.bias
        y = np.empty((len(x), self.units), np.float32)
        for t, part in enumerate(parts):
            i, f, g, o = np.split(part + self.hidden_weights @ hidden, 4)
            cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
            hidden = _sigmoid(o) * np.tanh(cell)
            y[t] = hidden
        return y, (hidden, cell)


@dataclass(frozen=True, slots=True, eq=False)
class FloatGru:
    """Gated recurrent unit. input_weights (3h, i), hidden_weights (3h, h), both biases (3h,)."""

    kind: ClassVar[str] = "gru"
    name: str
    input_weights: Floats
    hidden_weights: Floats
    input_bias: Floats
    hidden_bias: Floats
    reset_after: bool = True

    @property
    def inputs(self) -> int:
        return int(self.input_weights.shape[1])

    @property
    def units(self) -> int:
        return int(self.hidden_weights.shape[1])

    def initial(self) -> tuple[Floats, ...]:
        return (np.zeros(self.units, np.float32),)

    def run(self, x: Floats, state: tuple[Floats, ...]) -> tuple[Floats, tuple[Floats, ...]]:
        """Return (samples, h) for (samples, i), and the state after it."""
        (hidden,) = state
        h = self.units
        parts = x @ self.input_weights.T + self.input_bias
        gates, new = self.hidden_weights[: 2 * h], self.hidden_weights[2 * h :]
        y = np.empty((len(x), h), np.float32)
        for t, part in enumerate(parts):
            r, u = np.split(_sigmoid(part[: 2 * h] + gates @ hidden + self.hidden_bias[: 2 * h]), 2)
            if self.reset_after:
                recurrent = r * (new @ hidden + self.hidden_bias[2 * h :])
            else:
                recurrent = new @ (r * hidden) + self.hidden_bias[2 * h :]
            n = np.tanh(part[2 * h :] + recurrent)
            hidden = n + u * (hidden - n)
            y[t] = hidden
        return y, (hidden,)


@dataclass(frozen=True, slots=True, eq=False)
class FloatDense:
    """Fully connected layer. weights (o, i), bias (o,); activation linear, relu, sigmoid or tanh."""

    kind: ClassVar[str] = "dense"
    name: str
    weights: Floats
    bias: Floats
    activation: str = "linear"

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def units(self) -> int:
        return int(self.weights.shape[0])

    def initial(self) -> tuple[Floats, ...]:
        return ()

    def run(self, x: Floats, state: tuple[Floats, ...]) -> tuple[Floats, tuple[Floats, ...]]:
        """Return (samples, o) for (samples, i)."""
        return ACTIVATIONS[self.activation](x @ self.weights.T + self.bias), state


FloatLayer = FloatLstm | FloatGru | FloatDense


@dataclass(frozen=True, slots=True, eq=False)
class FloatModel:
    """A chain of float32 layers on `inputs` channels."""

    inputs: int
    layers: tuple[FloatLayer, ...]

    @property
    def outputs(self) -> int:
        return self.layers[-1].units

    def initial(self) -> State:
        return [layer.initial() for layer in self.layers]

    def run(self, x: Floats) -> Floats:
        """Return the output for every sample of (samples, inputs), state carried from sample to sample."""
        return self.run_layers(x)[-1]

    def run_layers(self, x: Floats) -> list[Floats]:
        """Return what every layer gives for every sample, from the initial state on."""
        outputs = []
        for layer in self.layers:
            x, _ = layer.run(np.asarray(x, np.float32), layer.initial())
            outputs.append(x)
        return outputs


def _sigmoid(z: Floats) -> Floats:
    result: Floats = np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * z))
    return result


def _linear(z: Floats) -> Floats:
    return z


def _relu(z: Floats) -> Floats:
    return np.maximum(z, np.float32(0.0))


def _tanh(z: Floats) -> Floats:
    result: Floats = np.tanh(z)
    return result


ACTIVATIONS = {"linear": _linear, "relu": _relu, "sigmoid": _sigmoid, "tanh": _tanh}
