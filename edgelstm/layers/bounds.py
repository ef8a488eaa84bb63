"""What every check of a layer is made of: a condition and the line to say, ranges, and the worst sum of a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ModelFileError

MAX_WEIGHT_SUM = 65_535
"""Sum of |weight| of a row and block: 65,535 * 32,768 is the largest sum of products that fits in int32."""

MAX_UNITS = 8192


def require(condition: bool, otherwise: str) -> None:
    """Raise ModelFileError with the line `otherwise` where `condition` does not hold."""
    if not condition:
        raise ModelFileError(otherwise)


def require_range(values: NDArray[np.int8] | NDArray[np.int32], low: int, high: int, where: str) -> None:
    """Require every value to be within `low` to `high`; the line names the first that is not."""
    outside = (values < low) | (values > high)
    if outside.any():
        at = tuple(int(axis) for axis in np.argwhere(outside)[0])
        raise ModelFileError(f"{where}{list(at)} is {int(values[at])}, expected {low} to {high}")


def require_array(values: NDArray[np.generic], shape: tuple[int, ...], dtype: type, where: str) -> None:
    """Require an array of `dtype` and `shape`."""
    require(values.dtype == dtype, f"{where} are {values.dtype}, expected {np.dtype(dtype)}")
    require(values.shape == shape, f"{where} have shape {values.shape}, expected {shape}")


def require_int32(worst: NDArray[np.int64], where: str, bits: int = 31) -> None:
    """Require the largest magnitude of every row to be below 2**bits: to fit in int32, or in half of it."""
    row = int(np.argmax(worst))
    require(
        int(worst[row]) < 2**bits,
        f"{where}: row {row} can reach {int(worst[row])}, which is not below 2**{bits}",
    )


def require_one_of(value: object, known: tuple[str, ...], where: str) -> None:
    """Require a name that is in the table `known`."""
    require(value in known, f'{where} is "{value}", expected one of {", ".join(known)}')


def require_units(units: int, where: str) -> None:
    require(1 <= units <= MAX_UNITS, f"{where}: {units} units, expected 1 to {MAX_UNITS}")
