"""PyTorch on a program of torch.export.save() at `path`; it gives the program as an ONNX model."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    del content
    import onnx.inliner
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        program = torch.export.load(path)
    except Exception as exc:  # torch raises whatever the bytes make of its loader
        said = str(exc).partition(" Please check the warnings above")[0]  # these are not shown
        raise ValueError(f"is damaged or no program of torch.export.save(): {said}") from None
    try:
        written = torch.onnx.export(program, dynamo=True, verbose=False)
        model = onnx.inliner.inline_local_functions(written.model_proto)
        _with_projections(program, model)
    except Exception as exc:
        raise ValueError(f"torch cannot write it as a graph: {exc}") from None
    module = program.module()

    def run(feeds: dict[str, Any]) -> list[Any]:
        with torch.no_grad():
            found = module(*[torch.from_numpy(x) for x in feeds.values()])
        return [y.numpy() for y in torch.utils._pytree.tree_leaves(found)]

    return "torch", run, model.SerializeToString()


def _with_projections(program: Any, model: Any) -> None:
    """Give the LSTM nodes of projected layers their weights: torch's exporter takes each weight of such a layer for the next.

    The projection, for which ONNX has no input, becomes the ninth, (directions, hidden, cells), as `trace/recurrent_ops.py` reads it.
    """
    layers = [
        layer
        for node in program.graph.nodes
        if str(node.target) == "aten.lstm.input"
        for layer in _layers_of(program, node)
    ]
    if all(layer[-1] is None for layer in layers):
        return
    from onnx import numpy_helper

    nodes = [node for node in model.graph.node if node.op_type == "LSTM"]
    if len(nodes) != len(layers):
        raise ValueError(f"it has {len(layers)} layers of LSTM, but {len(nodes)} nodes were written")
    for number, (node, layer) in enumerate(zip(nodes, layers, strict=True)):
        names = [f"lstm {number} {what}" for what in ("W", "R", "B", "projection")]
        for name, array in zip(names, layer, strict=True):
            if array is not None:
                model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        w, r, b, projection = (
            name if array is not None else "" for name, array in zip(names, layer, strict=True)
        )
        given = [*node.input, *[""] * 8][:8]
        del node.input[:]
        node.input.extend([given[0], w, r, b, *given[4:], projection])


def _layers_of(program: Any, node: Any) -> list[tuple[Any, ...]]:
    """Return W, R, B and projection of every layer of a node of PyTorch, directions stacked, None where there is none."""
    _, states, parameters, biases, count, _, _, bidirectional, _ = node.args
    ways = 2 if bidirectional else 1
    arrays = [
        program.state_dict[program.graph_signature.inputs_to_parameters[each.name]].detach().numpy()
        for each in parameters
    ]
    each = len(arrays) // (count * ways)
    hidden, cell = (state.meta["val"].shape[-1] for state in states)

    def ordered(array: Any) -> Any:
        i, f, g, o = np.split(array, 4)
        return np.concatenate([i, o, f, g])

    found = []
    for first in range(0, len(arrays), each * ways):
        parts = [arrays[first + each * way : first + each * (way + 1)] for way in range(ways)]
        w, r = (np.stack([ordered(part[n]) for part in parts]) for n in (0, 1))
        b = (
            np.stack([np.concatenate([ordered(part[2]), ordered(part[3])]) for part in parts])
            if biases
            else None
        )
        found.append((w, r, b, np.stack([part[-1] for part in parts]) if hidden != cell else None))
    return found
