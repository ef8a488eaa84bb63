"""The simple recurrent layer (Elman 1990)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.activation import CELL_ACTIVATIONS, check_exponent, narrowing
from edgelstm.layers.bounds import require_array, require_int32, require_one_of, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Rnn(Layer):
    """Simple recurrent layer, h = activation(inputs + hidden).

    Both products give Q15.16 before an activation that is bounded by 1, and h is Q0.15; before linear and relu they give
    real * 2**(exponent + 8), and h is int16 in steps of 2**-exponent.
    initial_hidden  int16 (units,), where it is not 0
    hidden_mask     int8 (units,), 0 where the layer does not see its own past
    """

    kind: ClassVar[str] = "rnn"
    inputs: RowProduct
    hidden: RowProduct
    activation: str = "tanh"
    exponent: int = 15
    initial_hidden: NDArray[np.int16] | None = field(default=None, kw_only=True)
    hidden_mask: NDArray[np.int8] | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        return self.hidden.columns

    @property
    def memory(self) -> None:
        return None

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        require_one_of(self.activation, CELL_ACTIVATIONS, f"{where}: activation")
        check_exponent(self.exponent, where)
        inputs = self.inputs.check(f"{where}: inputs", self.units, columns[0])
        hidden = self.hidden.check(f"{where}: hidden", self.units, self.units)
        require_int32(inputs + hidden, where)
        if self.initial_hidden is not None:
            require_array(self.initial_hidden, (self.units,), np.int16, f"{where}: initial_hidden")
        if self.hidden_mask is not None:
            require_array(self.hidden_mask, (self.units,), np.int8, f"{where}: hidden_mask")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.units))
        hidden = build.state_vector(self.units, initial=self.initial_hidden)
        build.product(self.inputs, 1, sources[0], z)
        build.product(self.hidden, 1, build.masked(hidden, self.hidden_mask), z, accumulate=True)
        build.activate(self.activation, self.units, z)
        build.narrow(z, narrowing(self.activation), hidden)
        return hidden
