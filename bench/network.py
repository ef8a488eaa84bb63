"""The network that every contender steps: an LSTM layer and a dense output, random float32 weights, one seed.

Gate rows are in the order i, f, g, o. `reference` is what a contender's outputs are compared with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """input_weights (4h, inputs), hidden_weights (4h, h), bias (4h,), dense_weights (outputs, h), dense_bias (outputs,)"""

    input_weights: Floats
    hidden_weights: Floats
    bias: Floats
    dense_weights: Floats
    dense_bias: Floats

    @property
    def hidden(self) -> int:
        return self.hidden_weights.shape[1]

    @property
    def inputs(self) -> int:
        return self.input_weights.shape[1]

    @property
    def outputs(self) -> int:
        return self.dense_weights.shape[0]

    def gates(self, rows: Floats) -> list[Floats]:
        """Return the rows of i, f, g and o."""
        return np.split(rows, 4)


def make(hidden: int, inputs: int, outputs: int = 1) -> Network:
    """Weights uniform within 1/sqrt(hidden), as PyTorch begins; inputs count for more, so that the state moves."""
    rng = np.random.default_rng(hidden)

    def uniform(spread: float, *shape: int) -> Floats:
        return rng.uniform(-spread, spread, shape).astype(np.float32)

    spread = hidden**-0.5
    return Network(
        uniform(2 * spread, 4 * hidden, inputs),
        uniform(spread, 4 * hidden, hidden),
        uniform(spread, 4 * hidden),
        uniform(spread, outputs, hidden),
        uniform(spread, outputs),
    )


def signal(inputs: int, samples: int) -> Floats:
    """Return (samples, inputs): slow waves with noise on them."""
    rng = np.random.default_rng(samples)
    phase = np.arange(samples)[:, None] / (20 + 10 * np.arange(inputs))
    return (np.sin(phase) + 0.3 * rng.normal(size=(samples, inputs))).astype(np.float32)


def reference(network: Network, x: Floats) -> NDArray[np.float64]:
    """Run the network in float64 from a zero state: (samples, inputs) to (samples, outputs)."""
    wx, wh, b = (
        part.astype(np.float64) for part in (network.input_weights, network.hidden_weights, network.bias)
    )
    h, c, outputs = np.zeros(network.hidden), np.zeros(network.hidden), []
    for sample in x.astype(np.float64):
        i, f, g, o = np.split(wx @ sample + wh @ h + b, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(network.dense_weights.astype(np.float64) @ h + network.dense_bias)
    return np.array(outputs)


def ranges(network: Network, x: Floats) -> tuple[float, float]:
    """Return the largest |h| and |c| over a run in float64, which a static int8 quantisation needs."""
    wx, wh, b = network.input_weights, network.hidden_weights, network.bias
    h, c, largest = np.zeros(network.hidden), np.zeros(network.hidden), np.zeros(2)
    for sample in x.astype(np.float64):
        i, f, g, o = np.split(wx @ sample + wh @ h + b, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        largest = np.maximum(largest, [np.abs(h).max(), np.abs(c).max()])
    return float(largest[0]), float(largest[1])
