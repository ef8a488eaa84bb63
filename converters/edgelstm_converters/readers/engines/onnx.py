"""ONNX Runtime, or else ONNX's own evaluator; `content` is the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[[dict[str, Any]], list[Any]]


def load(path: str, content: bytes) -> tuple[str, Run, bytes]:
    del path
    try:
        import onnxruntime
    except ImportError:
        return _evaluator(content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # it knows less than ONNX's own evaluator, batch-first layout for one
        return _evaluator(content)
    return "onnxruntime", lambda feeds: list(session.run(None, feeds)), b""


def _evaluator(content: bytes) -> tuple[str, Run, bytes]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load_from_string(content))
    return "onnx", lambda feeds: list(evaluator.run(None, feeds)), b""
