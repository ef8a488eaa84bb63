"""TFLite: read without TensorFlow, proved by LiteRT where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm_converters.readers import Asked, Reading
from edgelstm_converters.readers.proof import NOT_ASKED, first_line, judge_stream
from edgelstm_converters.readers.tflite_file import load
from edgelstm_converters.readers.tflite_graph import quantised, to_graph
from edgelstm_converters.trace.streams import Stream, read_stream


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of the first graph of a file; int8 weights are taken as the numbers that they stand for."""
    asked.only()
    graphs = load(path)
    stream = read_stream(to_graph(graphs), {}, lambda node, values, opset: None, asked.inputs)
    if not asked.verify:
        return Reading(stream.model, NOT_ASKED)
    return Reading(stream.model, _prove(path, stream, quantised(graphs)))


def _prove(path: Path, stream: Stream, int8: bool) -> str:
    if find_spec("ai_edge_litert") is None:
        return "not proved: ai-edge-litert is not installed"
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        (given, *_), (wanted, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    except Exception as exc:
        return f"not proved: this LiteRT cannot load it: {first_line(exc)}"

    def run(feeds: dict[str, Any]) -> list[Any]:
        x = feeds[stream.signal]
        if list(x.shape) != list(interpreter.get_input_details()[0]["shape"]):
            interpreter.resize_tensor_input(given["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], _quantised(x, given))
        interpreter.invoke()
        return [_real(interpreter.get_tensor(wanted["index"]), wanted)]

    return judge_stream("litert", run, stream, {}, "please report this", int8=int8)


def _quantised(x: Any, details: dict[str, Any]) -> Any:
    if details["dtype"] == np.float32:
        return x
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(x / scale) + zero, limits.min, limits.max).astype(details["dtype"])


def _real(y: Any, details: dict[str, Any]) -> Any:
    if details["dtype"] == np.float32:
        return y
    scale, zero = details["quantization"]
    return ((y.astype(np.float32) - zero) * scale).astype(np.float32)
