"""Rounding, shifting and saturating of the integer arithmetic, on NumPy arrays.

Every function takes and returns int64, so that nothing wraps on the way; only `saturate*` narrows.
"""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def mulr(a: Integers, b: Integers | int) -> Integers:
    """Return `(a * b + 2**30) >> 31`, the rounding doubling high multiply (`SQRDMULH` without its saturation).

    One operand is always within 2**30: doubled, it fits the plain high multiply of smaller cores (`SMMULR`).
    """
    return (a * b + (1 << 30)) >> 31


def rshift(value: Integers, bits: int) -> Integers:
    """Shift right by `bits` >= 1, to the nearest, halves up."""
    return (value + (1 << (bits - 1))) >> bits


def saturate16(value: Integers) -> Integers:
    return np.clip(value, -(2**15), 2**15 - 1)


def saturate31(value: Integers) -> Integers:
    return np.clip(value, -(2**30), 2**30 - 1)


def saturate32(value: Integers) -> Integers:
    return np.clip(value, -(2**31), 2**31 - 1)
