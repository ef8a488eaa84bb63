"""Operators that move elements and change none; the same NumPy moves constants and codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm_converters.trace.expressions import is_constant, time_of
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.repetition import repeated
from edgelstm_converters.trace.reversal import turned
from edgelstm_converters.trace.run import Traced, Value, Walk, codes_of, settled

MAX_BYTES = 1 << 28


def moved(value: Value, move: Callable[[Any], Any]) -> Value:
    """Return `value` with its elements moved."""
    return settled(move(value.codes)) if isinstance(value, Traced) else move(np.asarray(value))


def flipped(walk: Walk, value: Value, axes: list[int]) -> Value:
    """Return `value` with the order along `axes` reversed; along time, a traced one becomes a sequence of its own."""
    if not isinstance(value, Traced):
        return np.flip(np.asarray(value), tuple(axes))
    codes = value.codes
    for axis in axes:
        codes = turned(walk.expressions, codes, axis)
    return Traced(codes)


def listed(node: Node, inputs: list[Value], position: int, attribute: str, default: Any = None) -> Any:
    """Return a list of integers given as an input since some opset, and as an attribute before."""
    value = inputs[position] if len(inputs) > position else None
    if isinstance(value, Traced):
        raise node.refused(f"its {attribute} depend on the signal")
    if value is not None:
        return [int(n) for n in np.asarray(value).reshape(-1)]
    found = node.attributes.get(attribute, default)
    return found if found is default or isinstance(found, int) else [int(n) for n in found]


def _transpose(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    perm = node.attributes.get("perm")
    return [moved(inputs[0], lambda a: np.transpose(a, perm))]


def _squeeze(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    axes = listed(node, inputs, 1, "axes")
    return [moved(inputs[0], lambda a: np.squeeze(a, None if axes is None else tuple(axes)))]


def _unsqueeze(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    axes = listed(node, inputs, 1, "axes")
    return [moved(inputs[0], lambda a: np.expand_dims(a, tuple(axes)))]


def _reshape(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    wanted = listed(node, inputs, 1, "shape")
    keep = node.attributes.get("allowzero", 0) == 0

    def reshape(a: Any) -> Any:
        shape = [a.shape[n] if size == 0 and keep and n < a.ndim else size for n, size in enumerate(wanted)]
        if -1 not in shape and int(np.prod(shape)) != a.size:  # a time axis that the exporter froze
            shape = _unfrozen(shape, a)
        return a.reshape(shape)

    return [moved(inputs[0], reshape)]


def _unfrozen(shape: list[int], a: Any) -> list[int]:
    """Return `shape` with the one size replaced that does not fit, the length the exporter traced with."""
    for n, size in enumerate(shape):
        rest = int(np.prod([other for m, other in enumerate(shape) if m != n]))
        if size > 1 and rest and a.size % rest == 0 and a.size // rest in a.shape:
            return [*shape[:n], -1, *shape[n + 1 :]]
    return shape


def _flatten(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    axis = node.attributes.get("axis", 1)
    return [moved(inputs[0], lambda a: a.reshape(int(np.prod(a.shape[:axis])), -1))]


def _identity(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [inputs[0], *[None] * (len(node.outputs) - 1)]


def _cast(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    dtype = node.attributes["to"]
    if isinstance(inputs[0], Traced):
        codes = inputs[0].codes.reshape(-1)
        whole = {walk.expressions.of(code).kind for code in codes[~is_constant(codes)]} == {"input"}
        if np.dtype(dtype).kind != "f" and not whole and not _is_choice(walk, codes):
            raise node.refused(f"it turns the signal, or what is computed of it, into {np.dtype(dtype).name}")
        return [inputs[0]]
    return [np.asarray(inputs[0]).astype(dtype)]


def _is_choice(walk: Walk, codes: Any) -> bool:
    """Whether codes are 0 or 1: comparisons with a number, and what is true where both or one of two are."""
    found = [walk.expressions.table[int(number)] for number in np.unique(codes[~is_constant(codes)] >> 48)]
    return all(
        each.detail in ("positive", "not_negative")
        or (each.kind in ("sum", "product") and all(_is_choice(walk, part) for part in each.arguments))
        for each in found
    )


def _gather(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    if isinstance(inputs[1], Traced):
        from edgelstm_converters.trace.vector_ops import (
            embedding,
        )  # which computes, and so stands above this file

        if isinstance(inputs[0], Traced):
            raise node.refused("what it picks, and of what, depends on the signal")
        return [embedding(walk, node, inputs[0], inputs[1].codes)]
    indices = np.asarray(inputs[1]).astype(np.int64)
    if isinstance(inputs[0], Traced) and indices.ndim == 1:
        axis = node.attributes.get("axis", 0)
        if np.array_equal(indices, np.arange(inputs[0].codes.shape[axis])[::-1]):
            return [flipped(walk, inputs[0], [axis])]
    return [moved(inputs[0], lambda a: np.take(a, indices, axis=node.attributes.get("axis", 0)))]


def _slice(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    starts, ends = listed(node, inputs, 1, "starts"), listed(node, inputs, 2, "ends")
    axes = listed(node, inputs, 3, "axes") or list(range(len(starts)))
    steps = listed(node, inputs, 4, "steps") or [1] * len(starts)

    backwards: list[int] = []

    def cut(a: Any) -> Any:
        where = [slice(None)] * a.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            size = a.shape[axis]
            first = max(start + size if start < 0 else start, 0)
            last = end + size if -size <= end < 0 else end
            if step == -1 and first >= size - 1 and last < 0:
                backwards.append(axis)
            elif step < 0:
                where[axis] = slice(min(first, size - 1), None if last < 0 else last, step)
            else:
                where[axis] = slice(first, max(last, 0), step)
        return a[tuple(where)]

    taken = moved(inputs[0], cut)
    return [flipped(walk, taken, backwards)]


def _split(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    axis = node.attributes.get("axis", 0)
    value = inputs[0].codes if isinstance(inputs[0], Traced) else np.asarray(inputs[0])
    sizes = listed(node, inputs, 1, "split")
    if sizes is None:
        count = node.attributes.get("num_outputs", len(node.outputs))
        sizes = [-(-value.shape[axis] // count)] * count
    parts = np.split(value, np.cumsum(sizes)[:-1], axis=axis)
    return [settled(part) if isinstance(inputs[0], Traced) else part for part in parts]


def _concat(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    axis = node.attributes["axis"]
    return [joined(inputs, lambda parts: np.concatenate(parts, axis=axis))]


def joined(values: list[Value], join: Callable[[list[Any]], Any]) -> Value:
    """Return `values` joined; constants beside codes become codes."""
    if any(isinstance(value, Traced) for value in values):
        return settled(join([codes_of(value) for value in values]))
    return join([np.asarray(value) for value in values])


def _expand(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    wanted = tuple(listed(node, inputs, 1, "shape"))
    value = _repeated(walk, inputs[0], wanted)
    return [moved(value, lambda a: np.broadcast_to(a, np.broadcast_shapes(a.shape, wanted)))]


def _tile(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    repeats = listed(node, inputs, 1, "repeats")
    shape = np.shape(inputs[0].codes if isinstance(inputs[0], Traced) else inputs[0])
    if len(repeats) == len(shape):
        value = _repeated(walk, inputs[0], tuple(n * size for n, size in zip(repeats, shape, strict=True)))
        if value is not inputs[0]:
            repeats = [1] * len(shape)
        return [moved(value, lambda a: np.tile(a, repeats))]
    return [moved(inputs[0], lambda a: np.tile(a, repeats))]


def _repeated(walk: Walk, value: Value, shape: tuple[int, ...]) -> Value:
    """Return what a sequence ends with as rows of a sequence (.., rows, values) of `shape`, the value itself where it is none."""
    if not isinstance(value, Traced) or len(shape) < 3 or value.codes.ndim != len(shape):
        return value
    changed = [
        n for n, (size, wanted) in enumerate(zip(value.codes.shape, shape, strict=True)) if size != wanted
    ]
    if len(changed) != 1 or changed[0] == len(shape) - 1 or value.codes.shape[changed[0]] != 1:
        return value
    if int(time_of(value.codes).max()) < 2:
        return value
    return Traced(repeated(walk.expressions, value.codes, changed[0], shape[changed[0]]))


def _pad(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    mode = node.attributes.get("mode", "constant")
    pads = listed(node, inputs, 1, "pads")
    value = inputs[2] if len(inputs) > 2 and inputs[2] is not None else node.attributes.get("value", 0.0)

    def pad(a: Any, fill: Any) -> Any:
        axes = listed(node, inputs, 3, "axes") or list(range(a.ndim))
        widths = [(0, 0)] * a.ndim
        for n, axis in enumerate(axes):
            widths[axis] = pads[n], pads[n + len(axes)]
        if mode == "constant":
            return np.pad(a, widths, constant_values=fill)
        kinds: dict[str, Any] = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
        return np.pad(a, widths, mode=kinds[mode])

    if isinstance(inputs[0], Traced):
        return [settled(pad(inputs[0].codes, int(codes_of(value).reshape(-1)[0])))]
    return [pad(np.asarray(inputs[0]), np.asarray(value).reshape(-1)[0])]


def _where(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    if isinstance(inputs[0], Traced):
        raise node.refused("its condition depends on the signal (a mask): export the network without masking")
    condition = np.asarray(inputs[0], bool)
    return [joined(inputs[1:], lambda parts: np.where(condition, *parts))]


def _reverse_sequence(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    time, batch = node.attributes.get("time_axis", 0), node.attributes.get("batch_axis", 1)

    shape = np.shape(inputs[0].codes if isinstance(inputs[0], Traced) else inputs[0])
    if listed(node, inputs, 1, "sequence_lens") != [shape[time]] * shape[batch]:
        raise node.refused("it reverses parts of the sequence")
    return [flipped(walk, inputs[0], [time])]


def _shape(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    shape = np.shape(inputs[0].codes if isinstance(inputs[0], Traced) else inputs[0])
    first, last = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
    return [np.array(shape[first:last], np.int64)]


def _size(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [np.array(np.size(inputs[0].codes if isinstance(inputs[0], Traced) else inputs[0]), np.int64)]


def _slice_sizes(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """TensorFlow's slice: where each axis begins, and how much of it is taken, -1 for all that is left."""
    starts, sizes = listed(node, inputs, 1, "begin"), listed(node, inputs, 2, "size")
    where = tuple(
        slice(start, None if size < 0 else start + size) for start, size in zip(starts, sizes, strict=True)
    )
    return [moved(inputs[0], lambda a: a[where])]


