"""Operators over all samples of a sequence: attention, and the mean or largest of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.layers import FloatAttention, FloatPool
from edgelstm_converters.trace.arithmetic_ops import ARITHMETIC, by_row, numeric, product_of
from edgelstm_converters.trace.expressions import Codes, Expression, constants, relative, time_of, vector
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.layout_ops import listed
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, codes_of

PARTS = ("query_weights", "query_bias", "key_weights", "key_bias", "value_weights", "value_bias")


def is_sequence(codes: Codes) -> bool:
    """Whether the first axis of `codes` is that of the samples, one after another."""
    if len(codes) < 2:
        return False
    rows = codes.reshape(len(codes), -1)
    times = time_of(rows)
    return bool((np.diff(times.max(axis=1)) == 1).all() and (times.max(axis=1) > 0).all())


def pooled(walk: Walk, node: Node, codes: Codes, axis: int, mode: str) -> Codes | None:
    """Return the mean ("average") or the largest ("max") along the axis of time, None where `axis` is not that."""
    rows = np.moveaxis(codes, axis, 0)
    if not is_sequence(rows):
        return None
    shape = rows.shape[1:]
    batch, width = (shape[0], int(np.prod(shape[1:]))) if len(shape) > 1 else (1, shape[0])
    layer = walk.layer_of(node, lambda name: FloatPool(name, mode, width, len(rows)))
    walk.expressions.over_all.append(node.label)
    newest = rows[-1].reshape(batch, width)
    found = by_row(walk, newest, width, lambda row: Expression("layer", width, (row,), layer, layer.name))
    return found.reshape(shape)


def _rows(node: Node, what: str, codes: Codes) -> tuple[Codes, Codes]:
    """Return what stands at the newest row of (batch, rows, values), relative, and the steps + 1 of the rows."""
    if codes.ndim != 3:
        raise node.refused(f"its {what} have {codes.ndim} axes, expected batch, samples and values")
    if (codes != codes[:1]).any():
        raise WrongAxis(f"the axis of the batch is taken for that of time by the {what} of {node.label}")
    times = time_of(codes[0]).max(axis=1)
    if (np.diff(times) != 1).any() or times[0] < 1:
        raise node.refused(f"its {what} are no samples one after another")
    return relative(codes[0, -1], int(times[-1])), times


def _attention(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Attention along time: queries, keys and values (batch, samples, values), then constants as in PARTS, and score weights.

    A layer as it is, in time of the window's length; spelled out for attention_ops.py it would take the square of that.
    Of scores that are additive, `scale` is that of queries and keys. Without a causal mask every row looks at all samples; the newest one does with it, too.
    """
    given = node.attributes
    query, steps = _rows(node, "queries", codes_of(inputs[0]))
    key, of_keys = _rows(node, "keys", codes_of(inputs[1]))
    if steps[-1] != of_keys[-1] or of_keys[0] != 1 or (len(steps) > 1 and steps[0] != 1):
        raise node.refused("its queries and keys are not of the same samples, all of a sequence")
    window, causal = len(of_keys), bool(given["causal"])

    def make(name: str) -> Any:
        parts: dict[str, Any] = {
            part: numeric(value) for part, value in zip(PARTS, inputs[2:8], strict=False) if value is not None
        }
        score, scale = None if len(inputs) < 9 or inputs[8] is None else numeric(inputs[8]), given["scale"]
        if score is not None:
            unit, score, scale = (
                np.eye(len(key), dtype=np.float32) * np.float32(scale),
                np.broadcast_to(score, len(key)),
                1.0,
            )
            parts = {"query_weights": unit, "key_weights": unit, **parts}
        return FloatAttention(name, len(key), given["heads"], window, scale, score_weights=score, **parts)

    layer = walk.layer_of(node, make)
    walk.expressions.over_all.append(node.label)
    kind = "layer" if causal and len(steps) > 1 else "ahead"
    read = (key,) if np.array_equal(query, key) else (query, key)
    number = walk.expressions.add(Expression(kind, layer.units, read, layer, layer.name))
    found = np.stack([vector(number, layer.units, int(step)) for step in steps])
    batch = codes_of(inputs[0]).shape[0]
    return [Traced(np.ascontiguousarray(np.broadcast_to(found, (batch, *found.shape))))]


def _reduce_max(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    codes = inputs[0].codes
    axes = [int(n) % codes.ndim for n in listed(node, inputs, 1, "axes") or range(codes.ndim)]
    found = pooled(walk, node, codes, axes[0], "max") if len(axes) == 1 else None
    if found is None:
        raise node.refused(
            "it takes the largest of values of one sample; the largest along time can be converted"
        )
    return [Traced(np.expand_dims(found, axes[0]) if node.attributes.get("keepdims", 1) else found)]


def _averaged(share: bool) -> Any:
    inner = ARITHMETIC["ReduceMean" if share else "ReduceSum"]

    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """The mean, or the sum, along axes; along time, that of the newest of as many samples."""
        codes = inputs[0].codes
        axes = listed(node, inputs, 1, "axes") or list(range(codes.ndim))
        for axis in (int(axis) % codes.ndim for axis in axes):
            found = pooled(walk, node, codes, axis, "average")
            if found is None:
                continue
            count = 1.0 if share else float(codes.shape[axis])
            one = product_of(walk, np.expand_dims(found, axis), constants(count), node.label)
            return list(inner(walk, node, [Traced(one), np.array(axes)]))
        return list(inner(walk, node, inputs))

    return operator


def _over_positions(operator: Any) -> Any:
    """Pooling of ONNX over all axes behind the channels, which stay as axes of one."""

    def pool(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        axes = np.arange(2, inputs[0].codes.ndim)
        return list(operator(walk, node, [inputs[0], axes]))

    return pool


def _compared(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    raise node.refused(
        "it compares the signal with a number, as Masking of Keras does, and then skips samples: export the network without the mask, or "
        "convert the .keras file, of which masks are known"
    )


WINDOWS = {
    "Equal": _compared,
    "NotEqual": _compared,
    "GlobalAveragePool": _over_positions(_averaged(True)),
    "GlobalMaxPool": _over_positions(_reduce_max),
    "ReduceMean": _averaged(True),
    "ReduceSum": _averaged(False),
    "AttentionOverTime": _attention,
    "ReduceMax": _reduce_max,
}
