"""The activations that follow a product, in the order of their codes in a program."""

from __future__ import annotations

from edgelstm.layers.bounds import require

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")

BOUNDED = frozenset({"sigmoid", "tanh"})
"""Those that read Q15.16 and give Q0.31; the others keep the fixed point they are given."""


def check_exponent(exponent: int, where: str) -> None:
    """Require the exponent of a scale to be one that a model may have."""
    require(-64 <= exponent <= 64, f"{where}: exponent is {exponent}, expected -64 to 64")
