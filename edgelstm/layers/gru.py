"""Gated recurrent unit (Cho et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.bounds import require_array, require_int32, require_range, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct
from edgelstm.reference import operations as op
from edgelstm.reference.fixed_point import rshift, saturate16

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Gru(Layer):
    """Gated recurrent unit layer; both products give Q15.16 rows in gate order r, u, n.

    state = n + u * (state - n). `reset_after`: r scales the hidden part of n (PyTorch, Keras default);
    otherwise r scales the hidden vector before the product (the original paper, ONNX default).
    hidden_mask    int8 (units,), 0 where the layer does not see its own past
    initial_state  int32 (units,), Q8.23, within 1: the state of a new stream where it is not 0
    """

    kind: ClassVar[str] = "gru"
    inputs: RowProduct
    hidden: RowProduct
    reset_after: bool = True
    hidden_mask: NDArray[np.int8] | None = field(default=None, kw_only=True)
    initial_state: NDArray[np.int32] | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        return self.hidden.columns

    @property
    def memory(self) -> None:
        return None

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        inputs = self.inputs.check(f"{where}: inputs", 3 * self.units, columns[0])
        hidden = self.hidden.check(f"{where}: hidden", 3 * self.units, self.units)
        require_int32(inputs, f"{where}: inputs")
        require_int32(hidden, f"{where}: hidden", bits=30 if self.reset_after else 31)  # r multiplies it
        require_int32(inputs + hidden, where)
        if self.hidden_mask is not None:
            require_array(self.hidden_mask, (self.units,), np.int8, f"{where}: hidden_mask")
        if self.initial_state is not None:
            require_array(self.initial_state, (self.units,), np.int32, f"{where}: initial_state")
            require_range(self.initial_state, -(2**23), 2**23, f"{where}: initial_state")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        units, stride = self.units, build.padded(self.units)
        z_inputs, z_hidden = build.scratch(3 * stride), build.scratch(3 * stride)
        state = build.blended_state(units, initial=self.initial_state)
        beginning = (
            None if self.initial_state is None else saturate16(rshift(self.initial_state.astype(np.int64), 8))
        )
        hidden = build.state_vector(units, derived_from=state, initial=beginning)
        build.product(self.inputs, 3, sources[0], z_inputs)
        seen = build.masked(hidden, self.hidden_mask)
        if self.reset_after:
            build.product(self.hidden, 3, seen, z_hidden)
        else:  # the new gate multiplies r * h, so its rows come after the reset gate is known
            reset = build.scratch_vector(units)
            build.product(self.hidden.part(0, 2 * units), 2, seen, z_hidden)
            build.operation(op.GRU_RESET, stride, z_inputs, z_hidden, hidden.half, reset.half)
            masked = build.masked(reset, self.hidden_mask)  # r * h is masked as h is
            build.product(self.hidden.part(2 * units, 3 * units), 1, masked, z_hidden + 2 * stride)
        build.operation(op.GRU_CELL, stride, z_inputs, z_hidden, state, hidden.half, int(self.reset_after))
        return hidden
