"""Up to sixty-four look-ups at once in registers: every byte of a table entry is a table of 512 bytes of its own.

`vpermi2b` picks, for each of 64 lanes, one of 128 bytes; four of them and the two top bits of the index make 512. An entry of
the logistic function is seven such bytes: four of the knot, three of the step. Where 128 entries have the same byte, nothing
is picked. Indices are packed into bytes, and bytes unpacked into entries, by the instructions that work on each 128 bits apart:
what one does to the order, the other undoes.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from edgelstm.kernels.lanes import INT8, INT16, INT32, INT32S, LANES, Lanes
from edgelstm.reference.sigmoid_table import KNOTS

MOST = 4
"""How many Lanes are looked up at once."""

_COUNT, _HALF = MOST * LANES, MOST * LANES // 2
_BYTES, _WORDS = ir.VectorType(INT8, _COUNT), ir.VectorType(INT16, _HALF)
_KNOT_BYTES, _STEP_BYTES = 4, 3
_PICKED = 128
"""Entries that one instruction picks from."""

_KNOTS, _STEPS = KNOTS[:-1].astype(np.int64), (KNOTS[1:].astype(np.int64) - KNOTS[:-1]) >> 4
_COLUMNS = [_KNOTS >> 8 * byte & 255 for byte in range(_KNOT_BYTES)]
_COLUMNS += [_STEPS >> 8 * byte & 255 for byte in range(_STEP_BYTES)]


def look_up(build, indices):
    """Return a knot and a step, as Lanes, for each of at most MOST Lanes of indices from 0 to 511."""
    nothing = ir.Constant(INT32S, None)
    padded = [index.value for index in indices] + [nothing] * (MOST - len(indices))
    words = [_packed(build, "packusdw", _WORDS, *padded[at : at + 2]) for at in (0, 2)]
    low = _packed(build, "packuswb", _BYTES, *(build.and_(each, _all(_WORDS, 255)) for each in words))
    high = _packed(build, "packuswb", _BYTES, *(build.lshr(each, _all(_WORDS, 1)) for each in words))
    top = [build.icmp_signed("<", each, ir.Constant(_BYTES, None)) for each in (low, high)]
    columns = [_column(build, number, low, top) for number in range(len(_COLUMNS))]
    knots = _joined(build, columns[:_KNOT_BYTES], len(indices))
    steps = _joined(build, [*columns[_KNOT_BYTES:], ir.Constant(_BYTES, None)], len(indices))
    return list(zip(knots, steps, strict=True))


def _packed(build, name, kind, first, second):
    """Return the numbers of two vectors in one, cut to half the bits, by 128 bits of each in turn."""
    signature = ir.FunctionType(kind, [first.type] * 2)
    function = cgutils.get_or_insert_function(build.module, signature, f"llvm.x86.avx512.{name}.512")
    return build.call(function, [first, second])


def _column(build, number, low, top):
    """Return one byte of each entry."""
    quarters = [
        _quarter(build, number, at, _COLUMNS[number][at : at + _PICKED], low)
        for at in range(0, len(_KNOTS), _PICKED)
    ]
    lower, upper = (_chosen(build, top[0], *quarters[at : at + 2]) for at in (0, 2))
    return _chosen(build, top[1], lower, upper)


def _quarter(build, number, at, entries, low):
    """Return the byte of each entry as if its index had the top bits of `at`; a constant where that is all the same."""
    if (entries == entries[0]).all():
        return _all(_BYTES, int(entries[0]))
    signature = ir.FunctionType(_BYTES, [_BYTES] * 3)
    pick = cgutils.get_or_insert_function(build.module, signature, "llvm.x86.avx512.vpermi2var.qi.512")
    tables = [
        _table(build, f"edgelstm.sigmoid_bytes.{number}.{at + part * _COUNT}", half)
        for part, half in enumerate(np.split(entries, 2))
    ]
    return build.call(pick, [tables[0], low, tables[1]])


def _chosen(build, flags, if_not, if_so):
    same = isinstance(if_so, ir.Constant) and isinstance(if_not, ir.Constant) and str(if_so) == str(if_not)
    return if_so if same else build.select(flags, if_so, if_not)


def _joined(build, four, count):
    """Return `count` Lanes of int32 whose bytes are given apart, the lowest first."""
    lows, highs = (
        [build.bitcast(part, _WORDS) for part in _unpacked(build, *four[at : at + 2])] for at in (0, 2)
    )
    joined = [
        Lanes(build, build.bitcast(part, INT32S))
        for low, high in zip(lows, highs, strict=True)
        for part in _unpacked(build, low, high)
    ]
    return joined[:count]


def _unpacked(build, a, b):
    """Return the elements of `a` and `b` in turn: of the first halves of every 128 bits, and of the second ones."""
    count = a.type.count
    inside = count // 4  # in 128 bits
    for_each = [
        [first + half + n // 2 + count * (n % 2) for first in range(0, count, inside) for n in range(inside)]
        for half in (0, inside // 2)
    ]
    return [build.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, count), order)) for order in for_each]


def _all(kind, value):
    return ir.Constant(kind, [value] * kind.count)


def _table(build, name, values):
    """Return 64 bytes in memory, which one instruction reads."""
    table = build.module.globals.get(name)
    if table is None:
        table = ir.GlobalVariable(build.module, _BYTES, name)
        table.initializer = ir.Constant(_BYTES, [int(value) for value in values])
        table.linkage, table.global_constant, table.align = "internal", True, 64
    return build.load(table)
