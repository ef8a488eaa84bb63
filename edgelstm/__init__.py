"""Edge runtime for recurrent networks: int8 models stepped once per sample, the same bits everywhere.

    model = edgelstm.load("pump.elstm")
    stream = model.stream()
    y = stream.step(x)

Names are imported when they are first used, so that `import edgelstm` alone loads neither NumPy nor Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgelstm.detector import Detector
    from edgelstm.detector_settings import DetectorSettings
    from edgelstm.errors import EdgeLstmError
    from edgelstm.sample import Sample
    from edgelstm.stream import LoadedModel, Stream, Streams, load
    from edgelstm.verdict import Verdict

__version__ = "0.1.0"

_HOMES = {
    "load": "stream",
    "LoadedModel": "stream",
    "Stream": "stream",
    "Streams": "stream",
    "Sample": "sample",
    "Detector": "detector",
    "DetectorSettings": "detector_settings",
    "Verdict": "verdict",
    "EdgeLstmError": "errors",
}

__all__ = [
    "Detector",
    "DetectorSettings",
    "EdgeLstmError",
    "LoadedModel",
    "Sample",
    "Stream",
    "Streams",
    "Verdict",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgelstm' has no attribute '{name}'")
    return getattr(importlib.import_module(f"edgelstm.{_HOMES[name]}"), name)
