"""A program that torch.export saved (.pt2): PyTorch writes it as an ONNX graph, which is traced; PyTorch proves it."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.readers import Asked, Reading
from edgelstm_converters.readers.onnx_file import fold, to_graph
from edgelstm_converters.readers.proof import NOT_ASKED, first_line, judge_stream
from edgelstm_converters.trace.streams import read_stream

MAX_BYTES = 1 << 30


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a program; raises ConversionError for what torch cannot load, or write as a graph."""
    asked.only("fixed", "start")
    try:
        import onnxscript  # noqa: F401, torch's exporter needs it
        import torch
    except ImportError:
        raise UnavailableError(f"{path}: reading it needs torch, onnx and onnxscript") from None
    if not zipfile.is_zipfile(path) or path.stat().st_size > MAX_BYTES:
        raise ConversionError("is damaged, too large, or no program of torch.export.save()")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program, model = _load(torch, path)
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 18)
        stream = read_stream(to_graph(model.graph, opset), asked.fixed, fold, asked.inputs, asked.start)
        if not asked.verify or asked.start is not None:
            return Reading(
                stream.model, NOT_ASKED if not asked.verify else "not proved: it begins inside the program"
            )
        names = [value.name for value in model.graph.input]
        module = program.module()

        def run(feeds: dict[str, Any]) -> list[Any]:
            with torch.no_grad():
                found = module(*[torch.from_numpy(feeds[name]) for name in names])
            flat = torch.utils._pytree.tree_leaves(found)
            return [y.numpy() for y in flat]

        return Reading(stream.model, judge_stream("torch", run, stream, asked.fixed, "please report this"))


def _load(torch: Any, path: Path) -> tuple[Any, Any]:
    import contextlib
    import logging

    import onnx.inliner

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        program = torch.export.load(path)
    except Exception as exc:  # torch raises whatever the bytes make of its loader
        raise ConversionError(f"is damaged or no program of torch.export.save(): {first_line(exc)}") from None
    try:
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            written = torch.onnx.export(program, dynamo=True)
        return program, onnx.inliner.inline_local_functions(written.model_proto)
    except Exception as exc:
        raise ConversionError(f"torch cannot write it as a graph: {first_line(exc)}") from None
