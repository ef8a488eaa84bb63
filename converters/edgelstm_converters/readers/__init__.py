"""The table of readers: one file per source. Each gives the layers, and the proof that they compute the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatModel

READERS = {
    ".pt": "torch_state_dict",
    ".pth": "torch_state_dict",
    ".safetensors": "torch_state_dict",
    ".onnx": "onnx_graph",
}
LIVE_READER = "torch_module"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found, and one line about how it was proved, such as "torch: within 2.1e-07"."""

    model: FloatModel
    proof: str


def read(
    source: Any,
    *,
    activations: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    inputs: int | None = None,
) -> Reading:
    """Read a trained model from a file, or from a live module.

    activations  of the linear layers, where the source does not say
    order        of the modules, where the source does not say
    inputs       how many channels the model will get, which may decide the order

    Raises ConversionError for what is missing, unknown or cannot be converted exactly: one line that names it.
    """
    if not isinstance(source, str | Path):
        reading: Reading = _module(LIVE_READER).read(source, activations, order)
        return reading
    path = Path(source)
    if path.suffix.lower() not in READERS:
        raise ConversionError(
            f"{path}: unknown kind of model; expected {', '.join(READERS)}, or a live torch module"
        )
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")
    try:
        reading = _module(READERS[path.suffix.lower()]).read(path, activations, order, inputs)
    except ConversionError as exc:
        raise ConversionError(f"{path}: {exc}") from None
    return reading


def _module(name: str) -> Any:
    return import_module(f"edgelstm_converters.readers.{name}")
