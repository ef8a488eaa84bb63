"""The activations that follow a product, in the order of their codes in a program."""

from __future__ import annotations

from edgelstm.layers.bounds import require

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_6", "softmax")
"""hard_sigmoid is x / 5 + 1/2 limited to 0..1 (ONNX, Keras 2), hard_sigmoid_6 is x / 6 + 1/2 (PyTorch, Keras 3)."""

CELL_ACTIVATIONS = ACTIVATIONS[:6]
"""Those that act on each value alone."""

GATE_ACTIVATIONS = ("sigmoid", "hard_sigmoid", "hard_sigmoid_6")
"""Those from 0 to 1."""

UNBOUNDED = ("linear", "relu")
"""Those that keep the fixed point they are given; all others read Q15.16 and give Q0.31."""


def narrowing(activation: str) -> int:
    """Return by how many bits a 32-bit result of the activation is narrowed to int16."""
    return 8 if activation in UNBOUNDED else 16


def check_exponent(exponent: int, where: str) -> None:
    """Require the exponent of a scale to be one that a model may have."""
    require(-64 <= exponent <= 64, f"{where}: exponent is {exponent}, expected -64 to 64")
