"""TFLite: read without TensorFlow, proved by LiteRT where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edgelstm_converters.readers import Asked, Reading
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.readers.proof import NOT_ASKED, judge_stream
from edgelstm_converters.readers.tflite_file import Subgraph, load
from edgelstm_converters.readers.tflite_graph import keeps_states, quantised, to_graph
from edgelstm_converters.trace.streams import Stream, read_stream

REPORT = "please report this"
STATE = 18
"""The input of the fused LSTM that is its output of the sample before."""


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of the first graph of a file; int8 weights are taken as the numbers that they stand for."""
    asked.only()
    graphs = load(path)
    stream = read_stream(
        to_graph(graphs), {}, lambda node, values, opset: None, asked.inputs, window=asked.window
    )
    if not asked.verify:
        return Reading.of(stream, NOT_ASKED)
    return Reading.of(stream, _prove(path, stream, graphs))


def _prove(path: Path, stream: Stream, graphs: list[Subgraph]) -> str:
    if find_spec("ai_edge_litert") is None:
        return "not proved: ai-edge-litert is not installed"
    try:
        engine = Engine("litert", path)
    except EngineError as exc:
        return f"not proved: this LiteRT cannot load it: {exc}"
    except EngineDied as exc:
        return f"not proved: {exc}"
    int8, carried = quantised(graphs), keeps_states(graphs)
    return judge_stream(engine, stream, _hint(graphs) if int8 else REPORT, int8=int8, carried=carried)


def _hint(graphs: list[Subgraph]) -> str:
    """Return why an engine may be far from what the weights of a file say, and what to do.

    An LSTM in whole numbers keeps its output as its state; where the converter of TensorFlow joins outputs, as behind
    Bidirectional, it may give the output another scale than the state, which LiteRT does not convert.
    """
    for graph in graphs:
        for operator in graph.operators:
            if operator.op != "UNIDIRECTIONAL_SEQUENCE_LSTM" or len(operator.inputs) <= STATE:
                continue
            given, kept = (graph.tensors[n] for n in (operator.outputs[0], operator.inputs[STATE]))
            if not given.scale.size or not kept.scale.size:
                continue
            if given.scale[0] != kept.scale[0] or given.zero[0] != kept.zero[0]:
                return (
                    f'"{given.name}" has scale {given.scale[0]:.3g} and zero {given.zero[0]}, its state, which is the same numbers, '
                    f"{kept.scale[0]:.3g} and {kept.zero[0]}: TensorFlow writes a Bidirectional so in int8, and the engine is as far "
                    "from the network that was trained. Export it in float, and convert that"
                )
    return f"an engine may lose so much in int8: export it in float, and convert that; if that is refused as well, {REPORT}"
