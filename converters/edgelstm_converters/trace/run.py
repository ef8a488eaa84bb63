"""The walk over a graph: constants are computed, what depends on the input is traced as codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.trace.expressions import Codes, Expressions, constants
from edgelstm_converters.trace.graph import Graph, Node
from edgelstm_converters.trace.sizes import MOST, refuse_too_much

MAX_NODES_RUN = 400_000
MAX_DEPTH = 16
MOST_SCALES = 1 << 15
"""Of one constant: one for each of the rows of a matrix."""


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A tensor whose elements depend on the input; `codes` has the tensor's shape."""

    codes: Codes


Value = Any  # numpy array (constant), Traced, list (a sequence of those), None (left out)
Operator = Callable[["Walk", Node, list[Value]], list[Value]]


class WrongAxis(ConversionError):
    """What was taken for the axis of time is not the one that recurrent nodes run along."""


class NoStream(ConversionError):
    """The axis of time is the right one, and what is computed along it needs samples without an end, or those to come."""


@dataclass(slots=True, eq=False)
class Walk:
    """What is known while a graph is run.

    fold   computes a node of constants that NumPy does not know, or returns None
    known  layers by what they hold, of which each is made once
    taken  the branch of each node If that was run, by the node's first output
    scales what int8 constants are multiplied with to be real numbers; `whole` where they are multiplied with them later, as a part
           of what is computed
    start  the value that becomes the signal once it is computed, from zeros; `begin` makes it, given its shape
    """

    expressions: Expressions = field(default_factory=Expressions)
    fold: Callable[[Node, list[Any], int], list[Any] | None] = lambda node, values, opset: None
    opset: int = 17
    start: str | None = None
    begin: Callable[[tuple[int, ...]], Value] = lambda shape: None
    nodes_run: int = 0
    depth: int = 0
    taken: dict[str, str] = field(default_factory=dict)
    layers: dict[int, tuple[Node, Any]] = field(default_factory=dict)
    known: dict[bytes, Any] = field(default_factory=dict)
    scales: set[float] = field(default_factory=set)
    whole: bool = False

    def note_scale(self, scale: Any) -> None:
        """Take note of what int8 constants are, or may be, multiplied with."""
        numbers = np.abs(np.asarray(scale, np.float32)).reshape(-1)
        if numbers.size <= MOST_SCALES:
            self.scales.update(numbers[(numbers > 0.0) & np.isfinite(numbers)].tolist())

    def layer_of(self, node: Node, make: Callable[[str], Any]) -> Any:
        """Return the layer that a node stands for, one and the same wherever in a loop it is met; `make` is given its name."""
        if id(node) not in self.layers:
            self.layers[id(node)] = node, make(node.label)
        return self.layers[id(node)][1]

    def run(self, graph: Graph, feeds: Mapping[str, Value], outer: Mapping[str, Value]) -> dict[str, Value]:
        """Return every value of `graph`; `outer` is what a body may take from around it."""
        if self.depth > MAX_DEPTH:
            raise ConversionError(f"its subgraphs are nested more than {MAX_DEPTH} deep")
        values: dict[str, Value] = {**outer, **graph.constants, **feeds, "": None}
        self.depth += 1
        self.scales |= graph.scales
        for node in graph.needed(graph.outputs):
            self.nodes_run += 1
            if self.nodes_run > MAX_NODES_RUN:
                raise node.refused(
                    f"more than {MAX_NODES_RUN:,} operators were run: export it with a shorter sequence"
                )
            for name in node.inputs:
                if name not in values:
                    hint = (
                        f" here; if the caller gives it, say the value of all of it with --fix {name}=NUMBER"
                    )
                    raise node.refused(f'its input "{name}" is not known{hint}')
            found = self.visit(node, [values[name] for name in node.inputs], values)
            values.update(zip(node.outputs, found, strict=False))
            if self.start in node.outputs:
                values[self.start] = self.begin(np.shape(values[self.start]))
        self.depth -= 1
        for name in graph.outputs:
            if name not in values:
                raise ConversionError(f'its output "{name}" is not computed by any node')
        return values

    def visit(self, node: Node, inputs: list[Value], around: Mapping[str, Value]) -> list[Value]:
        from edgelstm_converters.trace import control_ops
        from edgelstm_converters.trace.operators import OPERATORS, compute

        try:
            if node.op in control_ops.CONTROL:
                return control_ops.CONTROL[node.op](self, node, inputs, around)
            refuse_too_much(node, inputs)
            if not any(map(_is_traced, inputs)) and node.op not in ("LSTM", "GRU", "RNN"):
                return _small(node, compute(self, node, inputs))
            if node.op not in OPERATORS:
                raise node.refused(_UNKNOWN)
            return _small(node, OPERATORS[node.op](self, node, inputs))
        except (
            ValueError,
            IndexError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            MemoryError,
            ZeroDivisionError,
        ) as exc:
            reason = next(iter(str(exc).splitlines()), type(exc).__name__)
            raise node.refused(f"its inputs do not fit together: {reason}") from None


_UNKNOWN = (
    "cannot be converted; recurrent cells, dense layers, sums, products with constants, functions of each value "
    "as activations are, and changes of layout can. If it stands in front of the network, leave it outside: see --from"
)


def _is_traced(value: Value) -> bool:
    if isinstance(value, list):
        return any(map(_is_traced, value))
    return isinstance(value, Traced)


def _small(node: Node, values: Sequence[Value]) -> list[Value]:
    for value in values:
        size = value.codes.size if isinstance(value, Traced) else np.size(value) if value is not None else 0
        if not isinstance(value, list) and size > MOST:
            raise node.refused(f"it makes a tensor of {size:,} numbers, more than is reasonable for a stream")
    return list(values)


def codes_of(value: Value) -> Codes:
    """Return the codes of a traced or constant tensor."""
    return value.codes if isinstance(value, Traced) else constants(value)


def settled(codes: Codes) -> Value:
    """Return a tensor; a constant one where nothing in it depends on the input."""
    from edgelstm_converters.trace.expressions import is_constant, numbers

    return numbers(codes).reshape(codes.shape) if is_constant(codes).all() else Traced(codes)
