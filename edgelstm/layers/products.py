"""Weights as the kernels take them: int8 rows with a multiplier each, or one multiplier per element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.bounds import MAX_UNITS, MAX_WEIGHT_SUM, require, require_array, require_range

COLUMN_BLOCK = 512
"""Columns that share one scale and one accumulator once a row has to be split."""


@dataclass(frozen=True, slots=True, eq=False)
class RowProduct:
    """A matrix of int8 rows with one scale per row, times a vector of int16.

    weights      int8  (rows, columns)   |w| <= 127
    multipliers  int32 (blocks, rows)    0 <= M < 2**30
    shifts       int32 (blocks, rows)    0 <= s <= 30
    bias         int32 (rows,)

    result[r] = bias[r] + sum over blocks b of mulr(sat32(acc[b, r] << shifts[b, r]), multipliers[b, r])
    One block covers all columns; with several, block b covers columns 512*b to 512*(b+1).
    """

    weights: NDArray[np.int8]
    multipliers: NDArray[np.int32]
    shifts: NDArray[np.int32]
    bias: NDArray[np.int32]

    @property
    def rows(self) -> int:
        return int(self.weights.shape[0])

    @property
    def columns(self) -> int:
        return int(self.weights.shape[1]) if self.weights.ndim == 2 else -1

    def part(self, first: int, end: int) -> RowProduct:
        """Return the product of rows `first` to `end`."""
        return RowProduct(
            self.weights[first:end],
            self.multipliers[:, first:end],
            self.shifts[:, first:end],
            self.bias[first:end],
        )

    def check(self, where: str, rows: int | None, columns: int) -> NDArray[np.int64]:
        """Check sizes and ranges; return the largest magnitude that each row can reach.

        Raises ModelFileError, beginning with `where`.
        """
        weights, multipliers, shifts, bias = self.weights, self.multipliers, self.shifts, self.bias
        expected = (weights.shape[0] if rows is None else rows, columns)
        require(weights.dtype == np.int8, f"{where}.weights are {weights.dtype}, expected int8")
        for name, values in (("multipliers", multipliers), ("shifts", shifts), ("bias", bias)):
            require(values.dtype == np.int32, f"{where}.{name} are {values.dtype}, expected int32")
        require(weights.shape == expected, f"{where}.weights have shape {weights.shape}, expected {expected}")
        require(1 <= expected[0] <= 4 * MAX_UNITS, f"{where}.weights have {expected[0]} rows")
        blocks = multipliers.shape[0] if multipliers.ndim == 2 else 0
        most = max(1, -(-columns // COLUMN_BLOCK))
        require(
            blocks in (1, most),
            f"{where}.multipliers have shape {multipliers.shape}, expected 1 or {most} blocks",
        )
        for name, values in (("multipliers", multipliers), ("shifts", shifts)):
            shape = (blocks, expected[0])
            require(values.shape == shape, f"{where}.{name} have shape {values.shape}, expected {shape}")
        require(bias.shape == expected[:1], f"{where}.bias has shape {bias.shape}, expected {expected[:1]}")
        require_range(weights, -127, 127, f"{where}.weights")
        require_range(multipliers, 0, 2**30 - 1, f"{where}.multipliers")
        require_range(shifts, 0, 30, f"{where}.shifts")
        worst = np.abs(bias.astype(np.int64))
        for block in range(blocks):
            first = block * COLUMN_BLOCK
            end = columns if block == blocks - 1 else first + COLUMN_BLOCK
            sums = np.abs(weights[:, first:end].astype(np.int64)).sum(axis=1)
            row = int(np.argmax(sums))
            require(
                int(sums[row]) <= MAX_WEIGHT_SUM,
                f"{where}.weights: row {row} sums to {int(sums[row])}, expected at most {MAX_WEIGHT_SUM}",
            )
            largest = np.minimum((sums * 32768) << shifts[block], 2**31)
            worst += (largest * multipliers[block] + 2**30) >> 31
        return worst


@dataclass(frozen=True, slots=True, eq=False)
class ElementProduct:
    """One multiplier for each element of a vector of int16: a matrix that is zero off its diagonal.

    multipliers  int32 (count,)  |M| < 2**30
    shifts       int32 (count,)  0 <= s <= 30
    bias         int32 (count,)

    result[n] = bias[n] + mulr(sat32(x[n] << shifts[n]), multipliers[n])
    """

    multipliers: NDArray[np.int32]
    shifts: NDArray[np.int32]
    bias: NDArray[np.int32]

    @property
    def count(self) -> int:
        return int(self.bias.shape[0]) if self.bias.ndim == 1 else -1

    def part(self, first: int, end: int) -> ElementProduct:
        """Return the product of elements `first` to `end`."""
        return ElementProduct(self.multipliers[first:end], self.shifts[first:end], self.bias[first:end])

    def check(self, where: str, count: int, largest: int = 32768) -> NDArray[np.int64]:
        """Check sizes and ranges; return the largest magnitude that each element can reach.

        `largest` is the largest magnitude of what is multiplied. Raises ModelFileError, beginning with `where`.
        """
        for name in ("multipliers", "shifts", "bias"):
            require_array(getattr(self, name), (count,), np.int32, f"{where}.{name}")
        require_range(self.multipliers, 1 - 2**30, 2**30 - 1, f"{where}.multipliers")
        require_range(self.shifts, 0, 30, f"{where}.shifts")
        reached = np.minimum(np.int64(largest) << self.shifts.astype(np.int64), 2**31)
        part = (reached * np.abs(self.multipliers.astype(np.int64)) + 2**30) >> 31
        worst: NDArray[np.int64] = part + np.abs(self.bias.astype(np.int64))
        return worst
