"""Operators that compute a function of each value: GELU, ELU, Softplus and others, written with a few simple ones.

What they come to is one table of each (curves.py), as is what an exporter spells out of them itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgelstm_converters.trace.arithmetic_ops import function_of, product_of, sum_of
from edgelstm_converters.trace.expressions import Codes, constants
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Operator, Value, Walk, codes_of, settled


class _Written:
    """Codes with the signs of arithmetic."""

    def __init__(self, walk: Walk, codes: Codes, name: str) -> None:
        self.walk, self.codes, self.name = walk, codes, name

    def _like(self, codes: Codes) -> _Written:
        return _Written(self.walk, codes, self.name)

    def _codes(self, other: _Written | float) -> Codes:
        return other.codes if isinstance(other, _Written) else constants(np.float32(other))

    def __add__(self, other: _Written | float) -> _Written:
        return self._like(sum_of(self.walk, self.codes, self._codes(other), self.name))

    def __mul__(self, other: _Written | float) -> _Written:
        return self._like(product_of(self.walk, self.codes, self._codes(other), self.name))

    def of(self, function: str) -> _Written:
        return self._like(function_of(self.walk, function, self.codes, self.name))


def _gelu(x: _Written, given: Any) -> _Written:
    """https://onnx.ai/onnx/operators/onnx__Gelu.html"""
    if given.get("approximate", "none") == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2.0 / math.pi)
        return x * 0.5 * (inner.of("tanh") + 1.0)
    return x * 0.5 * ((x * math.sqrt(0.5)).of("erf") + 1.0)


def _below(x: _Written, steep: float = 1.0) -> _Written:
    """exp(x / steep) - 1 where x is below 0, else 0."""
    return ((x * -1.0).of("relu") * (-1.0 / steep)).of("exp") + -1.0


def _elu(x: _Written, given: Any) -> _Written:
    return x.of("relu") + _below(x) * float(given.get("alpha", 1.0))


def _celu(x: _Written, given: Any) -> _Written:
    alpha = float(given.get("alpha", 1.0))
    return x.of("relu") + _below(x, alpha) * alpha


def _selu(x: _Written, given: Any) -> _Written:
    scale, alpha = (
        float(given.get("gamma", 1.0507009873554805)),
        float(given.get("alpha", 1.6732632423543772)),
    )
    return (x.of("relu") + _below(x) * alpha) * scale


def _softsign(x: _Written, given: Any) -> _Written:
    return x * (x.of("relu") + (x * -1.0).of("relu") + 1.0).of("reciprocal")


def _mish(x: _Written, given: Any) -> _Written:
    return x * x.of("softplus").of("tanh")


def _thresholded(x: _Written, given: Any) -> _Written:
    return x * (x + -float(given.get("alpha", 1.0))).of("positive")


def _bent_relu(x: _Written, given: Any) -> _Written:
    """ReLU of Keras: x from a threshold on, at most a limit; below the threshold, a slope times what is missing."""
    edge = float(given["threshold"])
    found = x * (x + -edge).of("not_negative") + (x * -1.0 + edge).of("relu") * -float(given["slope"])
    if "limit" not in given:
        return found
    limit = float(given["limit"])
    return (found * -1.0 + limit).of("relu") * -1.0 + limit


def _shrink(x: _Written, given: Any) -> _Written:
    """https://onnx.ai/onnx/operators/onnx__Shrink.html"""
    edge, bias = float(given.get("lambd", 0.5)), float(given.get("bias", 0.0))
    above, below = (x + -edge).of("positive"), (x * -1.0 + -edge).of("positive")
    return (x + -bias) * above + (x + bias) * below


def _sign(x: _Written, given: Any) -> _Written:
    return x.of("positive") + (x * -1.0).of("positive") * -1.0


def _quick_gelu(x: _Written, given: Any) -> _Written:
    return x * (x * float(given.get("alpha", 1.702))).of("sigmoid")


def _log_sigmoid(x: _Written, given: Any) -> _Written:
    return (x * -1.0).of("softplus") * -1.0


def _tanh_shrink(x: _Written, given: Any) -> _Written:
    return x + x.of("tanh") * -1.0


def _plain(function: str) -> Any:
    return lambda x, given: x.of(function)


def _function(write: Any) -> Operator:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """A function of the first input; a second one of some operators is added first."""
        x = _Written(walk, codes_of(inputs[0]), node.label)
        if node.op in BIASED and len(inputs) > 1 and inputs[1] is not None:
            x = x + _Written(walk, codes_of(inputs[1]), node.label)
        return [settled(write(x, node.attributes).codes)]

    return operator


BIASED = ("FastGelu", "BiasGelu")


def _compared(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """x > number and the like: 1 where that is so, else 0, as a choice between values needs it."""
    one, other = (_Written(walk, codes_of(value), node.label) for value in inputs)
    less = node.op.startswith("Less")
    difference = other + one * -1.0 if less else one + other * -1.0
    return [settled(difference.of("not_negative" if node.op.endswith("OrEqual") else "positive").codes)]


def _not(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [settled((_Written(walk, codes_of(inputs[0]), node.label) * -1.0 + 1.0).codes)]


def _both(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """And and Or of what is 0 or 1: a b, and a + b - a b."""
    a, b = (_Written(walk, codes_of(value), node.label) for value in inputs)
    both = a * b
    return [settled((both if node.op == "And" else a + b + both * -1.0).codes)]


def chosen(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Where, with a condition that depends on the signal: condition * a + (1 - condition) * b."""
    condition, a, b = (_Written(walk, codes_of(value), node.label) for value in inputs)
    return [settled((condition * a + (condition * -1.0 + 1.0) * b).codes)]


FUNCTION_OPS: dict[str, Operator] = {
    **{
        op: _function(write)
        for op, write in {
            "Gelu": _gelu, "FastGelu": lambda x, given: _gelu(x, {"approximate": "tanh"}), "BiasGelu": _gelu, "QuickGelu": _quick_gelu,
            "Elu": _elu, "Celu": _celu, "Selu": _selu, "Softsign": _softsign, "Mish": _mish, "ThresholdedRelu": _thresholded, "Shrink": _shrink,
            "Sign": _sign, "LogSigmoid": _log_sigmoid, "BentRelu": _bent_relu, "TanhShrink": _tanh_shrink, "Erf": _plain("erf"), "Exp": _plain("exp"), "Log": _plain("log"), "Softplus": _plain("softplus"),
            "Sin": _plain("sin"), "Cos": _plain("cos"),
        }.items()
    },
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _compared),
    **dict.fromkeys(("And", "Or"), _both),
    "Not": _not,
}  # fmt: skip
