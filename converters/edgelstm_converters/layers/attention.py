"""Attention over the past: by a product (Luong et al. 2015, Vaswani et al. 2017) or additive (Bahdanau et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import Attention, RowProduct
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, softmax
from edgelstm_converters.quantize import (
    GATE_SCALE,
    Vector,
    finest_exponent,
    form_of,
    multipliers,
    row_product,
)

ADDITIVE_SCALE = 2.0**19
"""Of the products of additive keys, which are narrowed to Q4.11."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatAttention(FloatLayer):
    """softmax(scale * query . key) over the last `window` samples, times their values; per head.

    Each of queries, keys and values is weights (rows, inputs) @ x + bias (rows,), or what is read itself where there are no
    weights. Queries read the first source, keys and values the last one; `width` is how many values that gives.
    score_weights  (keys,): the score is score_weights . tanh(query + key) instead
    """

    kind: ClassVar[str] = "attention"
    needs_plain: ClassVar[bool] = True
    width: int
    heads: int
    window: int
    scale: float = 1.0
    query_weights: Floats | None = field(default=None, kw_only=True)
    query_bias: Floats | None = field(default=None, kw_only=True)
    key_weights: Floats | None = field(default=None, kw_only=True)
    key_bias: Floats | None = field(default=None, kw_only=True)
    value_weights: Floats | None = field(default=None, kw_only=True)
    value_bias: Floats | None = field(default=None, kw_only=True)
    score_weights: Floats | None = field(default=None, kw_only=True)

    @property
    def span(self) -> int:
        return self.window

    @property
    def inputs(self) -> int:
        return self.width if self.query_weights is None else int(self.query_weights.shape[1])

    @property
    def units(self) -> int:
        return self.width if self.value_weights is None else len(self.value_weights)

    def run(self, *sources: Floats) -> Floats:
        query, key, value = self._parts(sources)
        keys, values = (
            np.lib.stride_tricks.sliding_window_view(
                np.concatenate([np.zeros((self.window - 1, *part.shape[1:]), np.float32), part]),
                self.window,
                axis=0,
            )
            for part in (key, value)
        )  # (samples, ..., values, window), the newest last
        if self.score_weights is not None:
            scores = np.einsum("d,...dl->...l", self.score_weights, np.tanh(query[..., None] + keys))[
                ..., None, :
            ]
        else:
            by_head = query.reshape(*query.shape[:-1], self.heads, -1)
            scores = np.float32(self.scale) * np.einsum("...hd,...hdl->...hl", by_head, self._by_head(keys))
        age = np.arange(self.window - 1, -1, -1)
        samples = np.arange(len(query)).reshape(-1, *[1] * (scores.ndim - 1))
        weights = softmax(np.where(age <= samples, scores, np.float32(-np.inf)))
        context = np.einsum("...hl,...hdl->...hd", weights, self._by_head(values))
        return np.ascontiguousarray(context.reshape(*context.shape[:-2], -1), np.float32)

    def _by_head(self, rows: Floats) -> Floats:
        return rows.reshape(*rows.shape[:-2], self.heads, -1, rows.shape[-1])

    def _parts(self, sources: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
        query, key, value = (
            source if weights is None else source @ weights.T + self._bias(name)
            for name, source, weights in (
                ("query", sources[0], self.query_weights),
                ("key", sources[-1], self.key_weights),
                ("value", sources[-1], self.value_weights),
            )
        )
        return query, key, value

    def _bias(self, name: str) -> Floats:
        bias: Floats | None = getattr(self, f"{name}_bias")
        return np.zeros(len(getattr(self, f"{name}_weights")), np.float32) if bias is None else bias

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        query, key, value = self._parts(seen)
        queries: RowProduct | None
        keys: RowProduct | None
        if self.score_weights is not None:
            queries, _ = self._product("query", sources[0], GATE_SCALE)
            keys, _ = self._product("key", sources[-1], ADDITIVE_SCALE)
            values, step = self._narrowed("value", sources[-1], value)
            layer = Attention(
                self.name, 1, self.window, 0, 0, self._width(),
                queries=queries, keys=keys, values=values, score_weights=self._integer_score_weights(),
            )  # fmt: skip
        else:
            queries, query_step = self._narrowed("query", sources[0], query)
            keys, key_step = self._narrowed("key", sources[-1], key)
            values, step = self._narrowed("value", sources[-1], value)
            factor = np.array([query_step * key_step * self.scale * 2.0**28])
            (multiplier,), (shift,) = multipliers(self.name, factor, 1.0)
            layer = Attention(
                self.name, self.heads, self.window, int(multiplier), int(shift), self._width(),
                queries=queries, keys=keys, values=values,
            )  # fmt: skip
        return Quantised(layer, Vector.uniform(self.units, step), np.full(self.units, step * 2.0**-8))

    def _width(self) -> int:
        return self.width if self.value_weights is None else 0

    def _product(self, name: str, source: Vector, scale: float) -> tuple[RowProduct, float]:
        weights = getattr(self, f"{name}_weights")
        steps = self.int8_steps.get(f"{name}_weights")
        return row_product(self.name, weights, self._bias(name), source, scale, steps=steps), scale

    def _narrowed(self, name: str, source: Vector, found: Floats) -> tuple[RowProduct | None, float]:
        """Return the product, if there is one, and the steps of what comes of it."""
        if getattr(self, f"{name}_weights") is None:
            return None, float(source.step[0])
        form = form_of(finest_exponent(float(np.abs(found).max())))
        product, _ = self._product(name, source, form.scale)
        return product, form.step

    def _integer_score_weights(self) -> NDArray[np.int32]:
        assert self.score_weights is not None
        rounded = np.rint(self.score_weights.astype(np.float64) * 2.0**17)
        if np.abs(rounded).max() >= 2.0**30:
            raise ConversionError(
                f'layer "{self.name}": its score weights reach {np.abs(self.score_weights).max():.3g}, expected less than 8192'
            )
        return rounded.astype(np.int32)
