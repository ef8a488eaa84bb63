"""Sixty-four look-ups at once in registers: every byte of a table entry is a table of 512 bytes of its own.

`vpermi2b` picks, for each of 64 lanes, one of 128 bytes; four of them and the two top bits of the index make 512. An entry of
the logistic function is seven such bytes: four of the knot, three of the step.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from edgelstm.kernels.lanes import INT8, INT32, LANES, Lanes, join, part
from edgelstm.reference.sigmoid_table import KNOTS

_COUNT = 4 * LANES
_BYTES, _WIDE = ir.VectorType(INT8, _COUNT), ir.VectorType(INT32, _COUNT)
_KNOT_BYTES, _STEP_BYTES = 4, 3
_KNOTS, _STEPS = KNOTS[:-1].astype(np.int64), (KNOTS[1:].astype(np.int64) - KNOTS[:-1]) >> 4


def look_up(build, indices):
    """Return a knot and a step, as Lanes, for each of four Lanes of indices from 0 to 511."""
    wide = join(build, [index.value for index in indices])
    low = build.trunc(wide, _BYTES)
    top = [
        build.icmp_signed(
            "!=", build.and_(wide, ir.Constant(_WIDE, [bit] * _COUNT)), ir.Constant(_WIDE, None)
        )
        for bit in (128, 256)
    ]
    tables = build.module.globals.get("edgelstm.sigmoid_bytes") or _make_tables(build.module)
    columns = [_column(build, tables, number, low, top) for number in range(_KNOT_BYTES + _STEP_BYTES)]
    zero = ir.Constant(_BYTES, None)
    knots = _joined(build, columns[:_KNOT_BYTES])
    steps = _joined(build, [*columns[_KNOT_BYTES:], zero])
    return [
        [Lanes(build, part(build, values, LANES * number, LANES)) for values in (knots, steps)]
        for number in range(len(indices))
    ]


def _column(build, tables, number, low, top):
    """Return one byte of each entry."""
    signature = ir.FunctionType(_BYTES, [_BYTES] * 3)
    pick = cgutils.get_or_insert_function(build.module, signature, "llvm.x86.avx512.vpermi2var.qi.512")
    parts = [
        build.load(build.gep(tables, [ir.Constant(INT32, 0), ir.Constant(INT32, 8 * number + at)]))
        for at in range(8)
    ]
    picked = [build.call(pick, [parts[at], low, parts[at + 1]]) for at in range(0, 8, 2)]
    lower, upper = build.select(top[0], picked[1], picked[0]), build.select(top[0], picked[3], picked[2])
    return build.select(top[1], upper, lower)


def _joined(build, four):
    """Return int32 values whose bytes are given apart, the lowest first."""
    low, high = _interleaved(build, *four[:2]), _interleaved(build, *four[2:])
    words = ir.VectorType(ir.IntType(16), _COUNT)
    return build.bitcast(_interleaved(build, build.bitcast(low, words), build.bitcast(high, words)), _WIDE)


def _interleaved(build, a, b):
    count = a.type.count
    order = [n // 2 + count * (n % 2) for n in range(2 * count)]
    return build.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, 2 * count), order))


def _make_tables(module):
    columns = [_KNOTS >> 8 * byte & 255 for byte in range(_KNOT_BYTES)]
    columns += [_STEPS >> 8 * byte & 255 for byte in range(_STEP_BYTES)]
    vectors = [
        ir.Constant(_BYTES, [int(value) for value in column[at : at + _COUNT]])
        for column in columns
        for at in range(0, len(_KNOTS), _COUNT)
    ]
    constant = ir.Constant(ir.ArrayType(_BYTES, len(vectors)), vectors)
    tables = ir.GlobalVariable(module, constant.type, "edgelstm.sigmoid_bytes")
    tables.linkage, tables.global_constant, tables.initializer, tables.align = "internal", True, constant, 64
    return tables
