"""From float32 weights to the integers of `docs/arithmetic.md`: int8 rows, one multiplier a row, int32 biases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import ElementProduct, RowProduct
from edgelstm.layers.bounds import MAX_WEIGHT_SUM
from edgelstm.layers.products import COLUMN_BLOCK
from edgelstm.model import Channel

HEADROOM = 2.0
"""How far past the calibrated maximum a value may go before it saturates."""

GATE_SCALE = 65536.0  # Q15.16
HIDDEN_STEP = 2.0**-15  # Q0.15
FULL_SCALE = 32767.0

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Vector:
    """How the int16 that a layer reads stand for numbers: real = offset + step * q, per column."""

    step: Doubles
    offset: Doubles

    @staticmethod
    def uniform(count: int, step: float) -> Vector:
        return Vector(np.full(count, step), np.zeros(count))


def quantize_channels(
    names: tuple[str, ...], units: tuple[str, ...], x: NDArray[np.float32]
) -> tuple[Channel, ...]:
    """Choose offset and power-of-two gain of every channel from calibration samples (samples, channels)."""
    channels = []
    for name, unit, column in zip(names, units, x.astype(np.float64).T, strict=True):
        low, high = float(column.min()), float(column.max())
        offset = float(np.float32((low + high) / 2.0))
        reach = max(high - offset, offset - low) or max(
            abs(offset), 1.0
        )  # a constant channel may move one day
        gain = _power_of_two(FULL_SCALE / (HEADROOM * reach))
        channels.append(Channel(name=name, unit=unit, offset=offset, gain=gain))
    return tuple(channels)


def vector_of(channels: tuple[Channel, ...]) -> Vector:
    """Return how the quantised channels are read by the first layer."""
    return Vector(
        np.array([1.0 / channel.gain for channel in channels]),
        np.array([channel.offset for channel in channels]),
    )


def finest_exponent(reach: float) -> int:
    """Return e such that int16 in steps of 2**-e hold `reach` with headroom."""
    exponent = math.floor(math.log2(FULL_SCALE / (HEADROOM * reach))) if reach > 0.0 else 15
    return min(max(exponent, -64), 64)


def wide_exponent(worst: float) -> int:
    """Return e such that int32 in steps of 2**-(e + 8) hold `worst`: as fine as the worst case allows."""
    exponent = math.floor(math.log2(2.0**29 / max(worst, 1e-30))) - 8
    return min(max(exponent, -64), 64)


def row_product(
    name: str, weights: NDArray[np.float32], bias: NDArray[np.float32], source: Vector, result_scale: float
) -> RowProduct:
    """Quantise `(weights @ x + bias) * result_scale` for x as `source` reads it."""
    exact = weights.astype(np.float64)
    integer_bias = _integer_bias(name, bias.astype(np.float64) + exact @ source.offset, result_scale)
    columns = exact * source.step  # per unit of the int16 input
    starts = [0] if not _needs_blocks(columns) else list(range(0, columns.shape[1], COLUMN_BLOCK))
    parts = [
        _quantize_rows(name, columns[:, first:end], result_scale)
        for first, end in zip(starts, [*starts[1:], columns.shape[1]], strict=True)
    ]
    return RowProduct(
        weights=np.ascontiguousarray(np.concatenate([part[0] for part in parts], axis=1)),
        multipliers=np.stack([part[1] for part in parts]),
        shifts=np.stack([part[2] for part in parts]),
        bias=integer_bias,
    )


def element_product(
    name: str, factor: NDArray[np.float32], shift: NDArray[np.float32], source: Vector, result_scale: float
) -> ElementProduct:
    """Quantise `(factor * x + shift) * result_scale`, element by element, for x as `source` reads it."""
    exact = factor.astype(np.float64)
    bias = _integer_bias(name, shift.astype(np.float64) + exact * source.offset, result_scale)
    found, shifts = multipliers(name, np.abs(exact) * source.step * result_scale, 1.0)
    signed = np.where(exact < 0.0, -found, found).astype(np.int32)
    return ElementProduct(signed, shifts, bias)


def _integer_bias(name: str, bias: Doubles, result_scale: float) -> NDArray[np.int32]:
    scaled = bias * result_scale
    if np.abs(scaled).max(initial=0.0) >= 2.0**31:
        row = int(np.abs(scaled).argmax())
        raise ConversionError(
            f'layer "{name}": the bias of row {row} is {bias[row]:.3g}, more than the arithmetic '
            f"holds ({2.0**31 / result_scale:.3g}); are inputs scaled as in training? see --scaling"
        )
    return np.rint(scaled).astype(np.int32)


def _needs_blocks(columns: Doubles) -> bool:
    if columns.shape[1] <= COLUMN_BLOCK:
        return False
    quantised, _ = _int8_rows(columns)
    return bool(np.abs(quantised.astype(np.int64)).sum(axis=1).max() > MAX_WEIGHT_SUM)


def _int8_rows(columns: Doubles) -> tuple[NDArray[np.int8], Doubles]:
    largest = np.abs(columns).max(axis=1)
    scale = np.where(largest > 0.0, largest, 1.0) / 127.0
    return np.rint(columns / scale[:, None]).astype(np.int8), scale


def _quantize_rows(
    name: str, columns: Doubles, result_scale: float
) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    """Return int8 weights and, per row, M and s with `mulr(acc << s, M)` close to `acc * scale * result_scale`."""
    weights, scale = _int8_rows(columns)
    factors = np.where(weights.any(axis=1), scale * result_scale, 0.0)
    return weights, *multipliers(name, factors, result_scale / 127)


def multipliers(name: str, factors: Doubles, unit: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return M and s with `mulr(x << s, M)` close to `x * factor` for each factor, the smallest s that there is.

    unit  what to divide a factor by to name it in an error
    """
    found = np.zeros(len(factors), np.int32)
    shifts = np.zeros(len(factors), np.int32)
    for row, factor in enumerate(factors):
        for shift in range(31):
            multiplier = round(factor * 2.0 ** (31 - shift))
            if multiplier < 2**30:
                found[row], shifts[row] = multiplier, shift
                break
        else:
            raise ConversionError(
                f'layer "{name}": the weights of row {row} reach {factor / unit:.3g}, too large'
            )
    return found, shifts


def _power_of_two(value: float) -> float:
    return 2.0 ** min(max(math.floor(math.log2(value)), -64), 64)
