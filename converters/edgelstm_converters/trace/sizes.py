"""How much a node would make, known before it does: a file of a few bytes can ask for more memory than there is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm_converters.trace.expressions import MAX_ELEMENTS
from edgelstm_converters.trace.graph import Node

MOST = 4 * MAX_ELEMENTS
_SIZED_BY_VALUE = {
    "Resize", "Upsample", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli",
    "CenterCropPad", "MaxUnpool", "ConvTranspose", "Col2Im", "AffineGrid", "DFT", "STFT",
}  # fmt: skip
"""What ONNX's evaluator is not asked to compute beforehand."""


def refuse_too_much(node: Node, inputs: list[Any]) -> None:
    """Raise ConversionError naming a node that would make more numbers than is reasonable for a stream."""
    if any(isinstance(value, list) for value in inputs):
        return
    shapes = [() if value is None else np.shape(getattr(value, "codes", value)) for value in inputs]
    try:
        size = _SIZES.get(node.op, _broadcast if node.op in _ELEMENTWISE else _nothing)(node, inputs, shapes)
    except (ValueError, TypeError, IndexError):
        return  # what does not fit is told by whoever computes it
    if size > MOST:
        raise node.refused(f"it makes a tensor of {size:,} numbers, more than is reasonable for a stream")


def may_be_folded(op: str) -> bool:
    return op not in _SIZED_BY_VALUE


_Sizes = Callable[[Node, list[Any], list[tuple[int, ...]]], int]


def _nothing(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    pads = [int(pad) for pad in np.ravel(node.attributes.get("pads", ()))]
    space, half = shapes[0][2:] if pads else (), len(pads) // 2  # of convolution and pooling
    return math.prod(n + a + b for n, a, b in zip(space, pads[:half], pads[half:], strict=bool(pads)))


def _broadcast(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    return math.prod(np.broadcast_shapes(*shapes))


def _product(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    a, b = shapes[:2]
    if min(len(a), len(b)) < 2:
        return max(math.prod(a), math.prod(b))
    return math.prod(np.broadcast_shapes(a[:-2], b[:-2])) * a[-2] * b[-1]


def _numbers(node: Node, inputs: list[Any], key: str) -> list[int]:
    found = inputs[1] if len(inputs) > 1 and inputs[1] is not None else node.attributes.get(key, ())
    return [int(number) for number in np.ravel(found)]


def _expand(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    return math.prod(np.broadcast_shapes(shapes[0], tuple(_numbers(node, inputs, "shape"))))


def _tile(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    return math.prod(shapes[0]) * math.prod(_numbers(node, inputs, "repeats"))


def _pad(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    pads, rank = _numbers(node, inputs, "pads"), len(shapes[0])
    if len(pads) != 2 * rank:
        return math.prod(shapes[0]) + sum(pads)
    return math.prod(n + a + b for n, a, b in zip(shapes[0], pads[:rank], pads[rank:], strict=True))


def _gather(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    along = shapes[0][int(node.attributes.get("axis", 0))]
    return math.prod(shapes[0]) // max(1, along) * math.prod(shapes[1])


def _one_hot(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    return math.prod(shapes[0]) * int(np.ravel(inputs[1])[0])


def _window(node: Node, inputs: list[Any], shapes: list[tuple[int, ...]]) -> int:
    return int(np.ravel(inputs[0])[0])


_ELEMENTWISE = {
    "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor",
    "Min", "Max", "Where", "Sum", "Mean", "PRelu",
}  # fmt: skip
_SIZES: dict[str, _Sizes] = {
    "MatMul": _product, "Expand": _expand, "Tile": _tile, "Pad": _pad, "Gather": _gather, "OneHot": _one_hot,
    "HannWindow": _window, "HammingWindow": _window, "BlackmanWindow": _window,
}  # fmt: skip
