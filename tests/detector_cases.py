"""Models and recordings for tests of the detector."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import ChannelBaseline, DetectorSettings, Evidence
from edgelstm.layers import Variational
from edgelstm.model import Channel, Dense, Model, Output, RowProduct
from edgelstm.output_roles import SPREAD_SUFFIX
from edgelstm.stream import LoadedModel

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND


def persistence_model(names: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> Model:
    """A model whose forecast of every channel is its last value: one dense layer, the identity."""
    count = len(names)
    gains = [
        float(2.0 ** np.floor(np.log2(2000.0 / max(deviation, 1e-4 * abs(mean), 1e-9))))
        for mean, deviation in zip(means, deviations, strict=True)
    ]
    offsets = [float(np.float32(mean)) for mean in means]
    product = RowProduct(
        np.diag([127] * count).astype(np.int8),
        np.full((1, count), 2**31 // 127, np.int32),
        np.full((1, count), 8, np.int32),
        np.array([round(o * g * 256) for o, g in zip(offsets, gains, strict=True)], np.int64).astype(
            np.int32
        ),
    )
    return Model(
        channels=tuple(
            Channel(name=name, offset=offset, gain=gain)
            for name, offset, gain in zip(names, offsets, gains, strict=True)
        ),
        outputs=tuple(
            Output(name=name, scale=1.0 / (256 * gain)) for name, gain in zip(names, gains, strict=True)
        ),
        layers=(Dense("identity", product),),
        name="persistence",
    )


def unsure_model(names: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> Model:
    """A persistence model run twice, each channel masked in one run: the farther from its mean, the less sure."""
    model = persistence_model(names, means, deviations)
    masks = np.ones((2, len(names)), np.int8)
    masks[np.arange(len(names)) % 2, np.arange(len(names))] = 0
    spreads = tuple(msgspec.structs.replace(y, name=y.name + SPREAD_SUFFIX) for y in model.outputs)
    runs = Variational("runs", model.layers, masks)
    return replace(model, layers=(runs,), outputs=(*model.outputs, *spreads), name="unsure")


def times(count: int, period_ns: int = SECOND, start_ns: int = START_NS) -> NDArray[np.int64]:
    """Evenly spaced times."""
    return start_ns + np.arange(count, dtype=np.int64) * period_ns


def noise(seed: int, count: int, channels: int = 3, *, heavy: bool = False) -> NDArray[np.float32]:
    """Normal running without memory: normal values, or heavy-tailed ones."""
    rng = np.random.default_rng(seed)
    values = rng.standard_t(2.5, (count, channels)) if heavy else rng.normal(size=(count, channels))
    return (values * np.arange(1, channels + 1) + 10.0).astype(np.float32)


def drifting_aside(count: int) -> NDArray[np.float32]:
    """A fault of the first channel from 400 to 500; meanwhile the second begins to drift, and stays where it gets to."""
    values = noise(7, count)
    values[400:500, 0] += 15.0
    values[430:, 1] += np.minimum(np.arange(count - 430) / 3.0, 20.0).astype(np.float32)
    return values


def plain_model(channels: int = 3) -> LoadedModel:
    """A loaded persistence model for `noise`."""
    names = [f"c{n}" for n in range(channels)]
    return LoadedModel(persistence_model(names, [10.0] * channels, list(range(1, channels + 1))))


def settings_for(names: Sequence[str], **changes: object) -> DetectorSettings:
    """Settings by hand for channels like those of `noise`."""
    channels = tuple(
        ChannelBaseline(
            name=name,
            mean=10.0,
            error_spread=1.13 * (n + 1),
            error_floor=0.05 * (n + 1),
            level_spread=float(n + 1),
            level_floor=0.05 * (n + 1),
            evidence={
                "error": Evidence(weight=0.6, threshold=2.6, mean_excess=0.35, mean_square=0.25),
                "error_mean": Evidence(threshold=1.4, mean_excess=0.1, mean_square=0.02),
                "level": Evidence(threshold=0.6, mean_excess=0.08, mean_square=0.013),
            },
        )
        for n, name in enumerate(names)
    )
    given: dict[str, object] = {
        "period_ns": SECOND,
        "channels": channels,
        "gap_reset_ns": 100 * SECOND,
        "threshold": 5.0,
        "threshold_low": 4.0,
        "threshold_high": 7.6,
        "update_interval_ns": 10 * SECOND,
        "cooldown_ns": 30 * SECOND,
        "freeze_timeout_ns": 3600 * SECOND,
    }
    given.update(changes)
    return DetectorSettings(**given)  # type: ignore[arg-type]


def eventful(seed: int, count: int, channels: int = 3) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """A recording with everything in it: missing values, gaps short and long, duplicates, late samples, faults."""
    rng = np.random.default_rng(seed)
    values = noise(seed, count, channels)
    values[count // 3 : count // 2, 1] += 15.0
    values[2 * count // 3 : 2 * count // 3 + 8, 0] -= 40.0
    values[rng.random(values.shape) < 0.02] = np.nan
    values[rng.random(count) < 0.01] = np.inf
    steps = rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 2, 7], count) * SECOND
    steps[rng.random(count) < 0.004] = 500 * SECOND
    steps[rng.random(count) < 0.01] = 0
    steps[rng.random(count) < 0.01] = -3 * SECOND
    steps[rng.random(count) < 0.02] = SECOND // 4
    return START_NS + np.cumsum(steps), values
