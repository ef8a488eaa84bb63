"""A program that PyTorch can run: PyTorch writes it as an ONNX graph, in a process of its own, which is traced; PyTorch proves it."""

from __future__ import annotations

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


def read(kind: str, path: Path, asked: Asked, needs: tuple[str, ...], content: bytes = b"") -> Reading:
    """Read the layers of a program that the engine `kind` loads, given `content`; `needs` are packages.

    Raises ConversionError for what torch cannot load, or write as a graph.
    """
    asked.only("fixed", "start")
    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        words = f"{', '.join(needs[:-1])} and {needs[-1]}"
        raise UnavailableError(
            f"{path}: reading it needs {words}; missing: {', '.join(missing)}: pip install 'edgelstm[graph]'"
        )
    if path.stat().st_size > MAX_BYTES:
        raise ConversionError(f"is {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    import onnx

    try:
        engine = Engine(kind, path, content)
    except (EngineError, EngineDied) as exc:
        raise ConversionError(str(exc)) from None
    model = onnx.load_from_string(engine.given)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 18)
    stream = read_stream(
        to_graph(model.graph, opset), asked.fixed, fold, asked.inputs, asked.start, asked.window
    )
    if not asked.verify:
        return Reading.of(stream, NOT_ASKED)
    if asked.start is not None:
        return Reading.of(stream, "not proved: it begins inside the program")
    names = [value.name for value in model.graph.input]

    def run(feeds: dict[str, Any]) -> list[Any]:
        return engine.run({name: feeds[name] for name in names})

    return Reading.of(stream, judge_stream(engine, stream, "please report this", run=run))
