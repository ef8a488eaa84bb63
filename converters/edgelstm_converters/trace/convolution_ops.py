"""Convolution and pooling: along time, layers of their own; inside one sample, products with matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgelstm_converters.layers import FloatConv1d, FloatPool
from edgelstm_converters.layers.float_layer import FloatLayer
from edgelstm_converters.trace.arithmetic_ops import ZERO, by_row, matmul_of, numeric, sum_of
from edgelstm_converters.trace.attention import DOT, LATER
from edgelstm_converters.trace.clocks import clocked
from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    TIME,
    Codes,
    Expression,
    constants,
    is_constant,
    time_of,
)
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.reversal import turned
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, settled


def _geometry(node: Node, axis: int, taps: int, length: int) -> tuple[int, int, tuple[int, int]]:
    """Return stride, dilation and padding along the one axis of `axis` that has a length, 0 where there is one only.

    taps, length  of kernel and signal along it
    """
    given = node.attributes
    auto, pads = given.get("auto_pad", "NOTSET"), list(given.get("pads", []))
    stride, dilation = (int(given[key][axis]) if given.get(key) else 1 for key in ("strides", "dilations"))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = max(0, (-(-length // stride) - 1) * stride + (taps - 1) * dilation + 1 - length)
        less, more = total // 2, total - total // 2
        return stride, dilation, (less, more) if auto == "SAME_UPPER" else (more, less)
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


def _sequence(codes: Codes) -> tuple[int, int] | None:
    """Return how many rows of zeros stand in front of and behind a sequence of samples (rows, channels); None where it is none."""
    rows = codes.reshape(len(codes), -1)
    empty = (rows == ZERO).all(axis=1)
    first, last = int(np.argmin(empty)), int(np.argmin(empty[::-1]))
    inner = slice(first, len(rows) - last)
    times = time_of(rows[inner]).max(axis=1)
    if len(times) < 2 or empty[inner].any() or (np.diff(times) != 1).any():
        return None
    return first, last


def _along_time(
    walk: Walk, node: Node, codes: Codes, reach: int, pads: tuple[int, int], stride: int, layer: FloatLayer
) -> Codes | None:
    """Return (batch, outputs, positions) of a layer that reads `reach` samples back, None where the axis is not that of time."""
    rows = np.moveaxis(codes, 2, 0)  # (positions, batch, channels)
    zeros = _sequence(rows)
    if zeros is None:
        return None
    first, last = zeros
    in_front, behind, samples = pads[0] + first, pads[1] + last, rows[first : len(rows) - last]
    if in_front > reach:
        raise node.refused(f"{in_front} zeros stand in front of the samples, but it reads {reach} back")
    if behind and in_front < reach:
        found = _centred(walk, node, samples, in_front, behind, layer)
    else:
        kept = samples[reach - in_front :]
        if not len(kept):
            raise node.refused(
                f"it reads {reach} samples back, more than there are: export a longer sequence"
            )
        found = _rows_of(walk, kept, layer)
    total, start = len(samples), len(samples) - len(found)
    if behind and in_front == reach:  # causal, and what comes behind the last sample, which is to be cut off
        found = np.concatenate([found, _later(walk, node, found[-1:], behind)])
    if stride > 1:
        taken = found[::stride]
        if start + stride * (len(taken) - 1) >= total:
            raise node.refused(
                "what it gives behind the last sample is read: cut it off in front of a stride"
            )
        found = clocked(walk.expressions, taken, 0, stride, total)
    return np.moveaxis(found, 0, 2)


def _rows_of(walk: Walk, rows: Codes, layer: FloatLayer) -> Codes:
    return by_row(
        walk, rows, layer.units, lambda row: Expression("layer", layer.units, (row,), layer, layer.name)
    )


def _later(walk: Walk, node: Node, last: Codes, count: int) -> Codes:
    """Return rows behind the last sample, which nobody can have: who reads one is refused."""
    number = walk.expressions.add(
        Expression(DOT, last.shape[-1], (last[0, 0], last[0, 0]), LATER, node.label)
    )
    row = number * EXPRESSION + np.arange(last.shape[-1]) + time_of(last) * TIME
    return np.concatenate([row + n * TIME for n in range(1, count + 1)])


def _centred(walk: Walk, node: Node, samples: Codes, in_front: int, behind: int, layer: FloatLayer) -> Codes:
    """Return what a convolution gives that also reads later samples: the sum of one that looks back and of one that runs backwards."""
    if isinstance(layer, FloatPool):
        raise node.refused(
            f"its padding of {behind} behind the last sample pools samples that come later: pool without padding"
        )
    reach = (layer.taps - 1) * layer.dilation if isinstance(layer, FloatConv1d) else 0
    if not isinstance(layer, FloatConv1d) or in_front + behind != reach:
        raise node.refused(
            "it reads samples that come later; pad it at the front (causal), or a convolution on both sides, so that it gives as many rows as it reads"
        )
    if behind % layer.dilation:  # no tap at the newest sample: all samples in between are read, times 0
        apart = np.zeros((*layer.weights.shape[:2], reach + 1), np.float32)
        apart[..., :: layer.dilation] = layer.weights
        layer = replace(layer, weights=apart, dilation=1)
    later = behind // layer.dilation
    past = walk.known.setdefault(
        f"past of {node.label}".encode(),
        replace(layer, weights=np.ascontiguousarray(layer.weights[..., : layer.taps - later])),
    )
    weights = np.zeros((*layer.weights.shape[:2], later + 1), np.float32)
    weights[..., :-1] = layer.weights[..., layer.taps - later :][..., ::-1]
    future = walk.known.setdefault(
        f"future of {node.label}".encode(),
        replace(layer, name=f"{layer.name}.later", weights=weights, bias=np.zeros_like(layer.bias)),
    )
    ahead = turned(walk.expressions, _rows_of(walk, turned(walk.expressions, samples, 0), future), 0)
    return sum_of(walk, _rows_of(walk, samples, past), ahead, node.label)


def _conv(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Conv.html, along one axis."""
    if not isinstance(inputs[0], Traced) or isinstance(inputs[1], Traced):
        raise node.refused("its kernel depends on the signal")
    kernel = numeric(inputs[1])
    codes, axis, taken = _one_axis(node, inputs[0].codes, kernel.shape[2:])
    kernel = kernel.reshape(*kernel.shape[:2], -1)
    outputs, per_group, width = kernel.shape
    stride, dilation, pads = _geometry(node, axis, width, codes.shape[2])
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
        stride, dilation, pads = _geometry(node, axis, window, codes.shape[2])
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