def _strided_slice(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """TensorFlow's strided slice: bits of masks say where a bound is left open, an axis is new, or goes away."""
    starts, ends, steps = (listed(node, inputs, n, "bounds") for n in (1, 2, 3))
    masks = node.attributes
    where: list[Any] = []
    backwards: list[int] = []
    for n, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
        bit = 1 << n
        if masks["ellipsis"] & bit:
            where.append(Ellipsis)
        elif masks["new_axis"] & bit:
            where.append(None)
        elif masks["shrink"] & bit:
            where.append(start)
        elif step == -1 and masks["begin"] & bit and masks["end"] & bit:
            backwards.append(n)
            where.append(slice(None))
        else:
            where.append(
                slice(None if masks["begin"] & bit else start, None if masks["end"] & bit else end, step)
            )
    if backwards and len(where) != sum(isinstance(part, slice) for part in where):
        raise node.refused("it turns axes around and changes others at once")
    return [flipped(walk, moved(inputs[0], lambda a: a[tuple(where)]), backwards)]


def _stack(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [joined(inputs, lambda parts: np.stack(parts, node.attributes["axis"]))]


def _unstack(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    axis = node.attributes["axis"]
    return [
        moved(inputs[0], lambda a, n=n: np.take(a, n, axis))  # type: ignore[misc]
        for n in range(len(node.outputs))
    ]


def _flip(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [flipped(walk, inputs[0], listed(node, inputs, 1, "axes"))]


def _trilu(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Trilu.html; the code of zero is 0."""
    k = int(np.asarray(inputs[1])) if len(inputs) > 1 and inputs[1] is not None else 0
    part = np.triu if node.attributes.get("upper", 1) else np.tril
    return [moved(inputs[0], lambda a: part(a, k))]


def _zeros_like(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    value = inputs[0]
    return [np.zeros(value.codes.shape, np.float32) if isinstance(value, Traced) else np.zeros_like(value)]


LAYOUT = {
    "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Reshape": _reshape, "Flatten": _flatten,
    "Identity": _identity, "Dropout": _identity, "Cast": _cast, "Gather": _gather, "Slice": _slice, "Split": _split,
    "Concat": _concat, "Expand": _expand, "Tile": _tile, "Pad": _pad, "Where": _where, "Shape": _shape, "Size": _size,
    "ReverseSequence": _reverse_sequence, "SliceSizes": _slice_sizes, "StridedSlice": _strided_slice, "Stack": _stack,
    "Trilu": _trilu, "Unstack": _unstack, "Flip": _flip, "ZerosLike": _zeros_like,
}  # fmt: skip
