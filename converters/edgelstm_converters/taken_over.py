"""Weights that a source holds as int8, in the layers that were read of it and in the int8 layers that they become."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgelstm.layers import INPUT, Layer, RowProduct
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatLayer
from edgelstm_converters.layers.float_layer import Floats
from edgelstm_converters.layers.graph import sources_of
from edgelstm_converters.whole_numbers import Doubles, steps_of


def with_steps(model: FloatModel, scales: Iterable[float], products: Sequence[Floats]) -> FloatModel:
    """Return the model whose layers know what of their matrices the source holds as int8, in steps of `scales`.

    products  matrices of the source, which layers may have with a factor for each of their rows
    """
    known = np.array(sorted(scales))
    if not known.size:
        return model
    held = [(product, steps_of(product, known)) for product in products]
    layers = []
    for layer in model.layers:
        found = {}
        for name in _matrices(layer):
            matrix = layer.matrix_of(name)
            steps = steps_of(matrix, known)
            rows = np.count_nonzero(matrix.any(axis=1))
            if np.count_nonzero(steps) < rows:
                parts = [_times(matrix, *pair) for pair in held if pair[0].shape == matrix.shape]
                steps = max((steps, *parts), key=np.count_nonzero)
            if 2 * np.count_nonzero(steps) > rows:  # not a few by chance
                found[name] = steps
        layers.append(replace(layer, int8_steps=found))
    return replace(model, layers=tuple(layers))


def _times(matrix: Floats, product: Floats, steps: Doubles) -> Doubles:
    """Return the steps of rows that are those of `product` times a number, 0 for the others."""
    largest = np.abs(product).argmax(axis=1)[:, None]
    of_row, of_product = (
        np.take_along_axis(part, largest, 1).astype(np.float64) for part in (matrix, product)
    )
    factor = np.divide(of_row, of_product, out=np.zeros_like(of_row), where=of_product != 0.0)
    same = np.abs(product * factor - matrix).max(axis=1, initial=0.0) <= CLOSE * np.abs(of_row[:, 0])
    result: Doubles = np.where(same, steps * np.abs(factor[:, 0]), 0.0)
    return result


def on_input(layers: Sequence[FloatLayer]) -> Iterator[tuple[Floats, Doubles | None]]:
    """Yield the matrices that `input` is multiplied with, also by layers inside of others, with their steps."""
    for number, layer in enumerate(layers):
        if INPUT in sources_of(layers, number):
            yield from on_input(getattr(layer, "layers", ()))
            for name in {"input_weights", "weights"}.intersection(_matrices(layer)):
                yield layer.matrix_of(name), layer.int8_steps.get(name)


def _matrices(layer: FloatLayer) -> Iterator[str]:
    for each in dataclasses.fields(layer):
        value = getattr(layer, each.name)
        if each.name.endswith("weights") and isinstance(value, np.ndarray) and value.ndim > 1:
            yield each.name


CLOSE = 1e-6
"""Of numbers that were multiplied in float32, relative to the largest."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """How many of the weights of a model have the bytes of its source, and why rows that were int8 there have others.

    changed  name of the layer, how many of its rows, why
    """

    weights: int
    kept: int
    changed: tuple[tuple[str, int, str], ...]

    def told(self) -> str:
        """Return the line of the report."""
        said = "".join(
            f'; {rows} rows of "{name}" are rounded anew: {why}' for name, rows, why in self.changed
        )
        return f"{self.kept:,} of {self.weights:,} weights have the bytes of the source's int8{said}"


NOT_INT8 = "they have a zero of their own or reach -128, and a row here is symmetric"
APART = "what they are multiplied with comes in steps that are too far apart for one, or was scaled"


def taken_over(float_model: FloatModel, layers: Sequence[Layer]) -> TakenOver | None:
    """Compare the bytes of int8 layers with those of the source; None where that has none."""
    kept, changed = 0, []
    for layer, int8 in _pairs(float_model.layers, layers):
        parts = [getattr(int8, each.name) for each in dataclasses.fields(int8)]
        products = [part.weights for part in parts if isinstance(part, RowProduct)]
        for name, steps in layer.int8_steps.items():
            matrix = layer.matrix_of(name)
            whole = np.rint(matrix / np.where(steps == 0.0, 1.0, steps)[:, None])
            same = [weights == whole for weights in products if weights.shape == whole.shape]
            held = (steps > 0.0) | ~matrix.any(axis=1)
            rows = max((part.all(axis=1) & held for part in same), key=np.count_nonzero)
            kept += int(rows.sum()) * matrix.shape[1]
            for why, among in ((NOT_INT8, steps < 0.0), (APART, (steps > 0.0) & ~rows)):
                if among.any():
                    changed.append((layer.name, int(among.sum()), why))
    total = sum(layer.weight_count for layer in layers)
    return TakenOver(total, kept, tuple(changed)) if kept or changed else None


def _pairs(given: Sequence[FloatLayer], made: Sequence[Layer]) -> Iterator[tuple[FloatLayer, Layer]]:
    """Yield float layers, also those inside of others, with the int8 layers of their names."""
    by_name = {layer.name: layer for layer in made}
    for layer in given:
        yield layer, by_name[layer.name]
        yield from _pairs(getattr(layer, "layers", ()), getattr(by_name[layer.name], "layers", ()))
