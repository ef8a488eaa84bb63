"""Whether a model is what the kernels may run: every size, range and bound, checked once before the first step.

The kernels check nothing. What passes here cannot read outside its arrays and cannot wrap an integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ModelFileError
from edgelstm.model import ACTIVATIONS, COLUMN_BLOCK, Channel, Dense, Gru, Layer, Lstm, Model, RowProduct

MAX_WEIGHT_SUM = 65_535
"""Sum of |weight| of a row and block: 65,535 * 32,768 is the largest sum of products that fits in int32."""

MAX_UNITS = 8192
MAX_LAYERS = 64
MAX_CHANNELS = 4096
GAIN_RANGE = (2.0**-64, 2.0**64)


def check(model: Model) -> None:
    """Raise ModelFileError, naming layer and value, for the first thing that is out of bounds."""
    _require(
        1 <= len(model.channels) <= MAX_CHANNELS,
        f"{len(model.channels)} channels, expected 1 to {MAX_CHANNELS}",
    )
    _require(1 <= len(model.layers) <= MAX_LAYERS, f"{len(model.layers)} layers, expected 1 to {MAX_LAYERS}")
    _unique("channel", [channel.name for channel in model.channels])
    _unique("output", [output.name for output in model.outputs])
    _unique("layer", [layer.name for layer in model.layers])
    for channel in model.channels:
        _check_channel(channel)
    for output in model.outputs:
        finite = math.isfinite(output.scale) and 2.0**-126 <= output.scale <= 2.0**96
        _require(finite, f'output "{output.name}": scale is {output.scale}, expected 2**-126 to 2**96')
    columns = len(model.channels)
    for layer in model.layers:
        _check_layer(layer, columns)
        columns = layer.units
    _require(
        columns == len(model.outputs),
        f'layer "{model.layers[-1].name}" has {columns} units but {len(model.outputs)} outputs are named',
    )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ModelFileError(otherwise)


def _unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        _require(bool(name), f"a {what} has an empty name")
        _require(names.count(name) == 1, f'two {what}s are named "{name}"')


def _check_channel(channel: Channel) -> None:
    where = f'channel "{channel.name}"'
    _require(
        math.isfinite(channel.offset) and abs(channel.offset) < 2.0**127,
        f"{where}: offset is {channel.offset}",
    )
    low, high = GAIN_RANGE
    _require(low <= channel.gain <= high, f"{where}: gain is {channel.gain}, expected 2**-64 to 2**64")


def _check_layer(layer: Layer, columns: int) -> None:
    where = f'layer "{layer.name}"'
    if isinstance(layer, Dense):
        _require(
            layer.activation in ACTIVATIONS,
            f'{where}: activation is "{layer.activation}", expected one of {", ".join(ACTIVATIONS)}',
        )
        _require(-64 <= layer.exponent <= 64, f"{where}: exponent is {layer.exponent}, expected -64 to 64")
        worst = _check_product(layer.product, f"{where}: product", None, columns)
        _check_sum(worst, f"{where}: product")
        return
    gates = 4 if isinstance(layer, Lstm) else 3
    units = layer.units
    _require(1 <= units <= MAX_UNITS, f"{where}: {units} units, expected 1 to {MAX_UNITS}")
    inputs = _check_product(layer.inputs, f"{where}: inputs", gates * units, columns)
    hidden = _check_product(layer.hidden, f"{where}: hidden", gates * units, units)
    if isinstance(layer, Gru):
        _check_sum(inputs, f"{where}: inputs")
        _check_sum(hidden, f"{where}: hidden")
    _check_sum(inputs + hidden, where)


def _check_sum(worst: NDArray[np.int64], where: str) -> None:
    row = int(np.argmax(worst))
    _require(
        int(worst[row]) < 2**31,
        f"{where}: row {row} can reach {int(worst[row])}, which does not fit in int32",
    )


def _check_product(product: RowProduct, where: str, rows: int | None, columns: int) -> NDArray[np.int64]:
    """Check one product; return the largest magnitude that each of its rows can reach."""
    weights, multipliers, shifts, bias = product.weights, product.multipliers, product.shifts, product.bias
    expected = (weights.shape[0] if rows is None else rows, columns)
    _require(weights.dtype == np.int8, f"{where}.weights are {weights.dtype}, expected int8")
    for name, values in (("multipliers", multipliers), ("shifts", shifts), ("bias", bias)):
        _require(values.dtype == np.int32, f"{where}.{name} are {values.dtype}, expected int32")
    _require(weights.shape == expected, f"{where}.weights have shape {weights.shape}, expected {expected}")
    _require(1 <= expected[0] <= 4 * MAX_UNITS, f"{where}.weights have {expected[0]} rows")
    blocks = multipliers.shape[0] if multipliers.ndim == 2 else 0
    most = max(1, -(-columns // COLUMN_BLOCK))
    _require(
        blocks in (1, most),
        f"{where}.multipliers have shape {multipliers.shape}, expected 1 or {most} blocks",
    )
    for name, values in (("multipliers", multipliers), ("shifts", shifts)):
        shape = (blocks, expected[0])
        _require(values.shape == shape, f"{where}.{name} have shape {values.shape}, expected {shape}")
    _require(bias.shape == expected[:1], f"{where}.bias has shape {bias.shape}, expected {expected[:1]}")
    _range(weights, -127, 127, f"{where}.weights")
    _range(multipliers, 0, 2**30 - 1, f"{where}.multipliers")
    _range(shifts, 0, 30, f"{where}.shifts")
    worst = np.abs(bias.astype(np.int64))
    for block in range(blocks):
        first = block * COLUMN_BLOCK
        end = columns if block == blocks - 1 else first + COLUMN_BLOCK
        sums = np.abs(weights[:, first:end].astype(np.int64)).sum(axis=1)
        row = int(np.argmax(sums))
        _require(
            int(sums[row]) <= MAX_WEIGHT_SUM,
            f"{where}.weights: row {row} sums to {int(sums[row])}, expected at most {MAX_WEIGHT_SUM}",
        )
        largest = np.minimum((sums * 32768) << shifts[block], 2**31)
        worst += (largest * multipliers[block] + 2**30) >> 31
    return worst


def _range(values: NDArray[np.int8] | NDArray[np.int32], low: int, high: int, where: str) -> None:
    outside = (values < low) | (values > high)
    if outside.any():
        at = tuple(int(axis) for axis in np.argwhere(outside)[0])
        raise ModelFileError(f"{where}{list(at)} is {int(values[at])}, expected {low} to {high}")
