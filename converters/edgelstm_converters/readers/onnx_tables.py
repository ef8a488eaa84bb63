"""Tables of whole numbers, as ONNX Runtime quantises embeddings: rows are chosen first, and stand for real numbers only behind that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edgelstm_converters.trace.graph import Array, Graph, Node

_MOVING = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Slice", "Flatten", "Expand"}
_WHOLE = (np.dtype(np.int8), np.dtype(np.uint8))


def with_real_tables(graph: Graph) -> Graph:
    """Return the graph with tables in real numbers, where all that becomes of their rows is moved and then given one scale and zero."""
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        table = graph.constants.get(node.inputs[0]) if node.op == "Gather" else None
        if table is not None and table.dtype in _WHOLE:
            scales = {_scale(graph, user) for user in _ends(node, users)}
            known = next(iter(scales)) if len(scales) == 1 else None
            if known is not None:
                real = f"{node.inputs[0]} of {node.label}"
                constants[real] = ((table.astype(np.float32) - known[1]) * known[0]).astype(np.float32)
                node = replace(node, inputs=(real, *node.inputs[1:]))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _ends(node: Node, users: dict[str, list[Node]]) -> Iterator[Node]:
    """Yield what uses the values of a node, behind all that only moves them."""
    open_ = [node]
    while open_:
        for user in users.get(open_.pop().outputs[0], []):
            if user.op in _MOVING:
                open_.append(user)
            elif user.op != "Shape":
                yield user


def _scale(graph: Graph, node: Node) -> tuple[np.float32, np.float32] | None:
    """Return the one scale and zero that a DequantizeLinear has; None for another node, or where they are several."""
    if node.op != "DequantizeLinear":
        return None
    scale, zero = (_one(graph.constants.get(name)) for name in (*node.inputs[1:], "")[:2])
    if scale is None or (zero is None and len(node.inputs) > 2 and node.inputs[2]):
        return None
    return scale, zero or np.float32(0)


def _one(values: Array | None) -> np.float32 | None:
    return None if values is None or values.size != 1 else np.float32(values.reshape(-1)[0])
