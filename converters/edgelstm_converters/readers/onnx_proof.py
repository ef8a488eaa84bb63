"""Run an ONNX model, in ONNX Runtime or else in ONNX's own evaluator, and compare it with what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.readers.proof import judge_stream
from edgelstm_converters.trace.streams import Stream

HINT = "it selects or reorders values on the way, or what is baked into it is no zero state; export the plain network"


def prove(model: Any, stream: Stream, fixed: Mapping[str, Any]) -> str:
    """Return the line of proof; raises ConversionError where the graph computes something else than its layers."""
    if stream.start is not None:
        from onnx import TensorProto, helper

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

    return judge_stream(engine, stream, fixed, HINT, run=typed)


def _dtype(value: Any) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type or 1)
