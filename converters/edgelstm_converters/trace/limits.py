"""Operators that bend the signal at some value: limits, slopes, squares and roots, out of what layers can compute.

min(max(x, a), b) = a + (b - a) hard_sigmoid(5 (x - a) / (b - a) - 5/2)     max(x, a) = a + relu(x - a)     |x| = relu(x) + relu(-x)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.trace.arithmetic_ops import by_step, function_of, numeric, product_of, sum_of
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    constants,
    expression_of,
    is_constant,
    place_of,
    relative,
    time_of,
)
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Traced, Value, Walk, codes_of, settled

ENDLESS = 1e30
AT_LEAST = "at least"
"""The function max(x, a) of the size of a vector, whose arguments are x and a."""


def _clip(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    low = inputs[1] if len(inputs) > 1 and inputs[1] is not None else node.attributes.get("min", -np.inf)
    high = inputs[2] if len(inputs) > 2 and inputs[2] is not None else node.attributes.get("max", np.inf)
    if isinstance(low, Traced) or isinstance(high, Traced):
        raise node.refused("what it limits the signal to depends on the signal")
    return [limited(walk, node, inputs[0], float(np.asarray(low)), float(np.asarray(high)))]


def _limit(which: str) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """Min and Max with a constant, which are a clip on one side."""
        signals = [value for value in inputs if isinstance(value, Traced)]
        others = [
            float(np.asarray(value).reshape(-1)[0]) for value in inputs if not isinstance(value, Traced)
        ]
        if len(signals) != 1 or any(np.size(v) != 1 for v in inputs if not isinstance(v, Traced)):
            raise node.refused(
                "it compares values that depend on the signal with each other, or with several numbers"
            )
        low, high = (-np.inf, min(others)) if which == "min" else (max(others), np.inf)
        return [limited(walk, node, signals[0], low, high)]

    return operator


def limited(walk: Walk, node: Node, value: Value, low: float, high: float) -> Value:
    """Return a value limited to low..high: a relu or a hard sigmoid of it, as above."""
    codes, name = codes_of(value), node.label
    if low > high or np.isnan([low, high]).any():
        raise node.refused(f"it limits the signal to {low:g} .. {high:g}")
    if low < -ENDLESS and high > ENDLESS:
        return value
    if low < -ENDLESS and len(inner := _before_relu(walk, codes)):
        codes, low = inner, 0.0
    if low > 0.0 and high > ENDLESS and _is_size(walk, codes):
        flat = codes.reshape(-1)
        found = by_step(walk, "function", [flat, np.full_like(flat, constants(low)[()])], AT_LEAST, name)
        return settled(found.reshape(codes.shape))
    if high > ENDLESS:
        return settled(_plus(walk, _relu(walk, _plus(walk, codes, -low, name), name), low, name))
    if low < -ENDLESS:
        below = _plus(walk, _times(walk, codes, -1.0, name), high, name)
        return settled(_plus(walk, _times(walk, _relu(walk, below, name), -1.0, name), high, name))
    if low == 0.0 and high == 6.0:
        found = function_of(walk, "hard_sigmoid_6", _plus(walk, codes, -3.0, name), name)
        return settled(_times(walk, found, 6.0, name))
    width = high - low
    steep = _plus(walk, _times(walk, codes, 5.0 / width, name), -5.0 * low / width - 2.5, name)
    found = function_of(walk, "hard_sigmoid", steep, name)
    return settled(_plus(walk, _times(walk, found, width, name), low, name))


def _plus(walk: Walk, codes: Codes, number: float, name: str) -> Codes:
    return sum_of(walk, codes, constants(number), name)


def _times(walk: Walk, codes: Codes, number: Any, name: str) -> Codes:
    return product_of(walk, codes, constants(number), name)


def _relu(walk: Walk, codes: Codes, name: str) -> Codes:
    return function_of(walk, "relu", codes, name)


def _each(walk: Walk, codes: Codes) -> list[Expression]:
    return [walk.expressions.table[int(n)] for n in np.unique(expression_of(codes))]


def _is_function(found: Expression, name: str) -> bool:
    return found.kind == "function" and found.detail == name


def _before_relu(walk: Walk, codes: Codes) -> Codes:
    """Return what a relu was given, or nothing where `codes` do not come from one."""
    flat = codes.reshape(-1)
    if not all(_is_function(each, "relu") for each in _each(walk, flat)):
        return np.zeros(0, np.int64)
    found = np.empty_like(flat)
    for number in np.unique(expression_of(flat)):
        chosen, expression = expression_of(flat) == number, walk.expressions.table[int(number)]
        found[chosen] = relative(expression.arguments[0][place_of(flat[chosen])], time_of(flat[chosen]))
    return found.reshape(codes.shape)


def _is_size(walk: Walk, codes: Codes) -> bool:
    """Whether codes are roots, or sums of squares: what a normalisation divides by."""
    return all(_is_function(each, "sqrt") or _sums_squares(walk, each) for each in _each(walk, codes))


def _sums_squares(walk: Walk, found: Expression) -> bool:
    if found.kind != "matmul":
        return False
    read = found.arguments[0]
    return all(
        each.kind == "product" and np.array_equal(each.arguments[0], each.arguments[1])
        for each in _each(walk, read[~is_constant(read)])
    )


def _abs(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    codes, name = codes_of(inputs[0]), node.label
    one, other = _relu(walk, codes, name), _relu(walk, _times(walk, codes, -1.0, name), name)
    return [settled(sum_of(walk, one, other, name))]


def _sloped(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """LeakyRelu and PRelu: a x + (1 - a) relu(x)."""
    codes, name = codes_of(inputs[0]), node.label
    if len(inputs) > 1 and isinstance(inputs[1], Traced):
        raise node.refused("its slope depends on the signal")
    slope = numeric(inputs[1]) if len(inputs) > 1 else np.float32(node.attributes.get("alpha", 0.01))
    part = product_of(walk, _relu(walk, codes, name), constants(np.float32(1.0) - slope), name)
    return [settled(sum_of(walk, product_of(walk, codes, constants(slope), name), part, name))]


def _gated(gate: str) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """Swish (SiLU) and HardSwish: x times a gate of x."""
        codes, name = codes_of(inputs[0]), node.label
        scaled = _times(walk, codes, node.attributes.get("alpha", 1.0), name)
        return [settled(product_of(walk, codes, function_of(walk, gate, scaled, name), name))]

    return operator


def _power(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    exponent = inputs[1]
    if isinstance(exponent, Traced) or np.size(exponent) != 1:
        raise node.refused("its exponent is not one number")
    codes, name, power = codes_of(inputs[0]), node.label, float(np.asarray(exponent).reshape(-1)[0])
    if power in (1.0, 2.0, 3.0):
        found = codes
        for _ in range(int(power) - 1):
            found = product_of(walk, found, codes, name)
        return [settled(found)]
    if power not in (0.5, -0.5, -1.0):
        raise node.refused(f"it raises the signal to the power of {power:g}; 2, 3, 1/2, -1/2 and -1 can be")
    found = function_of(walk, "sqrt", codes, name) if abs(power) == 0.5 else codes
    return [settled(function_of(walk, "reciprocal", found, name) if power < 0.0 else found)]


def _root(*functions: str) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        found = codes_of(inputs[0])
        for function in functions:
            found = function_of(walk, function, found, node.label)
        return [settled(found)]

    return operator


LIMITS = {
    "Clip": _clip, "Min": _limit("min"), "Max": _limit("max"), "Abs": _abs, "LeakyRelu": _sloped, "PRelu": _sloped,
    "Swish": _gated("sigmoid"), "HardSwish": _gated("hard_sigmoid_6"), "Pow": _power, "Sqrt": _root("sqrt"),
    "Reciprocal": _root("reciprocal"), "Rsqrt": _root("sqrt", "reciprocal"),
}  # fmt: skip
