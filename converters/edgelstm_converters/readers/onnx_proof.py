"""Run an ONNX model, in ONNX Runtime or else in ONNX's own evaluator, and compare it with what was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.proof import first_line, judge_stream
from edgelstm_converters.trace.streams import Stream

Run = Callable[[dict[str, Any]], list[Any]]
HINT = "it selects or reorders values on the way, or what is baked into it is no zero state; export the plain network"


def prove(model: Any, stream: Stream, fixed: Mapping[str, Any]) -> str:
    """Return the line of proof; raises ConversionError where the graph computes something else than its layers."""
    if stream.start is not None:
        from onnx import TensorProto, helper

        model.graph.output.append(helper.make_tensor_value_info(stream.start, TensorProto.FLOAT, None))
    try:
        engine, run = _engine(model)
    except Exception as exc:  # whatever an engine raises for a model it cannot load
        raise ConversionError(f"no engine can load it: {first_line(exc)}") from None
    dtypes = {value.name: _dtype(value) for value in model.graph.input}

    def typed(feeds: dict[str, Any]) -> list[Any]:
        return run({name: value.astype(dtypes[name]) for name, value in feeds.items()})

    return judge_stream(engine, typed, stream, fixed, HINT)


def _dtype(value: Any) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type or 1)


def _engine(model: Any) -> tuple[str, Run]:
    try:
        import onnxruntime
    except ImportError:
        return _evaluator(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # it knows less than ONNX's own evaluator, batch-first layout for one
        return _evaluator(model)
    return "onnxruntime", lambda feeds: list(session.run(None, feeds))


def _evaluator(model: Any) -> tuple[str, Run]:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    return "onnx", lambda feeds: list(evaluator.run(None, feeds))
