"""Random but valid models, for tests of everything that runs one."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.model import COLUMN_BLOCK, Channel, Dense, Gru, Layer, Lstm, Model, Output, RowProduct
from edgelstm.model_check import MAX_WEIGHT_SUM

Generator = np.random.Generator


def random_product(
    rng: Generator, rows: int, columns: int, *, spread: float = 1.0, extreme: bool = False
) -> RowProduct:
    """A product whose rows reach about `spread` in Q15.16; `extreme` takes the largest values that are allowed."""
    blocks = 1 if columns <= 516 else -(-columns // COLUMN_BLOCK)
    if extreme:
        weights = rng.choice(np.array([-127, 127], np.int8), (rows, columns))
        multipliers = np.full((blocks, rows), 2**30 // (2 * blocks) - 1)
        shifts = rng.integers(0, 31, (blocks, rows))
        bias = rng.choice([-(2**28), 2**28], rows)
    else:
        weights = rng.integers(-127, 128, (rows, columns))
        typical = 73 * 18_900 * np.sqrt(columns)  # of |weights . activations| for uniform values
        scale = spread * 65536 * 2**31 / typical
        multipliers = rng.uniform(0.5, 1.5, (blocks, rows)) * min(scale, 2**29)
        shifts = rng.choice([0, 0, 0, 1, 3], (blocks, rows))
        multipliers = np.maximum(multipliers / 2.0**shifts, 1)
        bias = rng.normal(0, 0.3 * 65536, rows)
    assert np.abs(weights[:, :COLUMN_BLOCK].astype(int)).sum(axis=1).max() <= MAX_WEIGHT_SUM
    return RowProduct(
        weights.astype(np.int8), multipliers.astype(np.int32), shifts.astype(np.int32), bias.astype(np.int32)
    )


def random_layer(
    rng: Generator, kind: str, name: str, columns: int, units: int, *, extreme: bool = False
) -> Layer:
    """A layer of `kind`: lstm, gru, gru_before, or the activation of a dense layer."""

    def product(rows: int, columns: int) -> RowProduct:
        return random_product(rng, rows, columns, extreme=extreme)

    if kind == "lstm":
        return Lstm(name, product(4 * units, columns), product(4 * units, units))
    if kind in ("gru", "gru_before"):
        return Gru(name, product(3 * units, columns), product(3 * units, units), kind == "gru")
    return Dense(name, product(units, columns), kind)


def random_model(
    seed: int,
    inputs: int = 4,
    layers: Sequence[tuple[str, int]] = (("lstm", 32), ("linear", 4)),
    *,
    extreme: bool = False,
) -> Model:
    """A model of `layers`, each (kind, units), on `inputs` channels."""
    rng = np.random.default_rng(seed)
    built: list[Layer] = []
    columns = inputs
    for number, (kind, units) in enumerate(layers):
        built.append(random_layer(rng, kind, f"{kind}_{number}", columns, units, extreme=extreme))
        columns = units
    return Model(
        channels=tuple(
            Channel(
                name=f"c{n}", offset=float(np.float32(rng.normal())), gain=2.0 ** int(rng.integers(10, 15))
            )
            for n in range(inputs)
        ),
        outputs=tuple(Output(name=f"c{n}", scale=2.0**-16) for n in range(columns)),
        layers=tuple(built),
        name=f"random-{seed}",
    )


def elsewhere(module: str, processor: str, features: str, cache: Path) -> Any:
    """What `report()` of a test module in tests/parity prints, as JSON, compiled for a processor that LLVM names so."""
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": features,
        "EDGELSTM_CACHE_DIR": str(cache),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    child = subprocess.run(
        [sys.executable, "-c", f"import {module}; {module}.report()"],
        cwd=Path(__file__).parent / "parity",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(child.stdout)
