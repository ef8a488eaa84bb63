"""Float networks that have the weights of an int8 model, and all else as it was: what is lost beside the weights is the rest."""

import dataclasses
import sys
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from edgelstm.layers.products import COLUMN_BLOCK
from edgelstm_converters.conversion import ROUNDINGS
from edgelstm_converters.quantize import row_product

BIASES = {
    "weights": ("bias",),
    "input_weights": ("input_bias", "bias"),
    "hidden_weights": ("hidden_bias", "bias"),
    "projection_weights": ("projection_bias",),
    "query_weights": ("query_bias",),
    "key_weights": ("key_bias",),
    "value_weights": ("value_bias",),
}
"""Which matrices a layer may have, and in which field what is added to each of their rows stands: the first that there is."""


class Products:
    """Every product that a conversion has quantised, as float weights and what its bias gained, in the order of ROUNDINGS."""

    def __init__(self):
        self._found = {}

    @contextmanager
    def recorded(self):
        """Note what is quantised inside."""
        modules = [
            m for name, m in list(sys.modules.items()) if name.startswith("edgelstm_converters.layers.")
        ]
        with ExitStack() as stack:
            for module in modules:
                if hasattr(module, "row_product"):
                    stack.enter_context(mock.patch.object(module, "row_product", self._product))
            yield

    def _product(self, name, weights, bias, source, result_scale, *groups, **options):
        product = row_product(name, weights, bias, source, result_scale, *groups, **options)
        factors = product.multipliers * 2.0 ** (product.shifts - 31.0) / result_scale
        of_column = np.arange(product.columns) // COLUMN_BLOCK if len(factors) > 1 else [0] * product.columns
        real = product.weights * factors[of_column].T / source.step
        gained = product.bias / result_scale - real @ source.offset - bias
        self._found.setdefault(weights.tobytes(), []).append((real, gained))
        return product

    def into(self, model, rounding):
        """Return the float model with the weights of one of ROUNDINGS."""
        number = ROUNDINGS.index(rounding)
        return dataclasses.replace(model, layers=tuple(self._into(layer, number) for layer in model.layers))

    def _into(self, layer, number):
        changes = {}
        if hasattr(layer, "layers"):
            changes["layers"] = tuple(self._into(inner, number) for inner in layer.layers)
        for name, biases in BIASES.items():
            if getattr(layer, name, None) is not None:
                weights, gained = self._found[matrix_of(layer, name).tobytes()][number]
                bias = next(bias for bias in biases if hasattr(layer, bias))
                before = changes.get(bias, getattr(layer, bias))
                changes[name] = in_the_shape_of(layer, name, weights.astype(np.float32))
                changes[bias] = (gained + (0.0 if before is None else before)).astype(np.float32)
        return dataclasses.replace(layer, **changes)


def matrix_of(layer, name):
    """Return a matrix of weights as it is quantised."""
    if layer.kind == "conv1d":
        return layer.matrix
    if layer.kind == "clockwork" and name == "hidden_weights":
        return layer.seen_weights
    weights = getattr(layer, name)
    return np.ascontiguousarray(weights.reshape(len(weights), -1))


def in_the_shape_of(layer, name, matrix):
    """Undo `matrix_of`."""
    if layer.kind == "conv1d":
        return np.ascontiguousarray(matrix.reshape(len(matrix), layer.taps, -1).transpose(0, 2, 1))
    return matrix.reshape(getattr(layer, name).shape)
