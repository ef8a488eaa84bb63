"""The table of operations in C: what each becomes inside NAME_step, and the fragments of `runtime/` that it calls.

A new operation of the kernels is one line here and one file in `runtime/`; what has none is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm.layers.activation import ACTIVATIONS
from edgelstm.reference import operations as op
from edgelstm.reference.ring import SUM
from edgelstm_converters.c_export.lowering import ADD, CBuilder, Operation, Product

ORDER = (
    "fixed_point", "activations", "input_stage", "shift", "dot_rows", "row_product", "row_product_shifted", "lstm_cell",
    "gru_reset", "gru_cell", "dense", "elementwise", "ring", "snapshot",
)  # fmt: skip
"""Every fragment, in the order in which C wants them."""

NEEDS = {
    "row_product": ("dot_rows",),
    "row_product_shifted": ("dot_rows", "shift"),
    "elementwise": ("shift",),
    "ring": ("elementwise", "shift"),
    "lstm_cell": ("activations",),
    "gru_reset": ("activations",),
    "gru_cell": ("activations",),
    "dense": ("activations",),
}
ALWAYS = ("fixed_point", "input_stage", "snapshot")


@dataclass(frozen=True, slots=True)
class Template:
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
        if fragment:
            wanted.update((fragment, *NEEDS.get(fragment, ())))
    return [name for name in ORDER if name in wanted]


def statements(build: CBuilder) -> list[str]:
    """Return the statements of a step, indented once."""
    lines: list[str] = []
    inside: list[int] = []  # how many operations each open block has left
    layer = ""
    for operation in build.listed:
        indent = "    " * (1 + len(inside))
        if operation.layer != layer:
            layer = operation.layer
            lines.append(f"{indent}/* {layer} */")
        lines += [indent + line for line in _template(operation).write(build, *operation.words)]
        inside = [left - 1 for left in inside]
        if operation.kind == op.EVERY:
            inside.append(operation.words[3])
        while inside and inside[-1] == 0:
            inside.pop()
            lines.append("    " * (1 + len(inside)) + "}")
    return lines


def _template(operation: Operation) -> Template:
    if operation.kind in TEMPLATES:
        return TEMPLATES[operation.kind]
    names = [name for name, value in vars(op).items() if name.isupper() and value == operation.kind]
    name = op.SELDOM[operation.kind][1] if operation.kind in op.SELDOM else names[-1].lower()
    raise ConversionError(
        f'layer "{operation.layer}" needs the operation "{name}", which has no C yet; exported are '
        f"{', '.join(sorted(t.fragment for t in set(TEMPLATES.values()) if t.fragment))}"
    )


def _quantize_input(build: CBuilder, channels: int, offsets: Any, gains: Any, half: int) -> list[str]:
    name = _half(build, False, half)
    return [
        f"for (int c = 0; c < {channels}; c++)",
        "    if (!is_finite(x[c]))",
        "        return c + 1;",
        f"for (int c = 0; c < {channels}; c++)",
        f"    {name}[c] = quantize(x[c], {offsets.name}[c], {gains.name}[c]);",
    ]


def _row_product(build: CBuilder, product: Product) -> list[str]:
    z = _word(build, product.z)
    start = product.bias.name if product.bias else z
    source = _half(build, product.source.in_state, product.source.half)
    shifts = f"{product.shifts.name}, " if product.shifts else ""
    return [
        f"row_product{'_shifted' if shifts else ''}({product.weights.name}, {product.multipliers.name}, {shifts}{start}, "
        f"{product.rows}, {product.columns}, {source}, {z});"
    ]


def _lstm_cell(build: CBuilder, units: int, z: int, cell: int, hidden: int) -> list[str]:
    return [
        f"lstm_cell({_word(build, z)}, {units}, {_state_word(build, cell)}, {_half(build, True, hidden)});"
    ]


def _gru_reset(build: CBuilder, units: int, z_x: int, z_h: int, hidden: int, to: int) -> list[str]:
    return [
        f"gru_reset({_word(build, z_x)}, {_word(build, z_h)}, {units}, {_half(build, True, hidden)}, "
        f"{_half(build, False, to)});"
    ]


def _gru_cell(
    build: CBuilder, units: int, z_x: int, z_h: int, state: int, hidden: int, reset_after: int
) -> list[str]:
    return [
        f"gru_cell({_word(build, z_x)}, {_word(build, z_h)}, {units}, {reset_after}, {_state_word(build, state)}, "
        f"{_half(build, True, hidden)});"
    ]


def _activate(build: CBuilder, units: int, z: int, activation: int) -> list[str]:
    name = ACTIVATIONS[activation]
    functions = {"relu": "relu", "sigmoid": "sigmoids", "tanh": "hyperbolic_tangents"}
    if name not in functions:
        raise ConversionError(
            f'the activation "{name}" has no C yet; exported are linear, {", ".join(functions)}'
        )
    return [f"{functions[name]}({_word(build, z)}, {units});"]


def _narrow(build: CBuilder, units: int, z: int, bits: int, in_state: int, to: int) -> list[str]:
    return [f"narrow({_word(build, z)}, {units}, {bits}, {_half(build, bool(in_state), to)});"]


def _emit(build: CBuilder, units: int, z: int, scales: Any, first: int) -> list[str]:
    return _emit_from(_word(build, z), units, scales.name, first)


def _emit_half(build: CBuilder, units: int, in_state: int, half: int, scales: Any, first: int) -> list[str]:
    return _emit_from(_half(build, bool(in_state), half), units, scales.name, first)


def _emit_from(values: str, units: int, scales: str, first: int) -> list[str]:
    to = f"{first} + n" if first else "n"
    value = f"{values}[n]" if "+" not in values else f"({values})[n]"
    return [f"for (int n = 0; n < {units}; n++)", f"    y[{to}] = (float){value} * {scales}[n];"]


def _every(build: CBuilder, counter: int, period: int, phase: int, skip: int) -> list[str]:
    del skip
    count = f"{_state_word(build, counter)}[0]"
    due = f"{build.array_at(True, 2 * counter)[0].name}_now"
    return [
        f"const int32_t {due} = {count};",
        f"{count} = {due} + 1 < {period} ? {due} + 1 : 0;",
        f"if ({due} == {phase}) {{",
    ]


def _copy(build: CBuilder, source: int, count: int, to: int) -> list[str]:
    taken, from_name = build.array_at(bool(source & 1), source >> 1)
    given, to_name = build.array_at(bool(to & 1), to >> 1)
    if taken.type != given.type:
        raise ConversionError(f"a copy from {from_name} to {to_name} has no C yet")
    if given.type == "int16_t":
        return [f"copy_halves({from_name}, {count}, {to_name});"]
    return [f"copy_words({from_name}, {count // 2}, {to_name});"]


def _element_product(
    build: CBuilder, source: int, count: int, parameters: Any, result: int, accumulate: int
) -> list[str]:
    x = _place(build, source)
    return [f"element_product({x}, {count}, {parameters.name}, {accumulate}, {_word(build, result)});"]


def _multiply(
    build: CBuilder, first: int, second: int, count: int, parameters: Any, result: int
) -> list[str]:
    x, y = _place(build, first), _place(build, second)
    return [f"multiply({x}, {y}, {count}, {parameters.name}, {_word(build, result)});"]


def _push(build: CBuilder, source: int, width: int, ring: int, rows: int, position: int) -> list[str]:
    held, at = _half(build, True, ring), _state_word(build, position)
    return [f"push({_place(build, source)}, {width}, {held}, {rows}, {at});"]


def _gather(
    build: CBuilder, ring: int, width: int, rows: int, position: int, taps: int, dilation: int, to: int
) -> list[str]:
    held, at = _half(build, True, ring), _state_word(build, position)
    return [f"gather({held}, {width}, {rows}, {at}[0], {taps}, {dilation}, {_place(build, to)});"]


def _pool(
    build: CBuilder, ring: int, width: int, rows: int, mode: int, parameters: Any, result: int
) -> list[str]:
    held = _half(build, True, ring)
    return [f"pool({held}, {width}, {rows}, {int(mode == SUM)}, {parameters.name}, {_word(build, result)});"]


def _place(build: CBuilder, place: int) -> str:
    return _half(build, bool(place & 1), place >> 1)


def _add(build: CBuilder, bias: Any, rows: int, z: int) -> list[str]:
    return [f"for (int n = 0; n < {rows}; n++)", f"    ({_word(build, z)})[n] += {bias.name}[n];"]


def _word(build: CBuilder, word: int) -> str:
    return build.array_at(False, 2 * word)[1]


def _state_word(build: CBuilder, word: int) -> str:
    return build.array_at(True, 2 * word)[1]


def _half(build: CBuilder, in_state: bool, half: int) -> str:
    return build.array_at(in_state, half)[1]


TEMPLATES = {
    op.QUANTIZE_INPUT: Template(None, _quantize_input),
    op.ROW_PRODUCT: Template("row_product", _row_product),
    op.LSTM_CELL: Template("lstm_cell", _lstm_cell),
    op.GRU_RESET: Template("gru_reset", _gru_reset),
    op.GRU_CELL: Template("gru_cell", _gru_cell),
    op.ACTIVATE: Template("dense", _activate),
    op.NARROW: Template("dense", _narrow),
    op.EMIT: Template(None, _emit),
    op.EMIT_HALF: Template(None, _emit_half),
    op.EVERY: Template(None, _every),
    op.COPY: Template("elementwise", _copy),
    op.ELEMENT_PRODUCT: Template("elementwise", _element_product),
    op.MULTIPLY: Template("elementwise", _multiply),
    op.PUSH: Template("ring", _push),
    op.GATHER: Template("ring", _gather),
    op.POOL: Template("ring", _pool),
    ADD: Template(None, _add),
}
