"""A rolling bearing on a shaft: vibration as shaft harmonics, impacts of a damaged race, and noise.

An outer-race defect is struck at `BPFO = z/2 * f_shaft * (1 - d/D cos a)`; each strike rings down at a resonance
of the housing. A sample holds features of one block of the accelerometer; `raw_block` is the waveform itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.signals.signal import Signal

WAVEFORM_HZ = 3200.0
BALLS, BALL_TO_PITCH = 9, 0.22
RESONANCE_HZ, RING_DOWN_S = 1150.0, 0.004
NOISE_G = 0.05


class Bearing(Signal):
    """Vibration rms g, peak g and crest factor of each block, housing temperature deg C, speed rpm."""

    channels = (("rms", "g"), ("peak", "g"), ("crest", ""), ("temperature", "degC"), ("speed", "rpm"))
    faults = {
        "outer_race": "strikes at the ball-pass frequency: peak and crest rise",
        "imbalance": "the first shaft harmonic grows: rms rises",
        "looseness": "harmonics and half-harmonics grow: rms and peak rise",
    }
    rate_hz = 10.0

    def __init__(self, seed: int, rate_hz: float | None = None) -> None:
        super().__init__(seed, rate_hz)
        self._block_samples = max(1, round(WAVEFORM_HZ * self.period_s))
        self._time = np.arange(self._block_samples) / WAVEFORM_HZ
        self._turns = 0.0  # of the shaft, since the device was switched on
        self._strikes = 0.0  # on the outer race
        self._ringing = np.zeros(self._block_samples)  # what the last strikes left over for this block
        self._load = 0.0
        self._temperature = 41.0
        self._block: NDArray[np.float32] | None = None
        ring_s = np.arange(round(8 * RING_DOWN_S * WAVEFORM_HZ)) / WAVEFORM_HZ
        self._ring = np.exp(-ring_s / RING_DOWN_S) * np.sin(2 * np.pi * RESONANCE_HZ * ring_s)

    def sample(self, severities: Mapping[str, float]) -> NDArray[np.float32]:
        """Advance by one block and return its rms, peak and crest, the temperature and the speed."""
        memory = math.exp(-self.period_s / 45.0)
        self._load = memory * self._load + math.sqrt(1 - memory * memory) * self.rng.standard_normal()
        shaft_hz = 24.5 + 0.35 * self._load
        wave = self._waveform(shaft_hz, severities)
        self._block = wave.astype(np.float32)
        rms, peak = float(np.sqrt(np.mean(wave * wave))), float(np.abs(wave).max())
        warm = 41.0 + 1.5 * self._load + 6.0 * severities.get("outer_race", 0.0) + 30.0 * max(0.0, rms - 0.25)
        self._temperature += (warm - self._temperature) * (1.0 - math.exp(-self.period_s / 30.0))
        noise = self.rng.standard_normal(2)
        shown = (rms, peak, peak / rms, self._temperature + 0.05 * noise[0], 60.0 * shaft_hz + 0.4 * noise[1])
        return np.array(shown, np.float32)

    def raw_block(self) -> NDArray[np.float32] | None:
        """Return the accelerometer's waveform behind the last sample, float32 in g, 3,200 a second."""
        return self._block

    def _waveform(self, shaft_hz: float, severities: Mapping[str, float]) -> NDArray[np.float64]:
        imbalance, looseness = severities.get("imbalance", 0.0), severities.get("looseness", 0.0)
        turns = self._turns + shaft_hz * self._time
        self._turns = (self._turns + shaft_hz * self._block_samples / WAVEFORM_HZ) % 2.0
        angle = 2 * np.pi * turns
        amplitude = 1.0 + 0.03 * self._load
        wave = amplitude * (0.16 + 0.35 * imbalance + 0.10 * looseness) * np.sin(angle)
        wave += amplitude * (0.05 + 0.16 * looseness) * np.sin(2 * angle + 0.6)
        wave += amplitude * (0.02 + 0.10 * looseness) * np.sin(3 * angle + 1.1)
        if looseness:
            wave += 0.12 * looseness * np.sin(0.5 * angle + 0.3)
        wave += NOISE_G * self.rng.standard_normal(self._block_samples)
        return wave + self._impacts(shaft_hz, severities.get("outer_race", 0.0))

    def _impacts(self, shaft_hz: float, severity: float) -> NDArray[np.float64]:
        """Return the ringing of this block's strikes, and keep what of it reaches into the next block."""
        strike_hz = BALLS / 2 * shaft_hz * (1.0 - BALL_TO_PITCH)
        length = self._block_samples
        ringing = np.concatenate([self._ringing, np.zeros(self._ring.size)])
        count = self._strikes + strike_hz * length / WAVEFORM_HZ
        jitter = self.rng.standard_normal(math.ceil(strike_hz * length / WAVEFORM_HZ) + 1)
        for number in range(math.floor(self._strikes) + 1, math.floor(count) + 1):
            at = int((number - self._strikes) / strike_hz * WAVEFORM_HZ)
            if severity and at < length:
                force = 0.9 * severity * (1.0 + 0.15 * jitter[number % jitter.size])
                ringing[at : at + self._ring.size] += force * self._ring
        self._strikes = count % 1.0
        kept = np.zeros(length)
        tail = ringing[length : 2 * length]
        kept[: tail.size] = tail
        self._ringing = kept
        return ringing[:length]
