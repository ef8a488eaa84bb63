"""Attention over the past: by a product (Luong et al. 2015, Vaswani et al. 2017) or additive (Bahdanau et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.bounds import require, require_array, require_int32, require_range, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_WINDOW = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Attention(Layer):
    """The values of the last `window` samples, weighted by the softmax of the scores of their keys for the newest query.

    It reads what queries are made of, and, if there is a second source, what keys and values are made of. Each is a product,
    narrowed by 8 bits, or the source itself; keys and values are kept in rings. Parts of them are `heads` of their own.

    multiplier, shift  a score in Q15.16 is mulr(sat32(rshift(query . key, 12) << shift), multiplier)
    score_weights      int32, in units of 2**-17: the score is sum(weight * tanh(query + key)) instead, with queries in Q15.16 and
                       keys in Q4.11 (their product gives real * 2**19), and one head
    """

    kind: ClassVar[str] = "attention"
    heads: int
    window: int
    multiplier: int
    shift: int
    queries: RowProduct | None = field(default=None, kw_only=True)
    keys: RowProduct | None = field(default=None, kw_only=True)
    values: RowProduct | None = field(default=None, kw_only=True)
    score_weights: NDArray[np.int32] | None = field(default=None, kw_only=True)
    width: int = 0

    @property
    def units(self) -> int:
        return self.values.rows if self.values is not None else self.width

    @property
    def memory(self) -> int:
        return self.window - 1

    def multiply_adds(self, columns: Sequence[int]) -> float:
        """Those of its weights, and of int16 a row of keys and one of values for each sample of the window."""
        keys = self.keys.rows if self.keys is not None else columns[-1]
        return self.weight_count + self.window * (keys + self.units)

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(len(columns) <= 2, f"{where}: reads {len(columns)} layers, expected 1 or 2")
        require(
            1 <= self.window <= MAX_WINDOW, f"{where}: window is {self.window}, expected 1 to {MAX_WINDOW}"
        )
        require(0 <= self.multiplier < 2**30, f"{where}: multiplier is {self.multiplier}")
        require(0 <= self.shift <= 30, f"{where}: shift is {self.shift}, expected 0 to 30")
        widths = []
        for name, read in (("queries", columns[0]), ("keys", columns[-1]), ("values", columns[-1])):
            product = getattr(self, name)
            widths.append(read if product is None else product.rows)
            if product is not None:
                worst = product.check(f"{where}: {name}", None, read)
                bits = 30 if name == "queries" and self.score_weights is not None else 31
                require_int32(worst, f"{where}: {name}", bits)
        queries, keys, values = widths
        require(queries == keys, f"{where}: queries have {queries} values, keys {keys}")
        require_units(keys, where)
        require(
            self.values is not None or self.width == values,
            f"{where}: width is {self.width}, expected {values}",
        )
        require_units(self.units, where)
        for count, what in ((keys, "keys"), (self.units, "values")):
            require(
                self.heads >= 1 and count % self.heads == 0,
                f"{where}: {count} values of {what} are no {self.heads} heads",
            )
        if self.score_weights is not None:
            require(self.queries is not None and self.keys is not None, f"{where}: has no queries or keys")
            require(self.heads == 1, f"{where}: {self.heads} heads, expected 1 where scores are additive")
            require_array(self.score_weights, (keys,), np.int32, f"{where}: score_weights")
            require_range(self.score_weights, 1 - 2**30, 2**30 - 1, f"{where}: score_weights")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        keys = build.ring(_narrowed(build, self.keys, sources[-1]), self.window)
        values = build.ring(_narrowed(build, self.values, sources[-1]), self.window)
        count = build.state(1, np.int32, low=0, high=self.window)
        build.operation(op.COUNT_UP, count, self.window)
        scores = build.scratch(build.padded(self.heads * self.window))
        if self.score_weights is None:
            query = _narrowed(build, self.queries, sources[0])
            build.operation(
                op.SCORE_DOT, query.place, *keys, count, self.heads, self.multiplier, self.shift, scores
            )
        else:
            assert self.queries is not None
            word = _product(build, self.queries, sources[0])
            weights = build.constant(self.score_weights)
            build.operation(op.SCORE_ADDITIVE, word, *keys, count, weights, scores)
        z = build.scratch(build.padded(self.units))
        build.operation(op.ATTEND, scores, *values, count, self.heads, z)
        return build.leave(z, self.units, bits=8)


def _product(build: Builder, product: RowProduct, source: Vector) -> int:
    z = build.scratch(build.padded(product.rows))
    build.product(product, 1, source, z)
    return z


def _narrowed(build: Builder, product: RowProduct | None, source: Vector) -> Vector:
    if product is None:
        return source
    vector = build.scratch_vector(product.rows)
    build.narrow(_product(build, product, source), 8, vector)
    return vector
