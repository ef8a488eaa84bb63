"""Run an ONNX model, in ONNX Runtime or else in ONNX's own evaluator, and compare it with what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.readers.proof import judge_stream
from edgelstm_converters.trace.quantised_ops import IN_INT8
from edgelstm_converters.trace.streams import Stream

HINT = "it selects or reorders values on the way, or what is baked into it is no zero state; export the plain network"


def prove(model: Any, stream: Stream, fixed: Mapping[str, Any]) -> str:
    """Return the line of proof; raises ConversionError where the graph computes something else than its layers."""
    if stream.start is not None:
        from onnx import TensorProto, helper

        _inline(model.graph, stream.taken)
        model.graph.output.append(helper.make_tensor_value_info(stream.start, TensorProto.FLOAT, None))
    dtypes = {value.name: _dtype(value) for value in model.graph.input}
    try:
        engine = Engine("onnx", content=model.SerializeToString())
    except EngineError as exc:
        raise ConversionError(f"no engine can load it: {exc}") from None
    except EngineDied as exc:
        return f"not proved: {exc}"

    def typed(feeds: dict[str, Any]) -> list[Any]:
        return engine.run({name: value.astype(dtypes[name]) for name, value in feeds.items()})

    return judge_stream(engine, stream, fixed, HINT, run=typed, int8=_in_int8(model.graph))


def _in_int8(graph: Any) -> bool:
    """Whether the engine computes in int8 somewhere."""
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return any(node.op_type in IN_INT8 for node in graph.node) or any(map(_in_int8, inner))


def _inline(graph: Any, taken: Mapping[str, str]) -> None:
    """Put the branch that was taken in the place of every node If, so that what is in it can be an output."""
    from onnx import helper

    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        branch = next((a.g for a in node.attribute if a.name == taken.get(node.output[0])), None)
        if node.op_type != "If" or branch is None:
            graph.node.append(node)
            continue
        _inline(branch, taken)
        graph.initializer.extend(branch.initializer)
        graph.node.extend(branch.node)
        for inner, outer in zip(branch.output, node.output, strict=True):
            graph.node.append(helper.make_node("Identity", [inner.name], [outer]))


def _dtype(value: Any) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type or 1)
