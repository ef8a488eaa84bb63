"""Faults to put into normal signals: each is one function and one line in FAULTS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Fault = Callable[[np.random.Generator, Floats, Floats, float, slice], None]
"""Changes a signal (samples,) in place, from its phase, a size in standard deviations, and where it is at fault."""


def level_shift(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """The signal stands at another level."""
    signal[at] += size


def drift(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """The signal leaves its level slowly, and stays away."""
    part = signal[at]
    ramp = max(len(part) // int(rng.integers(1, 4)), 1)
    part += size * np.minimum(np.arange(len(part)) / ramp, 1.0)


def spike(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """A few samples are far away."""
    signal[at] += 2.0 * size


def variance(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """The signal moves more, or less, about the level that it has."""
    part = signal[at]
    middle = part.mean()
    factor = 1.0 + abs(size) if rng.uniform() < 0.6 else 1.0 / (1.5 + abs(size))
    part[:] = middle + factor * (part - middle)


def noise(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """Noise comes on top."""
    part = signal[at]
    part += 0.7 * abs(size) * rng.normal(size=len(part))


def stuck(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """The sensor repeats one value."""
    signal[at] = signal[at.start]


def phase_jump(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """The signal goes on from another place of its past."""
    length = at.stop - at.start
    back = int(rng.integers(1, max(at.start - length, 2)))
    start = max(at.start - back - length, 0)
    signal[at] = signal[start : start + length].copy()[::-1] if length > 30 else signal[at]


def frequency(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """The signal runs faster or slower than it did."""
    length = at.stop - at.start
    speed = rng.uniform(1.5, 3.0) if rng.uniform() < 0.5 else rng.uniform(0.3, 0.7)
    source = np.clip(at.start - length + np.arange(length) * speed, 0, at.stop - 1)
    signal[at] = np.interp(source, np.arange(len(signal)), signal)


def oscillation(rng: np.random.Generator, signal: Floats, phase: Floats, size: float, at: slice) -> None:
    """A vibration comes on top."""
    period = np.exp(rng.uniform(np.log(3.0), np.log(60.0)))
    signal[at] += size * np.sin(2.0 * np.pi * np.arange(at.stop - at.start) / period)


FAULTS: tuple[tuple[Fault, float, tuple[int, int]], ...] = (
    (level_shift, 0.34, (30, 600)),
    (drift, 0.12, (60, 600)),
    (spike, 0.10, (1, 6)),
    (variance, 0.12, (40, 500)),
    (noise, 0.06, (30, 400)),
    (stuck, 0.08, (40, 400)),
    (phase_jump, 0.06, (40, 400)),
    (frequency, 0.06, (60, 400)),
    (oscillation, 0.06, (40, 400)),
)
"""What can go wrong, how often of all faults, and for how many samples."""


def inject(
    rng: np.random.Generator, signals: Floats, phase: Floats, first: int, share: float
) -> NDArray[np.float64]:
    """Put faults into `share` of the signals (count, samples), from sample `first` on, in place; return 0/1 labels."""
    count, samples = signals.shape
    labels = np.zeros(signals.shape)
    chances = np.array([chance for _, chance, _ in FAULTS])
    for row in np.flatnonzero(rng.uniform(size=count) < share):
        deviation = max(float(signals[row, :first].std()), 1e-6)
        at = first + int(rng.integers(0, 200))
        while at < samples - 10:
            fault, _, (shortest, longest) = FAULTS[rng.choice(len(FAULTS), p=chances / chances.sum())]
            length = int(np.exp(rng.uniform(np.log(shortest), np.log(longest + 1))))
            where = slice(at, min(at + length, samples))
            size = rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(np.log(0.7), np.log(6.0)))
            before = signals[row, where].copy()
            fault(rng, signals[row], phase[row], size * deviation, where)
            if not np.array_equal(before, signals[row, where]):
                labels[row, where] = 1.0
            at = where.stop + int(rng.integers(150, 700))
    return labels
