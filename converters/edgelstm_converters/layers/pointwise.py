"""Functions of one number, put together of simple ones: what a graph computes of each value by itself.

A `Pointwise` is a list of steps, the last of which is its value; each names earlier ones by their number. It is computed in
float64, so that log(1 + exp(x)) is what it says where float32 would already be endless.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Step = tuple[Any, ...]
"""("x",), ("number", value), ("sum", a, b), ("product", a, b), or (function, a): a and b number earlier steps."""

_ERF_END, _ERF_PIECES = 6.0, 2048
_ERF_AT = np.linspace(0.0, _ERF_END, _ERF_PIECES + 1)
_ERF = np.array([math.erf(x) for x in _ERF_AT])
_SLOPE = 2.0 / math.sqrt(math.pi) * np.exp(-np.square(_ERF_AT)) * (_ERF_END / _ERF_PIECES)
"""The error function at knots, and its slope from one to the next, for a cubic between them: off by less than 1e-12."""


def erf(x: Doubles) -> Doubles:
    place = np.minimum(np.abs(x), _ERF_END * (1.0 - 1e-12)) * (_ERF_PIECES / _ERF_END)
    k = place.astype(np.int64)
    t = place - k
    rest = 1.0 - t
    found = (1.0 + 2.0 * t) * rest * rest * _ERF[k] + t * rest * rest * _SLOPE[k]
    found += t * t * (3.0 - 2.0 * t) * _ERF[k + 1] - t * t * rest * _SLOPE[k + 1]
    result: Doubles = np.copysign(found, x)
    return result


def _product(a: Doubles, b: Doubles) -> Doubles:
    """Nothing times anything is nothing, also times what has no end: so a choice is written, as a product with 0 or 1."""
    return np.where((a == 0.0) | (b == 0.0), 0.0, a * b)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": lambda x: np.exp(-np.logaddexp(0.0, -x)),
    "tanh": np.tanh,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "hard_sigmoid_6": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "erf": erf,
    "exp": np.exp,
    "log": np.log,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "sin": np.sin,
    "cos": np.cos,
    "positive": lambda x: np.where(x > 0.0, 1.0, 0.0),
    "not_negative": lambda x: np.where(x >= 0.0, 1.0, 0.0),
}
"""What a step may compute of one other."""


@dataclass(frozen=True, slots=True)
class Pointwise:
    """A function of one number."""

    steps: tuple[Step, ...]

    def __call__(self, x: NDArray[Any]) -> Doubles:
        """Return its values, not finite where it has none."""
        found: list[Any] = []
        with np.errstate(all="ignore"):
            for word, *operands in self.steps:
                if word == "x":
                    found.append(np.asarray(x, np.float64))
                elif word == "number":
                    found.append(np.float64(operands[0]))
                else:
                    values = [found[n] for n in operands]
                    make: Any = {"sum": np.add, "product": _product}.get(word) or FUNCTIONS[word]
                    found.append(make(*values))
        result: Doubles = np.broadcast_to(found[-1], np.shape(x)).astype(np.float64)
        return result
