"""Layers that are stepped on what they gave themselves: the decoder of a sequence to sequence network (Sutskever et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT, Decoder, Layer
from edgelstm.layers.decoder import SYMBOL_STEPS, widths_of
from edgelstm_converters.layers.float_layer import FloatLayer, FloatRecurrent, Floats, Quantised
from edgelstm_converters.layers.graph import quantize_layers, sources_of, with_plain_sources
from edgelstm_converters.layers.lstm import FloatLstm
from edgelstm_converters.quantize import Vector, element_product, finest_exponent, form_of, reach_of


@dataclass(frozen=True, slots=True, eq=False)
class FloatDecoder(FloatLayer):
    """Inner layers, stepped `steps` times from states that the source gives; `input` names what they are given at a step.

    begins    names of recurrent layers, whose states are the values of the source one after another: hidden vector, and of an
              LSTM its cells behind it
    feedback  name of the layer that is given back, and leaves, row by row. With `symbols` it is the number of its largest value
    start     what is given at the first step: one number of a symbol, or values
    end       the symbol that ends the output and fills what is left of it; -1 for none
    """

    kind: ClassVar[str] = "decoder"
    layers: tuple[FloatLayer, ...]
    steps: int
    feedback: str
    begins: tuple[str, ...]
    start: Floats
    symbols: bool = True
    end: int = field(default=-1, kw_only=True)

    @property
    def inputs(self) -> int:
        return sum(sum(_widths(layer)) for layer in self._begun())

    @property
    def width(self) -> int:
        return len(self.start)

    @property
    def units(self) -> int:
        return self.steps * self.width

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        del sources
        yield from ()

    def run(self, *sources: Floats) -> Floats:
        values = self._run_inside(sources[0], self.layers)
        rows = self._given_back(values[self.feedback])  # (steps, samples, width)
        return np.ascontiguousarray(np.moveaxis(rows, 0, -2).reshape(*rows.shape[1:-1], -1), np.float32)

    def _run_inside(self, source: Floats, layers: Sequence[FloatLayer]) -> dict[str, Floats]:
        """Return what `input` and every inner layer gives at every step: (steps, samples, values)."""
        beginnings = self._beginnings(source)
        begun = [replace(layer, **beginnings.get(layer.name, {})) for layer in layers]
        given = np.broadcast_to(self.start.astype(np.float32), (1, *source.shape[:-1], self.width))
        for _ in range(self.steps):
            values = {INPUT: given}
            for number, layer in enumerate(begun):
                values[layer.name] = layer.run(*(values[name] for name in sources_of(layers, number)))
            given = np.concatenate([given[:1], self._given_back(values[self.feedback])])
        return values

    def _given_back(self, y: Floats) -> Floats:
        """Return what is given back after every step, (steps, samples, width)."""
        if not self.symbols:
            return y
        rows = y.argmax(axis=-1)
        if self.end >= 0:
            ended = np.cumsum(rows == self.end, axis=0) > 0
            rows = np.where(ended, self.end, rows)
        result: Floats = rows[..., None].astype(np.float32)
        return result

    def _begun(self) -> list[FloatRecurrent]:
        by_name = {layer.name: layer for layer in self.layers}
        found = [by_name.get(name) for name in self.begins]
        for name, layer in zip(self.begins, found, strict=True):
            if not isinstance(layer, FloatRecurrent):
                raise ConversionError(
                    f'layer "{self.name}": begins the state of "{name}", which is no recurrent layer of it'
                )
        return [layer for layer in found if isinstance(layer, FloatRecurrent)]

    def _beginnings(self, source: Floats) -> dict[str, dict[str, Any]]:
        """Return the states, parts of the source (samples, values), that layers begin with, by the names of layers and fields."""
        found, first = {}, 0
        for layer in self._begun():
            widths = _widths(layer)
            parts = np.split(source[..., first : first + sum(widths)], np.cumsum(widths)[:-1], axis=-1)
            found[layer.name] = dict(zip(("initial_hidden", "initial_cell"), parts, strict=False))
            first += sum(widths)
        return found

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        fed, start = self._form_of_given(reach_of(given))
        layers = with_plain_sources(self.layers, self.width)
        values = self._run_inside(seen[0], layers)
        begun = {name: parts["initial_hidden"] for name, parts in self._beginnings(seen[0]).items()}
        if sources[0].samples is not None:
            fed = fed.seeing(values[INPUT])
        inner = quantize_layers(layers, fed, values, frozenset({self.feedback}), begun=begun)
        by_name = {quantised.layer.name: quantised for quantised in inner}
        scales = [self._begin_scales(by_name[name].layer, by_name[name].vector) for name in self.begins]
        factors = np.concatenate(scales).astype(np.float32)
        begin = element_product(self.name, factors, np.zeros(self.inputs, np.float32), sources[0], 1.0)
        feed = None
        if not self.symbols:
            one, none = np.ones(self.width, np.float32), np.zeros(self.width, np.float32)
            source = by_name[self.feedback].vector
            feed = element_product(self.name, one, none, source, 2.0**8 / float(fed.step[0]))
        layer = Decoder(
            self.name,
            tuple(quantised.layer for quantised in inner),
            self.steps,
            self.feedback,
            self.begins,
            begin,
            start,
            self.end,
            feed=feed,
        )
        vector = Vector.uniform(self.units, float(fed.step[0]))
        return Quantised(layer, vector, vector.step)

    def _form_of_given(self, reach: float) -> tuple[Vector, Any]:
        """Return how what is given to a step is to be read, and what is given to the first."""
        step = 1.0 / SYMBOL_STEPS
        if not self.symbols:
            step = form_of(finest_exponent(max(reach, float(np.abs(self.start).max())))).step
        start = np.rint(self.start.astype(np.float64) / step).astype(np.int16)
        return Vector.uniform(self.width, step), start

    @staticmethod
    def _begin_scales(layer: Layer, hidden: Vector) -> Any:
        """Return what each value of a state is multiplied with: 2**8 steps of a hidden vector, 2**23 of a cell."""
        widths = widths_of(layer)
        scales = 2.0**8 / float(hidden.step[0]), 2.0**23
        return np.concatenate([np.full(width, scale) for width, scale in zip(widths, scales, strict=False)])


def _widths(layer: FloatRecurrent) -> tuple[int, ...]:
    return (layer.hidden_units, layer.cells) if isinstance(layer, FloatLstm) else (layer.hidden_units,)
