"""A program that torch.jit saved: TorchScript, which `torch.jit.script` and `torch.jit.trace` make."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import Asked, Reading, torch_program
from edgelstm_converters.readers.torch_file import MAX_BYTES

AT_LOADING = b"def __setstate__"


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a program; raises ConversionError for what would run while it is loaded, or cannot be a graph."""
    with zipfile.ZipFile(path) as container:
        code = [entry for entry in container.infolist() if entry.filename.endswith(".py")]
        if sum(entry.file_size for entry in code) > MAX_BYTES:
            raise ConversionError("has more code than is read")
        for entry in code:
            try:
                text = container.read(entry)
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as exc:
                raise ConversionError(f"is damaged: {exc}") from None
            if AT_LOADING in text:
                raise ConversionError(
                    f'"{entry.filename}" has code that is run when the file is loaded, as quantised modules do: save it as it '
                    "was before that, or as ONNX"
                )
    channels = b"" if asked.inputs is None else b"%d" % asked.inputs
    return torch_program.read("torch_script", path, asked, ("torch", "onnx"), channels)
