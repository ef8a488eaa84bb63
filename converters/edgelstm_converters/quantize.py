"""From float32 weights to the integers of `docs/arithmetic.md`: int8 rows, one multiplier a row, int32 biases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import ElementProduct, RowProduct
from edgelstm.layers.bounds import MAX_WEIGHT_SUM
from edgelstm.layers.products import COLUMN_BLOCK
from edgelstm.model import Channel
from edgelstm_converters.rounding import Rounded, round_rows
from edgelstm_converters.whole_numbers import off_grid, row_scales

HEADROOM = 2.0
"""How far past the calibrated maximum a value may go before it saturates."""

GATE_SCALE = 65536.0  # Q15.16
HIDDEN_STEP = 2.0**-15  # Q0.15
FULL_SCALE = 32767.0
MOST_SAMPLES = 8192
"""Of calibration that rounding looks at."""
MOST_BITS = 4
"""That a channel's step may be coarser for the sake of the weights."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Vector:
    """How the int16 that a layer reads stand for numbers: real = offset + step * q, per column.

    samples  (samples, columns), what calibration saw there; None: not known, and weights are rounded each to its nearest
    """

    step: Doubles
    offset: Doubles
    samples: NDArray[np.float32] | None = None

    @staticmethod
    def uniform(count: int, step: float) -> Vector:
        return Vector(np.full(count, step), np.zeros(count))

    def seeing(self, samples: NDArray[np.float32]) -> Vector:
        """Return it with what calibration saw, (..., columns), as many rows of it as say enough."""
        rows = some_rows(samples.reshape(-1, samples.shape[-1]), MOST_SAMPLES)
        return replace(self, samples=rows if len(rows) else None)

    def integers(self) -> Doubles | None:
        """Return the samples as the integers that a layer reads."""
        return None if self.samples is None else (self.samples.astype(np.float64) - self.offset) / self.step


@dataclass(frozen=True, slots=True, eq=False)
class RowsSeeing:
    """Rows of a product that saw samples (..., columns) of their own, and that read nothing before column `first`."""

    rows: slice
    samples: NDArray[np.float32]
    first: int = 0


