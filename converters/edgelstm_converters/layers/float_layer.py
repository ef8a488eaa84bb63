"""What the families have in common before quantisation: weights in float32, the float path, and how to leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers import Layer
from edgelstm.layers.layer import COMPUTED
from edgelstm_converters.quantize import Form, Vector

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quantised:
    """An int8 layer, how the int16 that it gives are read, and the scale of what it gives as an output of the model."""

    layer: Layer
    vector: Vector
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, layer: Layer, form: Form) -> Quantised:
        """Return what a layer gives whose values all have one form."""
        return cls(layer, Vector.uniform(layer.units, form.step), np.full(layer.units, form.unit))


@dataclass(frozen=True, slots=True, eq=False)
class FloatLayer(ABC):
    """A layer as it was trained. `sources`, `period`, `phase` and `when` mean what they mean in `edgelstm.layers.Layer`.

    int8_steps   of matrices that the source held as int8, by the name of their field: what one of the whole numbers of each row
                 stands for, as in `whole_numbers.steps_of`
    needs_plain  whether it can only read values that come in the same steps, without an offset
    """

    kind: ClassVar[str]
    needs_plain: ClassVar[bool] = False
    name: str
    sources: tuple[str, ...] = field(default=(), kw_only=True)
    period: int = field(default=1, kw_only=True)
    phase: int = field(default=0, kw_only=True)
    when: str = field(default="", kw_only=True)
    int8_steps: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def units(self) -> int:
        """How many values it gives."""

    @property
    def plain(self) -> bool:
        """Whether all its values come in the same steps, without an offset."""
        return True

    @property
    def span(self) -> int | None:
        """How many of the newest rows of its sources an output rests on; None where no number of rows is enough, and where it does
        not give a new output for every row."""
        return 1

    @property
    @abstractmethod
    def inputs(self) -> int:
        """How many values it takes from its first source."""

    def matrix_of(self, name: str) -> Floats:
        """Return the weights of a field as rows of what is multiplied with one vector."""
        weights: Floats = getattr(self, name)
        return np.ascontiguousarray(weights.reshape(len(weights), -1))

    def scaled_steps(self, name: str, factor: Floats) -> dict[str, NDArray[np.float64]]:
        """Return `int8_steps` of the layer whose rows of the field `name` are multiplied with `factor`."""
        return {key: step * np.abs(factor) if key == name else step for key, step in self.int8_steps.items()}

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        """Return what `edgelstm.layers.Layer.carried` does."""
        del sources
        return (COMPUTED,) * self.units

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        """Yield what `edgelstm.layers.Layer.tables` does."""
        del sources
        yield from ()

    def padded(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, float]]:
        """Yield which channels stand in the layer before the first sample, and with which value; sources as in `carried`."""
        del sources
        yield from ()

    @abstractmethod
    def run(self, *sources: Floats) -> Floats:
        """Return (samples, units) for every source's (samples, values), from the initial state on.

        Several streams at once are (samples, streams, values).
        """

    @abstractmethod
    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        """Return the int8 layer.

        sources  how what it reads is to be read
        seen     what calibration gave it to read, (samples, values) for each source
        given    what it gave for that, (samples, units)
        read     whether a layer reads its int16 output; if not, 32 bits leave as an output of the model

        Raises ConversionError where a value does not fit the arithmetic.
        """

    def with_scaled_input(self, mean: Floats, std: Floats) -> Self | None:
        """Return the layer that gives for x what this one gives for (x - mean) / std; None where there is none."""
        del mean, std
        return None

    def followed_by(self, factor: Floats, shift: Floats, activation: str) -> Self | None:
        """Return the layer that gives activation(factor * y + shift) where this one gives y; None where there is none."""
        del factor, shift, activation
        return None


@dataclass(frozen=True, slots=True, eq=False)
class FloatRecurrent(FloatLayer):
    """A layer that multiplies what it reads and its own hidden vector: input_weights (r, i), hidden_weights (r, h)."""

    input_weights: Floats
    hidden_weights: Floats

    @property
    def inputs(self) -> int:
        return int(self.input_weights.shape[1])

    @property
    def span(self) -> None:
        return None

    @property
    def hidden_units(self) -> int:
        return int(self.hidden_weights.shape[1])

    @property
    def units(self) -> int:
        return self.hidden_units

    def seeing_past(self, hidden: Vector, given: Floats) -> Vector:
        """Return how it reads its own past, with what that was where calibration saw it give (samples, ..., values)."""
        past = given[:-1, ..., : self.hidden_units]
        mask: Floats | None = getattr(self, "hidden_mask", None)
        return hidden.seeing(past if mask is None else past * mask)


def run_now_and_then(layer: FloatLayer, sources: Sequence[Floats], when: Floats | None) -> Floats:
    """Return what stands at the output of a layer at every sample: what it last gave, zeros before.

    sources  each (samples, ..., values)
    when     (samples, 1), the layer that it names, or None; with it there is one stream only
    """
    samples = len(sources[0])
    if when is None:
        y = layer.run(*(source[layer.phase :: layer.period] for source in sources))
        return held(y, layer.period, layer.phase, samples)
    runs = rows_of(layer, when)
    y = (
        layer.run(*(source[runs] for source in sources))
        if runs.any()
        else np.empty((0, layer.units), np.float32)
    )
    before = np.concatenate([np.zeros((1, layer.units), np.float32), y])
    result: Floats = before[np.cumsum(runs)]
    return result


def rows_of(layer: FloatLayer, when: Floats) -> NDArray[np.bool_]:
    """Return at which samples a layer runs, given what its `when` says at each, (samples, 1)."""
    due: NDArray[np.bool_] = np.arange(len(when)) % layer.period == layer.phase
    runs: NDArray[np.bool_] = due & (when[:, 0] != 0.0)
    return runs


def held(y: Floats, period: int, phase: int, samples: int) -> Floats:
    """Return what stands at an output at every one of `samples`: zero before it first runs, then the last of `y`."""
    if period == 1:
        return y
    found = np.zeros((samples, *y.shape[1:]), np.float32)
    found[phase:] = np.repeat(y, period, axis=0)[: samples - phase]
    return found


def sigmoid(z: Floats) -> Floats:
    result: Floats = np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * z))
    return result


def _linear(z: Floats) -> Floats:
    return z


def _relu(z: Floats) -> Floats:
    return np.maximum(z, np.float32(0.0))


def _tanh(z: Floats) -> Floats:
    result: Floats = np.tanh(z)
    return result


def _hard_sigmoid(z: Floats) -> Floats:
    result: Floats = np.clip(np.float32(0.2) * z + np.float32(0.5), np.float32(0.0), np.float32(1.0))
    return result


def _hard_sigmoid_6(z: Floats) -> Floats:
    result: Floats = np.clip(z / np.float32(6.0) + np.float32(0.5), np.float32(0.0), np.float32(1.0))
    return result


def softmax(z: Floats) -> Floats:
    """Return the softmax over the last axis."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


ACTIVATIONS = {
    "linear": _linear,
    "relu": _relu,
    "sigmoid": sigmoid,
    "tanh": _tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_sigmoid_6": _hard_sigmoid_6,
    "softmax": softmax,
}
"""The float functions of what `edgelstm.layers.activation` names."""


def scaled(weights: Floats, bias: Floats, mean: Floats, std: Floats) -> tuple[Floats, Floats]:
    """Return weights and bias that give for x what these give for (x - mean) / std."""
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # what is not finite is refused when the layers are run
        wider = weights.astype(np.float64) / std
        return wider.astype(np.float32), (bias - wider @ mean).astype(np.float32)


def scaled_elements(factor: Floats, shift: Floats, mean: Floats, std: Floats) -> tuple[Floats, Floats]:
    """Return factor and shift that give for x, element by element, what these give for (x - mean) / std."""
    with np.errstate(over="ignore", invalid="ignore"):  # as above
        wider = factor.astype(np.float64) / std
        return wider.astype(np.float32), (shift - wider * mean).astype(np.float32)
