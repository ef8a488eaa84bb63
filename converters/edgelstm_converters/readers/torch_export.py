"""A program that torch.export saved (.pt2): PyTorch writes it as an ONNX graph, which is traced; PyTorch proves it."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.readers import Asked, Reading
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.readers.onnx_file import fold, to_graph
from edgelstm_converters.readers.proof import NOT_ASKED, judge_stream
from edgelstm_converters.trace.streams import read_stream

MAX_BYTES = 1 << 30


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a program; raises ConversionError for what torch cannot load, or write as a graph."""
    asked.only("fixed", "start")
    missing = [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"{path}: reading it needs torch, onnx and onnxscript; missing: {', '.join(missing)}"
        )
    try:
        container = zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        container = False
    if not container or path.stat().st_size > MAX_BYTES:
        raise ConversionError("is damaged, too large, or no program of torch.export.save()")
    import onnx

    try:
        engine = Engine("torch_program", path)
    except (EngineError, EngineDied) as exc:
        raise ConversionError(str(exc)) from None
    model = onnx.load_from_string(engine.given)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 18)
    stream = read_stream(to_graph(model.graph, opset), asked.fixed, fold, asked.inputs, asked.start)
    if not asked.verify:
        return Reading.of(stream, NOT_ASKED)
    if asked.start is not None:
        return Reading.of(stream, "not proved: it begins inside the program")
    names = [value.name for value in model.graph.input]

    def run(feeds: dict[str, Any]) -> list[Any]:
        return engine.run({name: feeds[name] for name in names})

    return Reading.of(stream, judge_stream(engine, stream, asked.fixed, "please report this", run=run))