def some_rows(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Return `most` of the rows in order, one at random of each of as many parts: no regular step, which could be a period."""
    if len(rows) <= most:
        return rows
    within = np.random.default_rng(0).random(most)
    return rows[((np.arange(most) + within) * (len(rows) / most)).astype(np.int64)]


def reach_of(given: NDArray[np.float32]) -> float:
    """Return the largest magnitude."""
    return float(np.abs(given).max())


def quantize_channels(
    names: tuple[str, ...],
    units: tuple[str, ...],
    x: NDArray[np.float32],
    rows: Mapping[int, int] | None = None,
) -> tuple[Channel, ...]:
    """Choose offset and power-of-two gain of every channel from calibration samples (samples, channels).

    rows  of the table whose rows a channel numbers, by channel: all of them have to fit, whichever calibration has seen
    """
    channels = []
    for number, (name, unit, column) in enumerate(zip(names, units, x.astype(np.float64).T, strict=True)):
        low, high = float(column.min()), float(column.max())
        if rows and number in rows:
            low, high = 0.0, float(rows[number] - 1)
        offset = float(np.float32((low + high) / 2.0))
        reach = max(high - offset, offset - low) or max(
            abs(offset), 1.0
        )  # a constant channel may move one day
        gain = _power_of_two(FULL_SCALE / (HEADROOM * reach))
        channels.append(Channel(name=name, unit=unit, offset=offset, gain=gain))
    return tuple(channels)


def balance(channels: tuple[Channel, ...], matrices: Sequence[NDArray[np.float32]]) -> tuple[Channel, ...]:
    """Return the channels with a coarser step where no row of the matrices that read them would notice it.

    A row has one scale, that of its largest weight times step. A channel whose weights times step stay far below it in every row
    is multiplied with a large rounding error for what it contributes; a coarser step makes that error smaller, and
    costs bits that int16 has to spare. matrices (rows, channels)
    """
    if not matrices:
        return channels
    step = np.array([1.0 / channel.gain for channel in channels])
    share = np.zeros(len(channels))
    for matrix in matrices:
        reach = np.abs(matrix.astype(np.float64)) * step
        largest = reach.max(axis=1, keepdims=True)
        share = np.maximum(
            share, np.divide(reach, largest, out=np.zeros_like(reach), where=largest > 0.0).max(axis=0)
        )
    bits = np.clip(np.floor(-np.log2(np.maximum(share, 2.0**-MOST_BITS))), 0, MOST_BITS)
    return tuple(
        msgspec.structs.replace(channel, gain=channel.gain / 2.0 ** int(n))
        for channel, n in zip(channels, bits, strict=True)
    )


def of_one_step(
    channels: tuple[Channel, ...], matrices: Sequence[tuple[NDArray[np.float32], Doubles | None]]
) -> tuple[Channel, ...] | None:
    """Return the channels with the coarsest of their steps, where all that reads them was int8 before: its numbers stay what they are.

    None where it was not, or where a channel would lose more than a few of its bits. matrices (rows, channels), with what
    `row_product` calls steps
    """
    gains = [channel.gain for channel in channels]
    if not matrices or min(gains) * 2.0**MOST_BITS < max(gains):
        return None
    for matrix, steps in matrices:
        exact = matrix.astype(np.float64)
        if off_grid(exact, row_scales(exact, steps)).any():
            return None
    return tuple(msgspec.structs.replace(channel, gain=min(gains)) for channel in channels)


def holding(channels: tuple[Channel, ...], values: Mapping[int, float]) -> tuple[Channel, ...]:
    """Return the channels so that certain values of some, float32 by the number of the channel, are exactly values of int16.

    Such are those that stand before the first sample: a layer that looks back so far sees what it was trained with. An offset
    moves to a whole number of steps from the value, and a range is made wider where the value is outside of it.
    """
    found = list(channels)
    for number, value in values.items():
        offset, gain = channels[number].offset, channels[number].gain
        reach = FULL_SCALE / gain
        if abs(value - offset) > reach:
            far = offset + math.copysign(reach, offset - value)
            offset, reach = (far + value) / 2.0, abs(far - value) / 2.0
            gain = _power_of_two((FULL_SCALE - 1.0) / reach)
        offset = float(np.float32(value + round((offset - value) * gain) / gain))
        if (offset - value) * gain % 1.0:  # float32 has not got that number
            reach += abs(offset - value)
            offset, gain = value, _power_of_two(FULL_SCALE / reach)
        found[number] = msgspec.structs.replace(channels[number], offset=offset, gain=gain)
    return tuple(found)


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


@dataclass(frozen=True, slots=True)
class Form:
    """The fixed point of what a product gives: 32 bits of real * `scale`, narrowed to int16 in steps of `step`.

    unit  what one of the 32 bits stands for, after the activation, as an output of the model
    """

    exponent: int
    scale: float
    step: float
    unit: float


BOUNDED_FORM = Form(15, GATE_SCALE, HIDDEN_STEP, 2.0**-31)
"""Before and after an activation that is bounded by 1: Q15.16, Q0.31, narrowed to Q0.15."""


def form_of(exponent: int) -> Form:
    """Return the form that keeps one fixed point throughout."""
    return Form(exponent, 2.0 ** (exponent + 8), 2.0**-exponent, 2.0 ** -(exponent + 8))


def output_form(reach: float, worst: float, *, read: bool) -> Form:
    """Return how int16 best hold `reach` where a layer reads them, else how 32 bits best hold the worst case."""
    return form_of(finest_exponent(reach) if read else wide_exponent(worst))


def row_product(
    name: str,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    source: Vector,
    result_scale: float,
    groups: Sequence[RowsSeeing] = (),
    steps: Doubles | None = None,
) -> RowProduct:
    """Quantise `(weights @ x + bias) * result_scale` for x as `source` reads it.

    groups  rows that saw other samples than `source` says
    steps   (rows,), what one of the whole numbers that a row was before stands for; 0 where it was none
    """
    exact = weights.astype(np.float64)
    columns = exact * source.step  # per unit of the int16 input
    known = None if steps is None or np.ptp(source.step) else steps * source.step[0]
    starts = [0] if not _needs_blocks(columns, known) else list(range(0, columns.shape[1], COLUMN_BLOCK))
    blocks = [slice(first, first + COLUMN_BLOCK if len(starts) > 1 else None) for first in starts]
    scales = [row_scales(columns[:, block], known) for block in blocks]
    apart = ((group.rows, group.first, source.seeing(group.samples).integers()) for group in groups)
    seen = [(slice(None), 0, source.integers()), *apart]
    rounded = [
        _rounded(columns[:, block], scale, seen, block) for block, scale in zip(blocks, scales, strict=True)
    ]
    factors = [
        multipliers(name, np.where(part.weights.any(axis=1), scale * result_scale, 0.0), result_scale / 127)
        for part, scale in zip(rounded, scales, strict=True)
    ]
    correction = np.sum([part.correction for part in rounded], axis=0)
    return RowProduct(
        weights=np.ascontiguousarray(np.concatenate([part.weights for part in rounded], axis=1)),
        multipliers=np.stack([part for part, _ in factors]),
        shifts=np.stack([shifts for _, shifts in factors]),
        bias=_integer_bias(name, bias.astype(np.float64) + exact @ source.offset + correction, result_scale),
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


def _needs_blocks(columns: Doubles, known: Doubles | None) -> bool:
    if columns.shape[1] <= COLUMN_BLOCK:
        return False
    quantised = np.rint(columns / row_scales(columns, known)[:, None])
    return bool(np.abs(quantised).sum(axis=1).max() + 0.5 * columns.shape[1] > MAX_WEIGHT_SUM)


def _rounded(
    columns: Doubles, scale: Doubles, seen: Sequence[tuple[slice, int, Doubles | None]], block: slice
) -> Rounded:
    """Round as calibration says, unless that needs more room in the accumulator than there is.

    seen  which rows saw, from which column on, which samples (samples, all columns); the last that names a row counts
    """
    found = Rounded(np.zeros(columns.shape, np.int8), np.zeros(len(columns)))
    for rows, first, samples in seen:
        part = slice(max(first - (block.start or 0), 0), None)
        some = None if samples is None else samples[:, block][:, part]
        found.weights[rows], found.correction[rows] = 0, 0.0
        if columns[rows, part].size:
            rounded = round_rows(columns[rows, part], scale[rows], some)
            found.weights[rows, part], found.correction[rows] = rounded.weights, rounded.correction
    if np.abs(found.weights.astype(np.int64)).sum(axis=1).max(initial=0) > MAX_WEIGHT_SUM:
        return round_rows(columns, scale, None)
    return found


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
