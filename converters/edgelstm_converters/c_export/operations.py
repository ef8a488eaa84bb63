"""The table of operations in C: what each becomes inside NAME_step, and the fragments of `runtime/` that it calls.

A new operation of the kernels is one line here and one C function in `runtime/`, which takes the words of the operation in
their order; what has none is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers.activation import ACTIVATIONS
from edgelstm.reference import operations as op
from edgelstm.reference.activations import HARD_SIGMOID, HARD_SLOPES, SOFTMAX
from edgelstm.reference.power_table import POWERS
from edgelstm.reference.sigmoid_table import KNOTS
from edgelstm.state_field import StateField
from edgelstm_converters.c_export.lowering import (
    ADD,
    LSTM_OUTPUT,
    LSTM_STATE,
    Array,
    CBuilder,
    Operation,
    Product,
)

FRAGMENTS: dict[str, tuple[str, ...]] = {
    "fixed_point": (),
    "input_stage": (),
    "match": (),
    "shift": (),
    "wide": (),
    "activations": (),
    "hard_sigmoid": (),
    "softmax": (),
    "elementwise": ("shift",),
    "dot_rows": (),
    "row_product": ("dot_rows",),
    "row_product_shifted": ("dot_rows", "shift"),
    "lstm_cell": ("activations",),
    "lstm_halves": ("activations",),
    "limit_words": (),
    "lstm_cell_options": ("activations", "hard_sigmoid"),
    "gru_reset": ("activations",),
    "gru_cell": ("activations",),
    "dense": ("activations",),
    "decoding": ("dense",),
    "ring": ("elementwise",),
    "rows": ("elementwise",),
    "normalize": ("elementwise", "wide"),
    "lstm_norm": ("elementwise", "wide"),
    "lookup": ("elementwise",),
    "curve": (),
    "attention": ("activations", "softmax", "wide", "shift"),
    "runs": ("wide",),
    "grid": ("elementwise",),
    "snapshot": (),
}
"""Every fragment, in the order in which C wants them, and the ones before it that it calls."""

ALWAYS = ("fixed_point", "input_stage", "snapshot")

TABLES: dict[str, NDArray[np.int32]] = {"activations": KNOTS, "softmax": POWERS}
"""Fragments that hold a table, in place of @TABLE@."""


@dataclass(frozen=True, slots=True)
class Call:
    """The C function of an operation, the fragment that it stands in, and how each word of the operation is written."""

    fragment: str
    function: str
    arguments: tuple[Callable[[CBuilder, Any], str], ...]

    def write(self, build: CBuilder, *words: Any) -> list[str]:
        written = (write(build, word) for write, word in zip(self.arguments, words, strict=True))
        return [f"{self.function}({', '.join(written)});"]


@dataclass(frozen=True, slots=True)
class Statement:
    """The fragment that an operation needs, and the function that writes its statements."""

    fragment: str | None
    write: Callable[..., list[str]]


def fragments_of(build: CBuilder) -> list[str]:
    """Return the fragments that the operations need, in order; raises ConversionError for an operation without C."""
    wanted = set(ALWAYS)
    for operation in build.listed:
        fragment = _template(operation).fragment
        if operation.kind == op.ROW_PRODUCT and operation.words[0].shifts is not None:
            fragment = "row_product_shifted"
        if operation.kind == op.ACTIVATE_SELDOM:
            fragment = "softmax" if operation.words[2] == SOFTMAX else "hard_sigmoid"
        if fragment:
            wanted.add(fragment)
    for fragment, needed in reversed(FRAGMENTS.items()):
        if fragment in wanted:
            wanted.update(needed)
    return [name for name in FRAGMENTS if name in wanted]


def statements(build: CBuilder) -> list[str]:
    """Return the statements of a step, indented once."""
    lines: list[str] = []
    inside: list[int] = []  # how many operations each block of EVERY and WHEN has left
    loops = 0
    layer = ""
    for operation in build.listed:
        loops -= operation.kind == op.END_LOOP
        indent = "    " * (1 + len(inside) + loops)
        if operation.layer != layer and operation.kind != op.END_LOOP:
            layer = operation.layer
            lines.append(f"{indent}/* {layer} */")
        lines += [indent + line for line in _template(operation).write(build, *operation.words)]
        loops += operation.kind == op.LOOP
        inside = [left - 1 for left in inside]
        if operation.kind in (op.EVERY, op.WHEN):
            inside.append(operation.words[-1])
        while inside and inside[-1] == 0:
            inside.pop()
            lines.append("    " * (1 + len(inside) + loops) + "}")
    return lines


def begin_anew(build: CBuilder, fields: list[tuple[Array, StateField]]) -> list[str]:
    """Return the statements that put fields of the state where a new stream begins."""
    lines = []
    for array, _ in fields:
        start = build.at_start.get(array.name)
        lines += [
            f"for (int n = 0; n < {array.size}; n++) {{",
            f"    state->{array.name}[n] = {f'{start.name}[n]' if start else '0'};",
            "    KEEP_LOOP();",
            "}",
        ]
    return lines


def _template(operation: Operation) -> Call | Statement:
    if operation.kind in TEMPLATES:
        return TEMPLATES[operation.kind]
    names = [name for name, value in vars(op).items() if name.isupper() and value == operation.kind]
    name = op.SELDOM[operation.kind][1] if operation.kind in op.SELDOM else names[-1].lower()
    raise ConversionError(
        f'layer "{operation.layer}" needs the operation "{name}", which has no C yet; exported are '
        f"{', '.join(sorted({t.fragment for t in TEMPLATES.values() if t.fragment}))}"
    )


# How a word of an operation is written as an argument.


def number(build: CBuilder, word: Any) -> str:
    del build
    return str(int(word))


def code(build: CBuilder, word: int) -> str:
    """The code of an activation, by the name that `lstm_cell_options.c` gives it."""
    del build
    return ACTIVATIONS[word].upper()


def constant(build: CBuilder, word: Any) -> str:
    del build
    return str(word.name) if word else "0"


def scratch(build: CBuilder, word: int) -> str:
    return build.array_at(False, 2 * word)[1]


def scratch16(build: CBuilder, half: int) -> str:
    return build.array_at(False, half)[1]


def state(build: CBuilder, word: int) -> str:
    return build.array_at(True, 2 * word)[1]


def state16(build: CBuilder, half: int) -> str:
    return build.array_at(True, half)[1]


def place(build: CBuilder, word: int) -> str:
    return build.array_at(bool(word & 1), word >> 1)[1]


def in_scratch(build: CBuilder, word: int) -> str:
    """The value that stands in scratch, instead of where it stands."""
    return f"{scratch(build, word)}[0]"


def in_state(build: CBuilder, word: int) -> str:
    return f"{state(build, word)}[0]"


# Operations that are more than a call.


def _quantize_input(build: CBuilder, channels: int, offsets: Any, gains: Any, half: int) -> list[str]:
    name = scratch16(build, half)
    limits = [] if build.limits is None else build.limits.T.tolist()
    rows = [(c, low, high) for c, (low, high) in enumerate(limits) if np.isfinite(low)]
    return [
        f"for (int c = 0; c < {channels}; c++)",
        "    if (!is_finite(x[c]))",
        "        return c + 1;",
        *(
            line
            for c, low, high in rows
            for line in (
                f"if (x[{c}] < {low!r}f || x[{c}] > {high!r}f) /* no row of its table */",
                f"    return {c + 1};",
            )
        ),
        f"for (int c = 0; c < {channels}; c++)",
        f"    {name}[c] = quantize(x[c], {offsets.name}[c], {gains.name}[c]);",
    ]


def _row_product(build: CBuilder, product: Product) -> list[str]:
    z = scratch(build, product.z)
    start = product.bias.name if product.bias else z
    source = build.array_at(product.source.in_state, product.source.half)[1]
    shifts = f"{product.shifts.name}, " if product.shifts else ""
    return [
        f"row_product{'_shifted' if shifts else ''}({product.weights.name}, {product.multipliers.name}, {shifts}{start}, "
        f"{product.rows}, {product.columns}, {source}, {z});"
    ]


def _activate(build: CBuilder, units: int, z: int, activation: int) -> list[str]:
    functions = {"relu": "relu", "sigmoid": "sigmoids", "tanh": "hyperbolic_tangents"}
    return [f"{functions[ACTIVATIONS[activation]]}({units}, {scratch(build, z)});"]


def _activate_seldom(build: CBuilder, units: int, z: int, activation: int) -> list[str]:
    if activation == SOFTMAX:
        return [f"softmax({units}, {scratch(build, z)});"]
    reach, slope = HARD_SLOPES[activation - HARD_SIGMOID]
    return [f"hard_sigmoids({units}, {scratch(build, z)}, {reach}, {slope});"]


def _narrow(build: CBuilder, units: int, z: int, bits: int, in_state: int, to: int) -> list[str]:
    return [f"narrow({units}, {scratch(build, z)}, {bits}, {build.array_at(bool(in_state), to)[1]});"]


def _emit(build: CBuilder, units: int, z: int, scales: Any, first: int) -> list[str]:
    return _emit_from(scratch(build, z), units, scales.name, first)


def _emit_half(build: CBuilder, units: int, in_state: int, half: int, scales: Any, first: int) -> list[str]:
    return _emit_from(build.array_at(bool(in_state), half)[1], units, scales.name, first)


def _emit_from(values: str, units: int, scales: str, first: int) -> list[str]:
    to = f"{first} + n" if first else "n"
    value = f"{values}[n]" if "+" not in values else f"({values})[n]"
    return [f"for (int n = 0; n < {units}; n++)", f"    y[{to}] = (float){value} * {scales}[n];"]


def _every(build: CBuilder, counter: int, period: int, phase: int, skip: int) -> list[str]:
    del skip
    count = in_state(build, counter)
    due = f"{build.array_at(True, 2 * counter)[0].name}_now"
    return [
        f"const int32_t {due} = {count};",
        f"{count} = {due} + 1 < {period} ? {due} + 1 : 0;",
        f"if ({due} == {phase}) {{",
    ]


def _match(build: CBuilder, count: int, channels: Any, values: Any, half: int, equal: int) -> list[str]:
    found = f"matches(x, {count}, {channels.name}, {values.name})"
    return [f"{scratch16(build, half)}[0] = {'' if equal else '!'}{found};"]


def _when(build: CBuilder, in_state: int, half: int, skip: int) -> list[str]:
    del skip
    return [f"if ({build.array_at(bool(in_state), half)[1]}[0] != 0) {{"]


def _loop(build: CBuilder, counter: int) -> list[str]:
    return [f"{in_scratch(build, counter)} = 0;", "do {"]


def _end_loop(build: CBuilder, counter: int, times: int, back: int) -> list[str]:
    del back
    return [f"}} while (++{in_scratch(build, counter)} < {times});"]


def _reset(build: CBuilder, first: int, count: int) -> list[str]:
    return begin_anew(build, [pair for pair in build.state_arrays if first <= pair[0].word < first + count])


def _copy(build: CBuilder, source: int, count: int, to: int) -> list[str]:
    taken, from_name = build.array_at(bool(source & 1), source >> 1)
    given, to_name = build.array_at(bool(to & 1), to >> 1)
    assert taken.type == given.type, f"a copy from {from_name} to {to_name}"
    if given.type == "int16_t":
        return [f"copy_halves({from_name}, {count}, {to_name});"]
    return [f"copy_words({from_name}, {count // 2}, {to_name});"]


def _add(build: CBuilder, bias: Any, rows: int, z: int) -> list[str]:
    return [f"for (int n = 0; n < {rows}; n++)", f"    ({scratch(build, z)})[n] += {bias.name}[n];"]


_RING = (state16, number, number)
_HELD = (*_RING, in_state, in_state)

TEMPLATES: dict[int, Call | Statement] = {
    op.QUANTIZE_INPUT: Statement(None, _quantize_input),
    op.ROW_PRODUCT: Statement("row_product", _row_product),
    op.LSTM_CELL: Call("lstm_cell", "lstm_cell", (number, scratch, state, state16)),
    LSTM_STATE: Call("lstm_halves", "lstm_cells", (number, scratch, state)),
    LSTM_OUTPUT: Call("lstm_halves", "lstm_hidden", (number, scratch, state, state16)),
    op.GRU_RESET: Call("gru_reset", "gru_reset", (number, scratch, scratch, state16, scratch16)),
    op.GRU_CELL: Call("gru_cell", "gru_cell", (number, scratch, scratch, state, state16, number)),
    op.ACTIVATE: Statement("dense", _activate),
    op.NARROW: Statement("dense", _narrow),
    op.EMIT: Statement(None, _emit),
    op.EMIT_HALF: Statement(None, _emit_half),
    op.EVERY: Statement(None, _every),
    op.MATCH: Statement("match", _match),
    op.WHEN: Statement(None, _when),
    op.LOOP: Statement(None, _loop),
    op.END_LOOP: Statement(None, _end_loop),
    op.COPY: Statement("elementwise", _copy),
    op.ELEMENT_PRODUCT: Call("elementwise", "element_product", (place, number, constant, scratch, number)),
    op.MULTIPLY: Call("elementwise", "multiply", (place, place, number, constant, scratch)),
    op.ACTIVATE_SELDOM: Statement(None, _activate_seldom),
    op.LSTM_CELL_OPTIONS: Call(
        "lstm_cell_options", "lstm_cell_options",
        (number, number, scratch, state, place, code, code, code, number, number, constant, number, number, number),
    ),
    op.LSTM_NORM: Call(
        "lstm_norm", "lstm_norm", (number, scratch, state, constant, constant, number, number)
    ),
    op.LIMIT: Call("limit_words", "limit_words", (number, scratch, number)),
    op.PUSH: Call("ring", "push", (place, number, state16, number, state)),
    op.GATHER: Call("ring", "gather", (*_RING, in_state, number, number, place)),
    op.POOL: Call("ring", "pool", (*_RING, number, constant, scratch)),
    op.NORMALIZE: Call(
        "normalize", "normalize", (place, number, number, number, number, number, constant, scratch)
    ),
    op.LOOKUP: Call("lookup", "lookup", (place, constant, constant, number, number, place)),
    op.LOAD_ROW: Call("rows", "load_row", (place, number, in_scratch, number, number, place)),
    op.STORE_ROW: Call("rows", "store_row", (place, number, in_scratch, number, number, place)),
    op.RESET: Statement(None, _reset),
    op.COUNT_UP: Call("attention", "count_up", (state, number)),
    op.SCORE_DOT: Call("attention", "score_dot", (place, *_HELD, number, number, number, scratch)),
    op.SCORE_ADDITIVE: Call("attention", "score_additive", (scratch, *_HELD, constant, scratch)),
    op.ATTEND: Call("attention", "attend", (scratch, *_HELD, number, scratch)),
    op.MASK: Call("runs", "mask", (place, number, constant, place)),
    op.SPREAD: Call("runs", "spread", (place, number, number, scratch)),
    op.PATCH: Call("grid", "patch", (place, number, number, number, number, number, in_scratch, place)),
    op.SPLIT_GATES: Call("grid", "split_gates", (scratch, number, number, number, in_scratch, scratch, number)),
    op.BEGIN: Call("decoding", "begin", (scratch, number, state, number)),
    op.BEGIN_HIDDEN: Call("decoding", "begin_hidden", (scratch, number, state)),
    op.CHOOSE: Call("decoding", "choose", (scratch, number, number, place, place)),
    op.NARROW_STATE: Call("decoding", "narrow_state", (state, number, number, place)),
    op.CURVE: Call("curve", "curve", (number, scratch, constant)),
    ADD: Statement(None, _add),
}  # fmt: skip
