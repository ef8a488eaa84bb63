"""Constant folding: what of a graph depends on weights and on shapes only."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_FOLDED = 1 << 26
"""Values of a folded tensor: larger ones are left alone."""


def fold(node: Any, inputs: list[Any], opset: int) -> list[Any] | None:
    """Return the outputs of a node whose inputs are all known, or None where it cannot be computed here."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.input if name]
    graph = onnx.helper.make_graph(
        [node],
        "fold",
        [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
         for name, v in dict(zip(names, inputs, strict=True)).items()],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.output if name],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        outputs = ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))
    except Exception:  # the evaluator raises whatever its operators raise; such a node is simply not constant
        return None
    return (
        outputs
        if all(isinstance(v, np.ndarray | np.generic) and np.size(v) <= MAX_FOLDED for v in outputs)
        else None
    )
