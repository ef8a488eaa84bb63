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


def prove(model: Any, stream: Stream) -> str:
    """Return the line of proof; raises ConversionError where the graph computes something else than its layers."""
    if stream.start is not None:
        from onnx import TensorProto, helper

        _inline(model.graph, stream.taken)
        model.graph.output.append(helper.make_tensor_value_info(stream.start, TensorProto.FLOAT, None))
    dtypes = {value.name: _dtype(value) for value in model.graph.input}
    count, kept = (
        len(model.graph.output),
        _without_unknown_inputs(model.graph, {stream.signal, *stream.states, *stream.fixed}),
    )
    try:
        engine = Engine("onnx", content=model.SerializeToString())
    except EngineError as exc:
        raise ConversionError(f"no engine can load it: {exc}") from None
    except EngineDied as exc:
        return f"not proved: {exc}"

    asked = {value.name for value in model.graph.input}

    def typed(feeds: dict[str, Any]) -> list[Any]:
        given = {name: value.astype(dtypes[name]) for name, value in feeds.items() if name in asked}
        found = dict(zip(kept, engine.run(given), strict=True))
        return [found.get(number) for number in range(count)]

    return judge_stream(engine, stream, HINT, run=typed, int8=_in_int8(model.graph))


def _without_unknown_inputs(graph: Any, known: set[str]) -> list[int]:
    """Take out of a graph what depends on inputs that nobody gives, such as a mask for another output; return the outputs that stay."""
    given = known | {tensor.name for tensor in graph.initializer}
    unknown = {value.name for value in graph.input} - given
    every = list(range(len(graph.output)))
    if not unknown:
        return every
    nodes, outputs = list(graph.node), list(graph.output)
    for node in nodes:
        inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        if unknown.intersection({*node.input, *(name for body in inner for name in _named_in(body))}):
            unknown.update(name for name in node.output if name)
    kept = [number for number in every if outputs[number].name not in unknown]
    inputs = [value for value in graph.input if value.name not in unknown]
    del graph.node[:], graph.output[:], graph.input[:]
    graph.node.extend(node for node in nodes if not unknown.intersection(node.output))
    graph.output.extend(outputs[number] for number in kept)
    graph.input.extend(inputs)
    return kept


def _named_in(graph: Any) -> set[str]:
    """Return all names that nodes of a body read, and of those in it."""
    found: set[str] = {value.name for value in graph.output}
    for node in graph.node:
        found.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _named_in(attribute.g)
    return found


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
