"""Clockwork recurrent layer (Koutník et al. 2014): groups of units that run at periods of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.activation import CELL_ACTIVATIONS, check_exponent, narrowing
from edgelstm.layers.bounds import require, require_array, require_int32, require_one_of, require_units
from edgelstm.layers.graph import MAX_PERIOD
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_GROUPS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Clockwork(Layer):
    """Units in groups, the fastest first; group g computes h = activation(inputs + hidden) at every `periods[g]`-th sample.

    A group sees itself and slower groups: its rows of `hidden` are zero in the columns of faster ones. Fixed points as in `Rnn`.
    hidden_mask  int8 (units,), 0 where the layer does not see its own past
    """

    kind: ClassVar[str] = "clockwork"
    inputs: RowProduct
    hidden: RowProduct
    sizes: tuple[int, ...]
    periods: tuple[int, ...]
    activation: str = "tanh"
    exponent: int = 15
    hidden_mask: NDArray[np.int8] | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        return self.hidden.columns

    @property
    def memory(self) -> None:
        return None

    def multiply_adds(self, columns: Sequence[int]) -> float:
        del columns
        total, first = 0.0, 0
        for size, period in zip(self.sizes, self.periods, strict=True):
            total += size * (self.inputs.columns + self.units - first) / period
            first += size
        return total

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        require(
            1 <= len(self.sizes) <= MAX_GROUPS,
            f"{where}: {len(self.sizes)} groups, expected 1 to {MAX_GROUPS}",
        )
        require(
            len(self.sizes) == len(self.periods),
            f"{where}: {len(self.sizes)} groups have {len(self.periods)} periods",
        )
        require(min(self.sizes) >= 1, f"{where}: a group has {min(self.sizes)} units")
        require(
            sum(self.sizes) == self.units,
            f"{where}: groups have {sum(self.sizes)} units, expected {self.units}",
        )
        for period in self.periods:
            require(1 <= period <= MAX_PERIOD, f"{where}: a period is {period}, expected 1 to {MAX_PERIOD}")
        require(
            list(self.periods) == sorted(self.periods),
            f"{where}: periods are {self.periods}, expected the fastest first",
        )
        require_one_of(self.activation, CELL_ACTIVATIONS, f"{where}: activation")
        check_exponent(self.exponent, where)
        inputs = self.inputs.check(f"{where}: inputs", self.units, columns[0])
        hidden = self.hidden.check(f"{where}: hidden", self.units, self.units)
        require_int32(inputs + hidden, where)
        if self.hidden_mask is not None:
            require_array(self.hidden_mask, (self.units,), np.int8, f"{where}: hidden_mask")
        first = 0
        for number, size in enumerate(self.sizes):
            require(
                not self.hidden.weights[first : first + size, :first].any(),
                f"{where}: group {number} sees a faster one",
            )
            first += size

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        hidden = build.state_vector(self.units)
        first = 0
        for size, period in zip(self.sizes, self.periods, strict=True):  # none reads what one before it wrote
            with build.every(period, 0):
                z, new = build.scratch(build.padded(size)), build.scratch_vector(size)
                build.product(self.inputs.part(first, first + size), 1, sources[0], z)
                seen, rows = build.masked(hidden, self.hidden_mask), self.hidden.part(first, first + size)
                if len(rows.multipliers) == 1:  # not split into column blocks: the zeros can be left out
                    seen_from = first - first % 4
                    seen = seen.part(seen_from, self.units - seen_from)
                    rows = RowProduct(
                        np.ascontiguousarray(rows.weights[:, seen_from:]),
                        rows.multipliers,
                        rows.shifts,
                        rows.bias,
                    )
                build.product(rows, 1, seen, z, accumulate=True)
                build.activate(self.activation, size, z)
                build.narrow(z, narrowing(self.activation), new)
                build.copy(new, hidden.part(first, size))
            first += size
        return hidden
