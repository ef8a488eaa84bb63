"""TFLite: read without TensorFlow, proved by LiteRT where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edgelstm_converters.readers import Asked, Reading
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.readers.proof import NOT_ASKED, judge_stream
from edgelstm_converters.readers.tflite_file import load
from edgelstm_converters.readers.tflite_graph import keeps_states, quantised, to_graph
from edgelstm_converters.trace.streams import Stream, read_stream


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of the first graph of a file; int8 weights are taken as the numbers that they stand for."""
    asked.only()
    graphs = load(path)
    stream = read_stream(
        to_graph(graphs), {}, lambda node, values, opset: None, asked.inputs, window=asked.window
    )
    if not asked.verify:
        return Reading.of(stream, NOT_ASKED)
    return Reading.of(stream, _prove(path, stream, quantised(graphs), keeps_states(graphs)))


def _prove(path: Path, stream: Stream, int8: bool, carried: bool) -> str:
    if find_spec("ai_edge_litert") is None:
        return "not proved: ai-edge-litert is not installed"
    try:
        engine = Engine("litert", path)
    except EngineError as exc:
        return f"not proved: this LiteRT cannot load it: {exc}"
    except EngineDied as exc:
        return f"not proved: {exc}"
    return judge_stream(engine, stream, {}, "please report this", int8=int8, carried=carried)
