"""A graph in one vocabulary, that of ONNX operators, whichever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator: names of values in and out ("" where one is left out), attributes, subgraphs by name."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def label(self) -> str:
        """Its name, or, where it has none, that of its first output."""
        return self.name or self.outputs[0]

    def refused(self, why: str) -> ConversionError:
        """Return the error that names this node."""
        return ConversionError(f'node "{self.label}" ({self.op}): {why}')


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A value that the caller gives; None stands for an axis of any length."""

    name: str
    shape: tuple[int | None, ...]
    is_float: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes in an order in which they can be run. `constants` are by the name of their value.

    scales  of those that the file holds as int8, and that stand here as real numbers
    """

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    opset: int = 17
    scales: frozenset[float] = frozenset()

    def needed(self, outputs: tuple[str, ...]) -> list[Node]:
        """Return the nodes that `outputs` depend on, in their order."""
        wanted, found = set(outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                found.append(node)
                wanted.update(node.inputs)
                for graph in subgraphs(node):
                    wanted.update(free_names(graph))
        return found[::-1]


def subgraphs(node: Node) -> list[Graph]:
    """Return the bodies of a node of control flow."""
    return [value for value in node.attributes.values() if isinstance(value, Graph)]


def free_names(graph: Graph) -> set[str]:
    """Return the values that a body takes from around it."""
    own = {value.name for value in graph.inputs} | set(graph.constants)
    free = set(graph.outputs)
    for node in graph.nodes:
        own.update(node.outputs)
        free.update(node.inputs)
        for inner in subgraphs(node):
            free.update(free_names(inner))
    return {name for name in free - own if name}


def finite(name: str, values: Array) -> Array:
    """Return `values`; raises ConversionError where one of them is not finite, but for minus infinity, as masks have it."""
    if values.dtype.kind == "f" and not (np.isfinite(values) | np.isneginf(values)).all():
        raise ConversionError(f'weights "{name}" hold numbers that are not finite')
    return values
