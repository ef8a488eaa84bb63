"""Rounding, shifting and saturating of the integer arithmetic; twins in `reference/fixed_point.py`.

Scalars are int64 here, so nothing wraps on the way; only `saturate*` narrows.
"""

from edgelstm.kernels.compiled import njit


@njit
def mulr(a, b):
    """Return `(a * b + 2**30) >> 31` for int64 `a` and `b` that hold 32-bit values."""
    return (a * b + (1 << 30)) >> 31


@njit
def rshift(value, bits):
    """Shift right by `bits` >= 1, to the nearest, halves up."""
    return (value + (1 << (bits - 1))) >> bits


@njit
def saturate16(value):
    return min(max(value, -32768), 32767)


@njit
def saturate32(value):
    return min(max(value, -2147483648), 2147483647)
