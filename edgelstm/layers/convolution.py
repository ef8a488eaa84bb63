"""Layers over the last few samples, which they keep in a ring: causal convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.activation import ACTIVATIONS, check_exponent, narrowing
from edgelstm.layers.bounds import require, require_array, require_int32, require_one_of, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct, RowProduct
from edgelstm.reference import operations as op
from edgelstm.reference.ring import MAXIMUM, SUM

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_ROWS = 8192
POOLS = ("max", "average")


def check_stride(layer: Conv1d | Pool, rows: int, where: str) -> None:
    require(1 <= rows <= MAX_ROWS, f"{where}: reaches over {rows} samples, expected 1 to {MAX_ROWS}")
    require(1 <= layer.stride <= MAX_ROWS, f"{where}: stride is {layer.stride}, expected 1 to {MAX_ROWS}")
    require(0 <= layer.due < layer.stride, f"{where}: due is {layer.due}, expected less than its stride")


@dataclass(frozen=True, slots=True, eq=False)
class Conv1d(Layer):
    """Causal convolution over time: a product with the last `taps` samples, `dilation` apart, the newest last.

    product     columns are sample by sample; fixed points as in `Dense`
    stride,due  it gives a new output at every `stride`-th sample, first at sample `due`, and holds it in between
    initial     int16 (columns of its source,), what stands before the first sample where that is not 0
    """

    kind: ClassVar[str] = "conv1d"
    product: RowProduct
    taps: int
    dilation: int = 1
    activation: str = "linear"
    exponent: int = 15
    stride: int = field(default=1, kw_only=True)
    due: int = field(default=0, kw_only=True)
    initial: NDArray[np.int16] | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        return self.product.rows

    @property
    def _rows(self) -> int:
        return (self.taps - 1) * self.dilation + 1

    @property
    def memory(self) -> int:
        return self._rows - 1

    @property
    def rhythm(self) -> tuple[int, int]:
        return self.stride, self.due

    def multiply_adds(self, columns: Sequence[int]) -> float:
        del columns
        return self.weight_count / self.stride

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(self.taps >= 1 and self.dilation >= 1, f"{where}: {self.taps} taps, {self.dilation} apart")
        check_stride(self, self._rows, where)
        require_one_of(self.activation, ACTIVATIONS, f"{where}: activation")
        check_exponent(self.exponent, where)
        worst = self.product.check(f"{where}: product", None, self.taps * columns[0])
        require_int32(worst, f"{where}: product")
        if self.initial is not None:
            require_array(self.initial, (columns[0],), np.int16, f"{where}: initial")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        (source,) = sources
        ring = build.ring(source, self._rows, self.initial)

        def convolve() -> Vector:
            gathered = build.scratch_vector(self.taps * source.count)
            build.operation(op.GATHER, *ring, self.taps, self.dilation, gathered.place)
            z = build.scratch(build.padded(self.units))
            build.product(self.product, 1, gathered, z)
            build.activate(self.activation, self.units, z)
            return build.leave(z, self.units, bits=narrowing(self.activation))

        return build.now_and_then(self.stride, self.due, convolve)


@dataclass(frozen=True, slots=True, eq=False)
class Pool(Layer):
    """The largest or the average of each value over the last `window` samples, as real * 2**(exponent + 8).

    product     of the largest value, or of the sum
    stride,due  as in `Conv1d`
    initial     int16 (units,), what stands before the first sample where that is not 0
    """

    kind: ClassVar[str] = "pool"
    mode: str
    window: int
    product: ElementProduct
    exponent: int = 15
    stride: int = field(default=1, kw_only=True)
    due: int = field(default=0, kw_only=True)
    initial: NDArray[np.int16] | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        return self.product.count

    @property
    def memory(self) -> int:
        return self.window - 1

    @property
    def rhythm(self) -> tuple[int, int]:
        return self.stride, self.due

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(columns[0], where)
        require_one_of(self.mode, POOLS, f"{where}: mode")
        check_stride(self, self.window, where)
        check_exponent(self.exponent, where)
        largest = 32768 if self.mode == "max" else 32768 * self.window
        require_int32(self.product.check(f"{where}: product", columns[0], largest), f"{where}: product")
        if self.initial is not None:
            require_array(self.initial, (columns[0],), np.int16, f"{where}: initial")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        ring = build.ring(sources[0], self.window, self.initial)

        def pool() -> Vector:
            z = build.scratch(build.padded(self.units))
            mode = MAXIMUM if self.mode == "max" else SUM
            build.operation(op.POOL, *ring[:3], mode, build.elements(self.product), z)
            return build.leave(z, self.units, bits=8)

        return build.now_and_then(self.stride, self.due, pool)
