"""Layers over the last few samples: causal convolution and pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import Conv1d, Pool
from edgelstm.layers.activation import UNBOUNDED
from edgelstm.layers.layer import COMPUTED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatLayer, Floats, Quantised, held
from edgelstm_converters.quantize import (
    BOUNDED_FORM,
    Vector,
    element_product,
    output_form,
    reach_of,
    row_product,
)


@dataclass(frozen=True, slots=True, eq=False)
class FloatConv1d(FloatLayer):
    """Causal convolution over time. weights (o, i, taps), the newest sample last, as PyTorch has them; bias (o,).

    stride, due  a new output at every `stride`-th sample, first at sample `due`, held in between
    before       (i,), what stands before the first sample; none: zeros
    """

    kind: ClassVar[str] = "conv1d"
    weights: Floats
    bias: Floats
    dilation: int = 1
    activation: str = "linear"
    stride: int = field(default=1, kw_only=True)
    due: int = field(default=0, kw_only=True)
    before: Floats | None = field(default=None, kw_only=True)

    @property
    def span(self) -> int | None:
        return (self.taps - 1) * self.dilation + 1 if self.stride == 1 else None

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def units(self) -> int:
        return int(self.weights.shape[0])

    @property
    def taps(self) -> int:
        return int(self.weights.shape[2])

    @property
    def matrix(self) -> Floats:
        """The weights as (o, taps * i), sample by sample."""
        return np.ascontiguousarray(self.weights.transpose(0, 2, 1).reshape(self.units, -1))

    def matrix_of(self, name: str) -> Floats:
        return self.matrix if name == "weights" else getattr(self, name)

    def padded(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, float]]:
        return padded_channels(sources[0], self.before)

    def run(self, *sources: Floats) -> Floats:
        y = ACTIVATIONS[self.activation](self._rows(sources[0]) @ self.matrix.T + self.bias)
        return held(y, self.stride, self.due, len(sources[0]))

    def _rows(self, x: Floats) -> Floats:
        """Return the samples that each output is made of, one after another."""
        padded = with_history(x, (self.taps - 1) * self.dilation, self.before)
        parts = [padded[tap * self.dilation :][self.due : len(x) : self.stride] for tap in range(self.taps)]
        return np.concatenate(parts, axis=-1)

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatConv1d:
        with np.errstate(over="ignore", invalid="ignore"):  # refused when the layers are run
            wider = self.weights.astype(np.float64) / np.asarray(std)[:, None]
        bias = self.bias - wider.sum(axis=2) @ mean
        before = np.asarray(mean) if self.before is None else self.before * std + mean
        return replace(
            self,
            weights=wider.astype(np.float32),
            bias=bias.astype(np.float32),
            before=before.astype(np.float32),
        )

    def followed_by(self, factor: Floats, shift: Floats, activation: str) -> FloatConv1d | None:
        if self.activation != "linear":
            return None
        weights, bias = self.weights * factor[:, None, None], self.bias * factor + shift
        steps = self.scaled_steps("weights", factor)
        return replace(self, weights=weights, bias=bias, activation=activation, int8_steps=steps)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        source = Vector(np.tile(sources[0].step, self.taps), np.tile(sources[0].offset, self.taps))
        if sources[0].samples is not None:
            source = source.seeing(self._rows(seen[0]))
        form = BOUNDED_FORM
        if self.activation in UNBOUNDED:
            worst = np.abs(self.matrix.astype(np.float64) * source.step).sum(axis=1) * 32768.0
            worst += np.abs(self.bias + self.matrix @ source.offset)
            form = output_form(reach_of(given), float(worst.max()), read=read)
        product = row_product(
            self.name, self.matrix, self.bias, source, form.scale, steps=self.int8_steps.get("weights")
        )
        layer = Conv1d(
            self.name,
            product,
            self.taps,
            self.dilation,
            self.activation,
            form.exponent,
            stride=self.stride,
            due=self.due,
            initial=before_first(self.name, sources[0], self.before),
        )
        return Quantised.of(layer, form)


@dataclass(frozen=True, slots=True, eq=False)
class FloatPool(FloatLayer):
    """The largest ("max") or the average of each of `width` values over the last `window` samples.

    Before so many samples were seen, the largest is that of those there are, and the average counts zeros.
    stride, due  a new output at every `stride`-th sample, first at sample `due`, held in between
    """

    kind: ClassVar[str] = "pool"
    mode: str
    width: int
    window: int
    stride: int = field(default=1, kw_only=True)
    due: int = field(default=0, kw_only=True)

    @property
    def span(self) -> int | None:
        return self.window if self.stride == 1 else None

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        return self.width

    def padded(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, float]]:
        if self.mode == "average":
            yield from padded_channels(sources[0], None)

    def run(self, *sources: Floats) -> Floats:
        x = sources[0]
        fill = np.full(self.width, -np.inf if self.mode == "max" else 0.0, np.float32)
        padded = with_history(x, self.window - 1, fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=0)
        y = windows.max(axis=-1) if self.mode == "max" else windows.mean(axis=-1, dtype=np.float32)
        return held(y[self.due :: self.stride], self.stride, self.due, len(x))

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        (source,) = sources
        worst = float((source.step * 32768.0 + np.abs(source.offset)).max())
        form = output_form(reach_of(given), worst, read=read)
        none, of_pool = np.zeros(self.width, np.float32), source
        initial: NDArray[np.int16] | None = np.full(self.width, -32768, np.int16)
        if self.mode == "average":
            of_pool = Vector(source.step / self.window, source.offset)
            initial = before_first(self.name, source, None)
        one = np.ones(self.width, np.float32)
        product = element_product(self.name, one, none, of_pool, form.scale)
        layer = Pool(
            self.name,
            self.mode,
            self.window,
            product,
            form.exponent,
            stride=self.stride,
            due=self.due,
            initial=initial,
        )
        return Quantised.of(layer, form)


def with_history(x: Floats, rows: int, before: Floats | None) -> Floats:
    """Return `x` with `rows` samples of `before`, or of zeros, in front."""
    fill = np.zeros(x.shape[-1], np.float32) if before is None else before
    return np.concatenate([np.broadcast_to(fill, (rows, *x.shape[1:])), x])


def padded_channels(source: Sequence[int], before: Floats | None) -> Iterator[tuple[int, float]]:
    """Yield the channels of a source with what stands before them, `before` or zeros."""
    for number, channel in enumerate(source):
        if channel != COMPUTED:
            yield channel, 0.0 if before is None else float(before[number])


def before_first(name: str, source: Vector, before: Floats | None) -> NDArray[np.int16] | None:
    """Return what stands for `before`, or for zeros, as int16; None for int16 zeros.

    Raises ConversionError where it is not exactly a value of the source: channels are quantised so that it is.
    """
    real = np.zeros(len(source.step)) if before is None else before.astype(np.float64)
    q = (real - source.offset) / source.step
    for number in np.flatnonzero((q != np.rint(q)) | (np.abs(q) > 32767)):
        raise ConversionError(
            f'layer "{name}": {real[number]:g} stands before the first sample, which is none of the values that column {number} '
            "of what it reads can have"
        )
    return q.astype(np.int16) if q.any() else None
