"""A converted model: named channels, frozen integer layers, and what was measured at conversion.

Nothing here computes; `edgelstm.program` lowers a model to what the kernels run.
Gate rows are always stacked in the order i, f, g, o (LSTM) or r, u, n (GRU: reset, update, new).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import DetectorSettings

COLUMN_BLOCK = 512
"""Columns that share one scale and one accumulator once a row has to be split."""

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")
"""Of dense layers, in the order of their codes in a program."""


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input: `x_q = sat16(rint((x - offset) * gain))`, in IEEE float32, each step rounded."""

    name: str
    unit: str = ""
    offset: float = 0.0
    gain: float = 1.0


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An output: `y = float32(q) * scale`, in IEEE float32."""

    name: str
    unit: str = ""
    scale: float


class LayerErrors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the quantised layer lost against its float original on the calibration data."""

    layer: str
    snr_db: float
    max_error: float
    saturated: int


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model file comes from, and what was measured when it was made."""

    source: str = ""
    source_sha256: str = ""
    converter: str = ""
    calibration: str = ""
    calibration_sha256: str = ""
    calibration_samples: int = 0
    output_snr_db: float | None = None
    layers: tuple[LayerErrors, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RowProduct:
    """A matrix of int8 rows with one scale per row, times a vector of int16.

    weights      int8  (rows, columns)   |w| <= 127
    multipliers  int32 (blocks, rows)    0 <= M < 2**30
    shifts       int32 (blocks, rows)    0 <= s <= 30
    bias         int32 (rows,)

    result[r] = bias[r] + sum over blocks b of mulr(sat32(acc[b, r] << shifts[b, r]), multipliers[b, r])
    One block covers all columns; with several, block b covers columns 512*b to 512*(b+1).
    """

    weights: NDArray[np.int8]
    multipliers: NDArray[np.int32]
    shifts: NDArray[np.int32]
    bias: NDArray[np.int32]

    @property
    def rows(self) -> int:
        return int(self.weights.shape[0])

    @property
    def columns(self) -> int:
        return int(self.weights.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Lstm:
    """Long short-term memory layer; both products give Q15.16 rows in gate order i, f, g, o."""

    kind: ClassVar[str] = "lstm"
    name: str
    inputs: RowProduct
    hidden: RowProduct

    @property
    def units(self) -> int:
        return self.hidden.columns


@dataclass(frozen=True, slots=True, eq=False)
class Gru:
    """Gated recurrent unit layer; both products give Q15.16 rows in gate order r, u, n.

    state = n + u * (state - n). `reset_after`: r scales the hidden part of n (PyTorch, Keras default);
    otherwise r scales the hidden vector before the product (the original paper, ONNX default).
    """

    kind: ClassVar[str] = "gru"
    name: str
    inputs: RowProduct
    hidden: RowProduct
    reset_after: bool = True

    @property
    def units(self) -> int:
        return self.hidden.columns


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Fully connected layer. `activation` is linear, relu, sigmoid or tanh.

    sigmoid, tanh: the product gives Q15.16; the activation is Q0.31 and leaves as Q0.15.
    linear, relu: the product gives real * 2**(exponent + 8) and leaves as int16 = sat16(rshift(v, 8));
    as the last layer of a model the 32-bit value leaves directly, scaled by `Output.scale`.
    """

    kind: ClassVar[str] = "dense"
    name: str
    product: RowProduct
    activation: str = "linear"
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.product.rows


Layer = Lstm | Gru | Dense


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A chain of layers from `channels` to `outputs`; immutable, shared by any number of streams."""

    channels: tuple[Channel, ...]
    outputs: tuple[Output, ...]
    layers: tuple[Layer, ...]
    name: str = "model"
    provenance: Provenance = field(default_factory=Provenance)
    detector_settings: DetectorSettings | None = None
