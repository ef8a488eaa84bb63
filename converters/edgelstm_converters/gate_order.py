"""The order in which frameworks stack the rows of gates, converted here and nowhere else.

This project: i f g o (input, forget, cell, output gate) and r u n (reset, update, new gate).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LSTM, GRU = "ifgo", "run"
TORCH_LSTM, TORCH_GRU = "ifgo", "run"  # torch calls u "z"
ONNX_LSTM, ONNX_GRU = "iofg", "urn"  # ONNX calls g "c", u "z", n "h"


def reorder(rows: NDArray[np.float32], source: str, target: str) -> NDArray[np.float32]:
    """Return `rows`, gates stacked in the order `source`, stacked in the order `target`."""
    blocks = dict(zip(source, np.split(rows, len(source)), strict=True))
    return np.concatenate([blocks[gate] for gate in target])
