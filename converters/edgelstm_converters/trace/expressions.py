"""What the elements of a traced tensor are computed from.

An element is one int64, its *code*: which expression it belongs to, its place in it, and the time step it is of.
So a tensor is an array of codes, and whatever moves elements about (transposing, slicing, joining, padding) is done by
NumPy on that array. A constant is a code, too, and carries its float32.

    bits 63..48  number of the expression, 0 for a constant
    bits 47..32  time step + 1 (0: before the first)
    bits 31..0   place in the expression, or the bits of the constant

An expression names the elements it needs relative to its own step: there the bits of time hold how many steps ago.
The same computation at another step is therefore the same expression.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError

Codes = NDArray[np.int64]
Floats = NDArray[np.float32]

TIME = np.int64(1) << np.int64(32)
EXPRESSION = np.int64(1) << np.int64(48)
PLACE_MASK = TIME - np.int64(1)
MAX_EXPRESSIONS = 32_000
MAX_ELEMENTS = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One vector. `arguments` are relative codes.

    kind        input, state, matmul, sum, product, dot, function, layer, ahead, attention, cell state, reversed,
                repeated, every, position
    arguments   matmul, reversed, repeated, every: one vector; layer, ahead: one for each of its sources; sum, product: two, element by
                element; function: one, element by element; dot: two, as many values for each element; attention: what queries
                read, what keys and values read
    detail      matmul: weights (outputs, inputs); function: its name; layer, ahead, attention: the float layer; dot: why it is no
                attention; input, state: its name; reversed, repeated: how many rows; every: of which rows; position: its rows

    What is ahead is a layer of which every row but the newest needs samples that come later.
    """

    kind: str
    size: int
    arguments: tuple[Codes, ...] = ()
    detail: Any = None
    name: str = ""


@dataclass(slots=True, eq=False)
class Expressions:
    """The table of expressions, each kept once.

    over_all  names of what goes over all samples of a sequence, as many as it has
    """

    table: list[Expression] = field(default_factory=lambda: [Expression("constant", 0)])
    over_all: list[str] = field(default_factory=list)
    _known: dict[Any, int] = field(default_factory=dict)
    _digests: dict[int, tuple[Any, bytes]] = field(default_factory=dict)

    def add(self, expression: Expression) -> int:
        """Return the number of an expression, the old one where it is known."""
        key = (
            expression.kind,
            expression.size,
            tuple(argument.tobytes() for argument in expression.arguments),
            self._identity(expression.detail),
        )
        if key not in self._known:
            if len(self.table) >= MAX_EXPRESSIONS:
                raise ConversionError(
                    f"the graph computes more than {MAX_EXPRESSIONS} different vectors: export it with a shorter sequence"
                )
            self._known[key] = len(self.table)
            self.table.append(expression)
        return self._known[key]

    def _identity(self, detail: Any) -> Any:
        if not isinstance(detail, np.ndarray):
            return detail if isinstance(detail, str | None) else id(detail)
        if id(detail) not in self._digests:  # the array is kept with it, so its id stays its own
            content = sha256(np.ascontiguousarray(detail).tobytes()).digest()
            self._digests[id(detail)] = detail, content + repr(detail.shape).encode()
        return self._digests[id(detail)][1]

    def of(self, code: np.int64) -> Expression:
        return self.table[int(code >> 48)]


def constants(values: Any) -> Codes:
    """Return the codes of constant numbers."""
    bits = np.ascontiguousarray(np.asarray(values, np.float32)).view(np.uint32)
    return bits.astype(np.int64)


def numbers(codes: Codes) -> Floats:
    """Return the constants that codes stand for."""
    return np.ascontiguousarray(codes & PLACE_MASK).astype(np.uint32).view(np.float32)


def is_constant(codes: Codes) -> NDArray[np.bool_]:
    return codes < EXPRESSION


def expression_of(codes: Codes) -> Codes:
    return codes >> np.int64(48)


def time_of(codes: Codes) -> Codes:
    """Return the step + 1 of absolute codes, or how many steps ago of relative ones; 0 for constants."""
    return (codes >> np.int64(32)) & np.int64(0xFFFF)


def place_of(codes: Codes) -> Codes:
    return codes & PLACE_MASK


def vector(number: int, size: int, step: int) -> Codes:
    """Return the codes of a whole expression; `step` is the step + 1, or how many steps ago."""
    return number * EXPRESSION + step * TIME + np.arange(size, dtype=np.int64)


def relative(codes: Codes, step: Codes | int) -> Codes:
    """Return codes as an expression of `step` names them; `step` as in `time_of`. It is its own inverse."""
    moved = codes + (step - 2 * time_of(codes)) * TIME
    return np.where(is_constant(codes), codes, moved)


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """The newest of an output: its relative codes, the step + 1, and whether that is all of the output."""

    codes: Codes
    step: int
    one_row: bool


def newest(output: Codes) -> Newest:
    flat = output.reshape(-1)
    times = time_of(flat)
    last = int(times.max(initial=0))
    found = flat[times == last]
    _, first = np.unique(found, return_index=True)
    if len(first) * 2 <= len(found):  # each of a batch is the same
        found = found[np.sort(first)]
    return Newest(relative(found, last), last, bool((times[~is_constant(flat)] == last).all()))
