"""The logistic function and the hyperbolic tangent over lanes; twins in `reference/activations.py`.

A table entry is a knot and a sixteenth of the distance to the next one, 64 bits that one load brings.
"""

from llvmlite import ir
from numba.core import cgutils

from edgelstm.kernels.byte_tables import look_up
from edgelstm.kernels.instructions import byte_tables_fast, gathers_fast
from edgelstm.kernels.lanes import INT32, INT32S, INT64, LANES, Lanes, splat
from edgelstm.reference.activations import LARGEST
from edgelstm.reference.sigmoid_table import KNOTS

_DOUBLE = ir.DoubleType()
_ENTRIES = ir.VectorType(INT64, LANES // 2)


def sigmoid(z):
    """Return s(z) in Q0.31 for `z` in Q15.16."""
    return _above_half([_within(z)], [z])[0] + (1 << 30)


def tanh(z):
    """Return tanh(z) in Q0.30 for `z` in Q15.16."""
    return _above_half([_doubled(z)], [z])[0]


def gates(i, f, g, o):
    """Return sigmoid of i and f, tanh of g, and sigmoid of o, looked up together."""
    *halves, tanh_g = _above_half([_within(i), _within(f), _within(o), _doubled(g)], [i, f, o, g])
    i, f, o = (half + (1 << 30) for half in halves)
    return i, f, tanh_g, o


def tanh_of_cell(cell):
    """Return tanh in Q0.30 of `cell` in Q7.23."""
    return tanh_of_cells(cell)[0]


def tanh_of_cells(*several):
    """Return `tanh_of_cell` of each: four cost less together."""
    magnitudes = [((cell.with_sign_of(cell) + 32) >> 6).minimum(LARGEST) for cell in several]
    return _above_half(magnitudes, several)


def _within(z):
    return z.with_sign_of(z).minimum(LARGEST)


def _doubled(z):
    return z.with_sign_of(z).minimum(LARGEST >> 1) << 1


def _above_half(magnitudes, signs):
    """Look s(z) - 1/2 up, linear between knots, for each |z| in Q15.16 and lanes that have the sign of z."""
    build = magnitudes[0].builder
    indices = [magnitude >> 11 for magnitude in magnitudes]
    if byte_tables_fast():
        entries = look_up(build, indices)
    else:
        entries = [_knot_and_step(build, index) for index in indices]
    return [
        (knot + ((step * (magnitude & 2047)) >> 7)).with_sign_of(sign)
        for magnitude, sign, (knot, step) in zip(magnitudes, signs, entries, strict=True)
    ]


def _knot_and_step(build, indices):
    table = build.module.globals.get("edgelstm.sigmoid") or _make_table(build.module)
    load_entries = _gather_entries if gathers_fast() else _load_entries
    even, odd = (build.bitcast(entries, INT32S) for entries in load_entries(build, table, indices.value))
    return [
        Lanes(
            build,
            build.shuffle_vector(
                even,
                odd,
                ir.Constant(INT32S, [lane - lane % 2 + LANES * (lane % 2) + half for lane in range(LANES)]),
            ),
        )
        for half in (0, 1)
    ]


def _load_entries(build, table, indices):
    """Return the entries of even and of odd lanes, by a scalar load each, through memory.

    The empty assembly keeps LLVM from taking the indices out of the vector register one by one instead.
    """
    place = cgutils.alloca_once(build, INT32S)
    build.store(indices, place).align = 64
    touched = ir.FunctionType(ir.VoidType(), [place.type])
    build.asm(touched, "", "r,~{memory}", [place], side_effect=True)
    first, table = build.bitcast(place, INT32.as_pointer()), build.bitcast(table, _DOUBLE.as_pointer())
    entries = [ir.Constant(ir.VectorType(_DOUBLE, LANES // 2), ir.Undefined)] * 2
    for lane in range(LANES):
        index = build.load(build.gep(first, [ir.Constant(INT32, lane)]))
        entry = build.load(build.gep(table, [build.zext(index, INT64)]))
        entries[lane % 2] = build.insert_element(entries[lane % 2], entry, ir.Constant(INT32, lane // 2))
    return entries


def _gather_entries(build, table, indices):
    """Return the entries of even and of odd lanes, by a gather each."""
    count = LANES // 2
    pairs = build.bitcast(indices, _ENTRIES)
    shift = ir.Constant(_ENTRIES, [32] * count)
    even, odd = build.lshr(build.shl(pairs, shift), shift), build.lshr(pairs, shift)
    pointers, mask = ir.VectorType(INT64.as_pointer(), count), ir.VectorType(ir.IntType(1), count)
    signature = ir.FunctionType(_ENTRIES, [pointers, INT32, mask, _ENTRIES])
    gather = cgutils.get_or_insert_function(
        build.module, signature, f"llvm.masked.gather.v{count}i64.v{count}p0"
    )
    first = splat(build, build.ptrtoint(table, INT64), _ENTRIES)
    return [
        build.call(
            gather,
            [
                build.inttoptr(
                    build.add(first, build.shl(places, ir.Constant(_ENTRIES, [3] * count))), pointers
                ),
                ir.Constant(INT32, 8),
                ir.Constant(mask, [1] * count),
                ir.Constant(_ENTRIES, ir.Undefined),
            ],
        )
        for places in (even, odd)
    ]


def _make_table(module):
    entries = [
        int(low) | (int(following) - int(low)) >> 4 << 32
        for low, following in zip(KNOTS[:-1], KNOTS[1:], strict=True)
    ]
    constant = ir.Constant(ir.ArrayType(INT64, len(entries)), entries)
    table = ir.GlobalVariable(module, constant.type, "edgelstm.sigmoid")
    table.linkage, table.global_constant, table.initializer, table.align = "internal", True, constant, 64
    return table
