"""Convolution and pooling: along time, layers of their own; inside one sample, products with matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.layers import FloatConv1d, FloatPool
from edgelstm_converters.layers.float_layer import FloatLayer
from edgelstm_converters.trace.arithmetic_ops import ZERO, by_row, matmul_of, numeric, sum_of
from edgelstm_converters.trace.expressions import Codes, Expression, constants, is_constant, time_of
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, settled


def _geometry(node: Node, axis: int) -> tuple[int, int, tuple[int, int]]:
    """Return stride, dilation and padding along the one axis of `axis` that has a length, 0 where there is one only."""
    given = node.attributes
    auto, pads = given.get("auto_pad", "NOTSET"), list(given.get("pads", []))
    if auto not in ("NOTSET", "VALID"):
        raise node.refused(f"auto_pad is {auto}; give pads instead")
    stride, dilation = (int(given[key][axis]) if given.get(key) else 1 for key in ("strides", "dilations"))
    count = len(pads) // 2
    along = (int(pads[axis]), int(pads[count + axis])) if pads else (0, 0)
    if sum(pads) != sum(along) or min(along) < 0:
        raise node.refused(f"its pads are {pads}, expected some along the samples only")
    return stride, dilation, along


def _one_axis(node: Node, codes: Codes, sizes: tuple[int, ...]) -> tuple[Codes, int, int | None]:
    """Return codes (batch, channels, positions), which of the axes behind the channels that is, and the one taken out.

    sizes  of the kernel along the axes behind the channels
    """
    if codes.ndim == 3 and len(sizes) == 1:
        return codes, 0, None
    if codes.ndim == 4 and len(sizes) == 2:
        for other in (0, 1):
            if codes.shape[2 + other] == 1 and sizes[other] == 1:
                return np.take(codes, 0, axis=2 + other), 1 - other, 2 + other
    raise node.refused(f"it goes along {codes.ndim - 2} axes; along one it can be converted")


def _sequence(codes: Codes) -> int | None:
    """Return how many rows of zeros stand in front of a sequence of samples (rows, channels); None where it is none."""
    rows = codes.reshape(len(codes), -1)
    empty = (rows == ZERO).all(axis=1)
    first = int(np.argmin(empty))
    times = time_of(rows[first:]).max(axis=1)
    if len(times) < 2 or empty[first:].any() or (np.diff(times) != 1).any():
        return None
    return first


def _along_time(
    walk: Walk, node: Node, codes: Codes, reach: int, pads: tuple[int, int], stride: int, layer: FloatLayer
) -> Codes | None:
    """Return (batch, outputs, positions) of a layer that reads `reach` samples back, None where the axis is not that of time."""
    rows = np.moveaxis(codes, 2, 0)  # (positions, batch, channels)
    zeros = _sequence(rows)
    if zeros is None:
        return None
    if pads[1]:
        raise node.refused("it reads samples that come later; pad it at the front only (causal)")
    if stride != 1:
        raise node.refused(
            f"it gives an output at every sample number {stride} only, which cannot be converted"
        )
    in_front = pads[0] + zeros
    if in_front > reach:
        raise node.refused(f"{in_front} zeros stand in front of the samples, but it reads {reach} back")
    kept = rows[zeros:][reach - in_front :]
    if not len(kept):
        raise node.refused(f"it reads {reach} samples back, more than there are: export a longer sequence")
    found = by_row(
        walk, kept, layer.units, lambda row: Expression("layer", layer.units, (row,), layer, layer.name)
    )
    return np.moveaxis(found, 0, 2)


def _conv(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Conv.html, along one axis."""
    if not isinstance(inputs[0], Traced) or isinstance(inputs[1], Traced):
        raise node.refused("its kernel depends on the signal")
    kernel = numeric(inputs[1])
    codes, axis, taken = _one_axis(node, inputs[0].codes, kernel.shape[2:])
    kernel = kernel.reshape(*kernel.shape[:2], -1)
    outputs, per_group, width = kernel.shape
    stride, dilation, pads = _geometry(node, axis)
    group = int(node.attributes.get("group", 1))
    bias = numeric(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else np.zeros(outputs, np.float32)
    whole = np.zeros((outputs, per_group * group, width), np.float32)
    for n in range(group):
        of = slice(n * outputs // group, (n + 1) * outputs // group)
        whole[of, n * per_group : (n + 1) * per_group] = kernel[of]
    if codes.shape[1] != whole.shape[1]:
        raise node.refused(f"its kernel is for {whole.shape[1]} channels, but there are {codes.shape[1]}")
    layer = walk.layer_of(node, lambda name: FloatConv1d(name, whole, bias, dilation))
    found = _along_time(walk, node, codes, (width - 1) * dilation, pads, stride, layer)
    if found is None:
        padded = np.pad(codes, [(0, 0), (0, 0), pads], constant_values=ZERO)
        count = (padded.shape[2] - dilation * (width - 1) - 1) // stride + 1
        where = np.arange(count)[:, None] * stride + np.arange(width) * dilation
        patches = padded[:, :, where].transpose(0, 2, 1, 3).reshape(len(codes), count, -1)
        name = node.label
        found = matmul_of(walk, patches, whole.reshape(outputs, -1), name).transpose(0, 2, 1)
        if bias.any():
            found = sum_of(walk, found, constants(bias[None, :, None]), name)
    return [_back(found, taken)]


def _back(found: Codes, taken: int | None) -> Value:
    return settled(np.ascontiguousarray(found if taken is None else np.expand_dims(found, taken)))


def _pool(mode: str) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """https://onnx.ai/onnx/operators/onnx__AveragePool.html and MaxPool, along time."""
        sizes = tuple(int(size) for size in node.attributes["kernel_shape"])
        codes, axis, taken = _one_axis(node, inputs[0].codes, sizes)
        window = sizes[axis]
        stride, dilation, pads = _geometry(node, axis)
        if dilation != 1 or node.attributes.get("ceil_mode", 0):
            raise node.refused("it is dilated, or rounds its length up, which cannot be converted")
        if mode == "average" and pads[0] and not node.attributes.get("count_include_pad", 0):
            raise node.refused("its averages leave out the padding, which cannot be converted")
        if mode == "max" and is_constant(codes).any():
            raise node.refused("it takes the largest of samples and padding, which cannot be converted")
        layer = walk.layer_of(node, lambda name: FloatPool(name, mode, codes.shape[1], window))
        found = _along_time(walk, node, codes, window - 1, pads, stride, layer)
        if found is None:
            raise WrongAxis(str(node.refused("it does not go along the samples")))
        return [_back(found, taken)]

    return operator


CONVOLUTION = {"Conv": _conv, "AveragePool": _pool("average"), "MaxPool": _pool("max")}
