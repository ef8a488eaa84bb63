"""Forecasts that are far worse than repeating the last value: the network saw other inputs in training, and how a user is told."""

from __future__ import annotations

from collections.abc import Mapping

RATIO = 3.0
"""A forecast so many times worse than the last value repeated foretells nothing."""


def blind(ratios: Mapping[str, float]) -> dict[str, float]:
    """Return those channels whose mean error is beyond RATIO of what the last value repeated would have."""
    return {name: ratio for name, ratio in ratios.items() if ratio > RATIO}


def warnings(found: Mapping[str, float]) -> list[str]:
    """Return what a user is told of them, a line each."""
    return [
        f"warning: the forecast of {name} is {ratio:.3g} times worse than repeating the last value: are inputs scaled as in training "
        "(edgelstm convert --scaling), and channels in the order of the network (edgelstm convert --channels)?"
        for name, ratio in found.items()
    ]
