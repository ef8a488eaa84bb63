"""A program that torch.export saved (.pt2)."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import Asked, Reading, torch_program


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a program; raises ConversionError for what torch cannot load, or write as a graph."""
    try:
        container = zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        container = False
    if not container:
        raise ConversionError("is damaged, or no program of torch.export.save()")
    return torch_program.read("torch_program", path, asked, ("torch", "onnx", "onnxscript"))
