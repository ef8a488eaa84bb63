"""Made-up sensor signals of many kinds, all of them normal running, for a detector that has to know none in particular."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHORTEST_PERIOD, LONGEST_PERIOD = 6.0, 400.0


def normal(rng: np.random.Generator, count: int, samples: int) -> tuple[Floats, Floats]:
    """Return `count` signals, float64 (count, samples), and a phase (count, samples) that their seasons follow.

    Every signal is a sum of noise (white to strongly correlated, normal or heavy-tailed), a season of one of four
    shapes, a slow drift, switching between levels, and impulses; most of the parts are absent from most signals.
    Some are then rounded to coarse steps, as converters do.
    """
    period = _log_uniform(rng, count, SHORTEST_PERIOD, LONGEST_PERIOD)
    wander = np.cumsum(rng.normal(size=(count, samples)), axis=1) * rng.choice([0.0, 0.01], (count, 1))
    phase = rng.uniform(size=(count, 1)) + np.arange(samples) / period[:, None] + wander / period[:, None]
    noise = _noise(rng, count, samples)
    parts = (
        noise,
        _some(rng, count, 0.55) * _log_uniform(rng, count, 0.5, 8.0)[:, None] * season(rng, phase),
        _some(rng, count, 0.55) * _drift(rng, count, samples),
        _some(rng, count, 0.15) * _switching(rng, count, samples),
        _some(rng, count, 0.25) * _impulses(rng, count, samples),
    )
    signals = np.sum(parts, axis=0)
    signals *= np.where(_some(rng, count, 0.1) > 0, 1.0 + 0.7 * season(rng, phase / 3.0), 1.0)
    step = _some(rng, count, 0.3) * _log_uniform(rng, count, 0.1, 3.0)[:, None]
    return np.where(step > 0.0, np.round(signals / np.maximum(step, 1e-9)) * step, signals), phase


def season(rng: np.random.Generator, phase: Floats) -> Floats:
    """Return a periodic signal of a shape chosen for each row: harmonics, pulse, saw tooth or half waves."""
    count = len(phase)
    harmonics = sum(
        rng.normal(size=(count, 1)) / k * np.sin(2.0 * np.pi * (k * phase + rng.uniform(size=(count, 1))))
        for k in (1, 2, 3)
    )
    pulse = ((phase % 1.0) < rng.uniform(0.1, 0.6, (count, 1))) - 0.5
    saw = (phase % 1.0) - 0.5
    half = np.maximum(np.sin(2.0 * np.pi * phase), 0.0)
    kind = rng.integers(0, 6, (count, 1))
    shape: Floats = np.select([kind <= 2, kind == 3, kind == 4], [harmonics, pulse, saw], half)
    return shape


def _noise(rng: np.random.Generator, count: int, samples: int) -> Floats:
    steps = rng.normal(size=(count, samples))
    heavy = rng.standard_t(3.0, (count, samples)) / np.sqrt(3.0)
    steps = np.where(rng.uniform(size=(count, 1)) < 0.25, heavy, steps)
    memory = np.where(rng.uniform(size=count) < 0.45, 0.0, rng.uniform(0.2, 0.98, count))
    noise = np.empty_like(steps)
    value = np.zeros(count)
    for t in range(samples):
        value = memory * value + np.sqrt(1.0 - memory**2) * steps[:, t]
        noise[:, t] = value
    loudness = np.where(rng.uniform(size=count) < 0.15, 0.05, 1.0)
    return noise * loudness[:, None]


def _drift(rng: np.random.Generator, count: int, samples: int) -> Floats:
    """Return a slope, or a slow wave, or a walk with a pull to the middle."""
    size = _log_uniform(rng, count, 0.5, 40.0)[:, None]
    time = np.arange(samples) / samples
    slope = rng.choice([-1.0, 1.0], (count, 1)) * time
    wave = np.sin(2.0 * np.pi * (rng.uniform(0.3, 2.0, (count, 1)) * time + rng.uniform(size=(count, 1))))
    walk = np.cumsum(rng.normal(size=(count, samples)), axis=1) / np.sqrt(samples)
    kind = rng.integers(0, 3, (count, 1))
    shape: Floats = np.select([kind == 0, kind == 1], [slope, wave], walk)
    return size * shape


def _switching(rng: np.random.Generator, count: int, samples: int) -> Floats:
    """Return a signal that goes back and forth between two levels, often enough for that to be normal."""
    stay = _log_uniform(rng, count, 10.0, 80.0)[:, None]
    flips = rng.uniform(size=(count, samples)) < 1.0 / stay
    return _log_uniform(rng, count, 1.0, 6.0)[:, None] * (np.cumsum(flips, axis=1) % 2)


def _impulses(rng: np.random.Generator, count: int, samples: int) -> Floats:
    often = _log_uniform(rng, count, 0.003, 0.05)[:, None]
    size = _log_uniform(rng, count, 3.0, 12.0)[:, None] * rng.choice([-1.0, 1.0], (count, 1))
    struck = rng.uniform(size=(count, samples)) < often
    impulses: Floats = size * struck * rng.uniform(0.5, 1.0, (count, samples))
    return impulses


def _some(rng: np.random.Generator, count: int, share: float) -> Floats:
    return (rng.uniform(size=(count, 1)) < share).astype(np.float64)


def _log_uniform(rng: np.random.Generator, count: int, low: float, high: float) -> Floats:
    drawn: Floats = np.exp(rng.uniform(np.log(low), np.log(high), count))
    return drawn
