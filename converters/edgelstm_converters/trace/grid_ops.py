"""Convolution over a grid inside one sample, and the LSTM that has one at every step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgelstm_converters.layers import FloatConvLstm
from edgelstm_converters.trace.arithmetic_ops import ZERO, matmul_of, numeric, sum_of
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    Floats,
    constants,
    is_constant,
    relative,
    time_of,
    vector,
)
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, codes_of, settled

Operator = Callable[[Walk, Node, list[Value]], list[Value]]
MAX_VALUES = 1 << 14
"""Of a grid whose convolution becomes a matrix."""


def on_grids(along_time: Operator) -> Operator:
    """Return a convolution or average that goes over the grid of one sample, and is `along_time` otherwise."""

    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        value = inputs[0]
        if not isinstance(value, Traced) or not _is_grid(node, value.codes, inputs):
            return along_time(walk, node, inputs)
        return [_convolved(walk, node, value.codes, inputs)]

    return operator


def _is_grid(node: Node, codes: Codes, inputs: list[Value]) -> bool:
    """Whether codes (batch, channels, rows, columns) are grids of one sample each."""
    if codes.ndim != 4:
        return False
    sizes = _kernel(node, codes, inputs).shape[2:]
    times = time_of(codes).reshape(len(codes), -1)
    constant = is_constant(codes).reshape(len(codes), -1)
    if not (constant | (times == times.max(axis=1, keepdims=True))).all():
        return False
    alone = any(codes.shape[2 + axis] == 1 and sizes[axis] == 1 for axis in (0, 1))
    return not alone or node.attributes.get("auto_pad", "NOTSET") != "NOTSET"


def _kernel(node: Node, codes: Codes, inputs: list[Value]) -> Floats:
    """Return the weights (outputs, inputs of a group, rows, columns) of a convolution, or those that make an average."""
    if node.op == "Conv":
        if isinstance(inputs[1], Traced):
            raise node.refused("its kernel depends on the signal")
        return numeric(inputs[1])
    rows, columns = (int(size) for size in node.attributes["kernel_shape"])
    return np.full((codes.shape[1], 1, rows, columns), 1.0 / (rows * columns), np.float32)


def _convolved(walk: Walk, node: Node, codes: Codes, inputs: list[Value]) -> Value:
    kernel, given = _kernel(node, codes, inputs), node.attributes
    outputs, width = kernel.shape[0], codes.shape[1]
    group = int(given.get("group", 1)) if node.op == "Conv" else width
    whole = np.zeros((outputs, width, *kernel.shape[2:]), np.float32)
    if kernel.shape[1] * group != width or outputs % group:
        raise node.refused(f"its kernel is for {kernel.shape[1] * group} channels, but there are {width}")
    for n in range(group):
        of = slice(n * outputs // group, (n + 1) * outputs // group)
        whole[of, n * kernel.shape[1] : (n + 1) * kernel.shape[1]] = kernel[of]
    if node.op != "Conv" and (any(given.get("pads", [])) or given.get("ceil_mode", 0)):
        raise node.refused(
            "its averages leave out the padding, or round its size up, which cannot be converted"
        )
    steps = [list(map(int, given.get(key) or [1, 1])) for key in ("strides", "dilations")]
    around = patches(node, codes, whole.shape[2:], steps[0], steps[1])  # (batch, rows, columns, values)
    if around[0].size > 4 * MAX_VALUES * kernel.shape[2] * kernel.shape[3]:
        raise node.refused(
            f"its grid of {codes.shape[2]} x {codes.shape[3]} is larger than a matrix should be"
        )
    found = matmul_of(walk, around, whole.reshape(outputs, -1), node.label)
    if node.op == "Conv" and len(inputs) > 2 and inputs[2] is not None:
        found = sum_of(walk, found, constants(numeric(inputs[2])), node.label)
    return settled(np.ascontiguousarray(found.transpose(0, 3, 1, 2)))


def patches(
    node: Node, codes: Codes, sizes: tuple[int, ...], strides: list[int], dilations: list[int]
) -> Codes:
    """Return what lies under the kernel at each place, (batch, rows, columns, channels * sizes), of (batch, channels, rows, columns)."""
    padded, where = codes, []
    for axis in (0, 1):
        reach, length = (sizes[axis] - 1) * dilations[axis] + 1, codes.shape[2 + axis]
        first, last = _pads(node, axis, length, reach, strides[axis])
        widths = [(0, 0)] * 4
        widths[2 + axis] = first, last
        padded = np.pad(padded, widths, constant_values=ZERO)
        count = (length + first + last - reach) // strides[axis] + 1
        if count < 1:
            raise node.refused(f"its kernel is larger than the grid of {codes.shape[2]} x {codes.shape[3]}")
        where.append(np.arange(count)[:, None] * strides[axis] + np.arange(sizes[axis]) * dilations[axis])
    found = padded[
        :, :, where[0][:, None, :, None], where[1][None, :, None, :]
    ]  # (b, c, rows, columns, k, k)
    return np.ascontiguousarray(found.transpose(0, 2, 3, 1, 4, 5).reshape(len(codes), *found.shape[2:4], -1))


def _pads(node: Node, axis: int, length: int, reach: int, stride: int) -> tuple[int, int]:
    word, pads = node.attributes.get("auto_pad", "NOTSET"), list(node.attributes.get("pads") or [0] * 4)
    if word in ("SAME_UPPER", "SAME_LOWER"):
        total = max(0, (-(-length // stride) - 1) * stride + reach - length)
        return (total // 2, total - total // 2) if word == "SAME_UPPER" else (total - total // 2, total // 2)
    return (int(pads[axis]), int(pads[2 + axis])) if word == "NOTSET" else (0, 0)


def _conv_lstm(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://keras.io/api/layers/recurrent_layers/conv_lstm2d: (batch, samples, rows, columns, values), channels last.

    The grid of the past is as large as what comes out. Where the input's is not, or is strided, a pixel is given all that lies
    under its kernel, and its input weights stand in the middle of an empty one.
    """
    codes = codes_of(inputs[0])
    if codes.ndim != 5:
        raise node.refused(f"it reads {codes.ndim} axes, expected batch, samples, rows, columns and values")
    if (codes != codes[:1]).any():
        raise WrongAxis("the axis of the batch is taken for that of time")
    w, r, bias = (numeric(value) for value in inputs[1:4])
    if r.shape[1] != r.shape[2] or r.shape[1] % 2 == 0:
        raise node.refused(f"its kernel is {r.shape[1]} x {r.shape[2]}, expected an odd square")
    steps = time_of(codes[0]).reshape(codes.shape[1], -1).max(axis=1)
    if (np.diff(steps) != 1).any() or steps[0] != 1:
        raise node.refused("what it reads is not all samples of a sequence")
    strides = list(map(int, node.attributes["strides"]))
    grid = relative(codes[0, -1], int(steps[-1]))
    if node.attributes["auto_pad"] != "SAME_UPPER" or strides != [1, 1]:
        moved = grid.transpose(2, 0, 1)[None]
        grid = patches(node, moved, w.shape[1:3], strides, [1, 1])[0]
        centre = np.zeros((len(w), *w.shape[1:3], grid.shape[-1]), np.float32)
        half = w.shape[1] // 2
        centre[:, half, half] = w.transpose(0, 3, 1, 2).reshape(len(w), -1)
        w = centre
    rows, columns = grid.shape[:2]
    layer = walk.layer_of(node, lambda name: FloatConvLstm(name, w, r, bias, rows, columns))
    read = np.ascontiguousarray(grid.reshape(-1))
    number = walk.expressions.add(Expression("layer", layer.units, (read,), layer, layer.name))
    found = np.stack([vector(number, layer.units, int(step)) for step in steps])
    shape = (len(codes), len(steps), rows, columns, layer.filters)
    sequence = np.broadcast_to(found.reshape(1, *shape[1:]), shape)
    return [Traced(np.ascontiguousarray(part)) for part in (sequence, sequence[:, -1])]


GRIDS = {"ConvLSTM": _conv_lstm}
