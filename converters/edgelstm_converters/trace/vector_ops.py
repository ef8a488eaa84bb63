"""Operators on the vector of one sample as a whole: softmax, normalisation, the choice of a row of a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgelstm_converters.float_model import FloatDense, FloatLayer
from edgelstm_converters.layers import FloatEmbedding, FloatNormalization
from edgelstm_converters.trace.arithmetic_ops import by_row, numeric, product_of, sum_of
from edgelstm_converters.trace.expressions import Codes, Expression, constants, time_of
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, settled


def _vectors(
    walk: Walk, node: Node, codes: Codes, axis: int, make: Callable[[str, int], FloatLayer]
) -> Value:
    """Return what a layer gives for every vector along `axis`, which is as long as what it gives."""
    if axis % codes.ndim != codes.ndim - 1 and any(
        size != 1 for size in codes.shape[axis % codes.ndim + 1 :]
    ):
        raise node.refused(f"it goes along axis {axis} of {codes.ndim}, expected the values of one sample")
    moved = np.moveaxis(codes, axis, -1)
    size = moved.shape[-1]
    layer = walk.layer_of(node, lambda name: make(name, size))
    found = by_row(walk, moved, size, lambda row: Expression("layer", size, (row,), layer, layer.name))
    return settled(np.ascontiguousarray(np.moveaxis(found, -1, axis)))


def _softmax(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    def make(name: str, size: int) -> FloatLayer:
        return FloatDense(name, np.zeros((size, 0), np.float32), np.zeros(size, np.float32), "softmax")

    return [_vectors(walk, node, inputs[0].codes, int(node.attributes.get("axis", -1)), make)]


def _normalization(mode: str) -> Callable[[Walk, Node, list[Value]], list[Value]]:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """LayerNormalization, RMSNormalization and LpNormalization of ONNX, over the last axis."""
        codes = inputs[0].codes
        axis = int(node.attributes.get("axis", -1))
        epsilon = float(node.attributes.get("epsilon", 1e-12 if mode == "l2" else 1e-5))
        if node.attributes.get("p", 2) != 2 or any(isinstance(value, Traced) for value in inputs[1:]):
            raise node.refused("its norm is not that of squares, or its factors depend on the signal")

        def make(name: str, size: int) -> FloatLayer:
            given = [numeric(value).reshape(-1) for value in inputs[1:3] if value is not None]
            parts = [np.ones(size, np.float32), np.zeros(size, np.float32)]
            parts[: len(given)] = [np.broadcast_to(part, size).astype(np.float32) for part in given]
            return FloatNormalization(name, mode, parts[0], parts[1], epsilon)

        return [_vectors(walk, node, codes, axis, make), *[None] * (len(node.outputs) - 1)]

    return operator


def _instance_normalization(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html, and what GroupNorm of PyTorch becomes: each channel by itself.

    Over the values of one sample, as groups of them, it is layer normalisation; over a sequence it needs the samples to come.
    """
    codes, name = inputs[0].codes, node.label
    rows = codes.reshape(*codes.shape[:2], -1)
    times = time_of(rows)
    if (times != times[..., :1]).any():
        raise node.refused(
            "it normalises over all samples of a sequence, also those to come; LayerNorm goes over the values of one"
        )
    if rows.shape[-1] == 1:
        raise WrongAxis(str(node.refused("it normalises single values")))
    size, epsilon = rows.shape[-1], float(node.attributes.get("epsilon", 1e-5))
    one, none = np.ones(size, np.float32), np.zeros(size, np.float32)
    layer = walk.layer_of(node, lambda label: FloatNormalization(label, "layer", one, none, epsilon))
    found = by_row(walk, rows, size, lambda row: Expression("layer", size, (row,), layer, layer.name))
    scale, shift = (constants(numeric(value)[:, None]) for value in inputs[1:3])
    return [settled(sum_of(walk, product_of(walk, found, scale, name), shift, name).reshape(codes.shape))]


def embedding(walk: Walk, node: Node, table: Value, indices: Codes) -> Value:
    """Return the rows of a table (rows, units) that `indices` choose: of the input, whole numbers."""
    rows = numeric(table)
    if rows.ndim != 2 or node.attributes.get("axis", 0):
        raise node.refused("what it picks depends on the signal, and is no row of a table")
    if {walk.expressions.of(code).kind for code in np.unique(indices)} != {"input"}:
        raise node.refused("which row of a table it takes is computed; a channel of the input can choose it")
    layer = walk.layer_of(node, lambda name: FloatEmbedding(name, rows))
    found = by_row(
        walk,
        indices[..., None],
        layer.units,
        lambda row: Expression("layer", layer.units, (row,), layer, layer.name),
    )
    return settled(found)


VECTORS = {
    "Softmax": _softmax, "LayerNormalization": _normalization("layer"), "RMSNormalization": _normalization("rms"),
    "SimplifiedLayerNormalization": _normalization("rms"), "LpNormalization": _normalization("l2"),
    "InstanceNormalization": _instance_normalization,
}  # fmt: skip
