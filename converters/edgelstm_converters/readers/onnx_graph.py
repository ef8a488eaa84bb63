"""ONNX: whatever a graph spells, traced to the layers that it computes, and proved by running it."""

from __future__ import annotations

from pathlib import Path

from edgelstm_converters.readers import Asked, Reading
from edgelstm_converters.readers.onnx_file import fold, load, to_graph
from edgelstm_converters.readers.onnx_proof import prove
from edgelstm_converters.readers.onnx_tables import with_real_tables
from edgelstm_converters.readers.proof import NOT_ASKED
from edgelstm_converters.trace.streams import read_stream


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a graph; its own operators say order and activations."""
    asked.only("fixed", "start")
    model = load(path)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 17)
    stream = read_stream(
        with_real_tables(to_graph(model.graph, opset)),
        asked.fixed,
        fold,
        asked.inputs,
        asked.start,
        asked.window,
    )
    proof = prove(model, stream) if asked.verify else NOT_ASKED
    return Reading.of(stream, proof)
