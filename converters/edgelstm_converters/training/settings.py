"""What training is told; everything has a default that is good enough to begin with."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgelstm.errors import UsageError

FEWEST_EPOCHS, FEWEST_UPDATES = 40, 1500
FEWEST_PARTS = 4
"""Stretches of backpropagation in a strip, so that a state is carried at all."""

RANGES = {
    "hidden": (1, 1024),
    "layers": (1, 8),
    "bottleneck": (1, 256),
    "epochs": (0, 10_000),
    "batch": (1, 4096),
    "bptt": (2, 10_000),
    "learning_rate": (1e-6, 1.0),
    "weight_decay": (0.0, 1.0),
    "dropout": (0.0, 0.9),
    "noise": (0.0, 1.0),
    "clip": (1e-3, 1e3),
    "patience": (0, 10_000),
    "quantised_epochs": (0, 1000),
    "validation": (0.05, 0.5),
    "test": (0.0, 0.5),
    "seed": (0, 2**31),
}
"""Least and largest value of every number."""


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a network is trained.

    task              forecast the next sample, rebuild this one through a bottleneck, or tell a labelled fault
    batch             strips of the recording that are trained side by side
    bptt              samples between two updates; the state is carried on
    dropout           variational: one mask for a whole strip (Gal and Ghahramani 2016, arXiv 1512.05287)
    noise             standard deviation of the noise added to inputs, so that a forecast does not copy sensor noise
    clip              the largest norm of a gradient
    epochs            times through the recording; 0: as many as make FEWEST_UPDATES, and FEWEST_EPOCHS at least
    patience          epochs without a better validation loss after which training stops; 0: a quarter of all
    quantised_epochs  at the end, with weights rounded to int8 on the way forward (straight-through gradients)
    validation, test  shares of the recording, in time, after what is trained on
    """

    task: Literal["forecast", "autoencoder", "classify"] = "forecast"
    cell: Literal["lstm", "gru"] = "lstm"
    hidden: int = 32
    layers: int = 1
    bottleneck: int = 4
    epochs: int = 0
    batch: int = 32
    bptt: int = 64
    learning_rate: float = 8e-3
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    weight_decay: float = 1e-3
    dropout: float = 0.0
    noise: float = 0.02
    clip: float = 1.0
    patience: int = 0
    quantised_epochs: int = 2
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value}, expected {low:g} to {high:g}")
