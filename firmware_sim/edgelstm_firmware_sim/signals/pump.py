"""A centrifugal pump in a loop whose demand moves: flow, pressure, motor current and vibration.

Head follows the pump curve `H = H0 n^2 - a Q^2` and the affinity laws; the operating point is where it meets the
curve of the loop, `H = Hs + R Q^2`. Power is hydraulic power over an efficiency that has its best point at a
flow proportional to speed; vibration grows with speed and with the distance from that point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.signals.signal import Signal

SHUTOFF_HEAD_M = 42.0
CURVE_A = 1.05  # m per (l/s)^2
STATIC_HEAD_M = 4.0
LOOP_R = 1.4  # m per (l/s)^2 with the valve half open
BEST_FLOW_L_S = 3.6  # at full speed
BEST_EFFICIENCY = 0.72
GRAVITY_KPA_PER_M = 9.807
SENSOR_LAG_S = np.array([0.8, 0.35, 0.3, 0.7])
SENSOR_NOISE = np.array([0.35, 0.008, 0.02, 0.012])  # standard deviations in the units of the channels


class Pump(Signal):
    """Flow l/min, pressure bar, motor current A, vibration mm/s rms."""

    channels = (("flow", "l/min"), ("pressure", "bar"), ("current", "A"), ("vibration", "mm/s"))
    faults = {
        "cavitation": "flow and pressure drop and flutter, vibration rises",
        "bearing_wear": "vibration rises, the motor draws more",
        "blockage": "flow falls, pressure rises, the motor draws less",
    }
    rate_hz = 10.0

    def __init__(self, seed: int, rate_hz: float | None = None) -> None:
        super().__init__(seed, rate_hz)
        self._speed = self._set_point = 0.85
        self._hold_s = 10.0
        self._valve = 0.0  # wander of the loop, log scale
        self._flutter = 0.0
        self._sensors: NDArray[np.float64] | None = None
        self._keep = np.exp(-self.period_s / SENSOR_LAG_S)

    def sample(self, severities: Mapping[str, float]) -> NDArray[np.float32]:
        """Advance by one period and return flow, pressure, current and vibration as the sensors show them."""
        noise = self.rng.standard_normal(8)
        self._move_demand(noise)
        true = self._operating_point(severities, noise)
        if self._sensors is None:
            self._sensors = true
        self._sensors = true + (self._sensors - true) * self._keep
        shown: NDArray[np.float32] = (self._sensors + noise[4:] * SENSOR_NOISE).astype(np.float32)
        return shown

    def _move_demand(self, noise: NDArray[np.float64]) -> None:
        """Walk the speed to its set point, a few percent a second, and let the loop's resistance wander."""
        self._hold_s -= self.period_s
        if self._hold_s <= 0.0:
            self._hold_s = self.rng.uniform(12.0, 40.0)
            self._set_point = self.rng.choice([0.7, 0.78, 0.85, 0.92, 1.0])
        limit = 0.02 * self.period_s
        self._speed += min(max(self._set_point - self._speed, -limit), limit)
        memory = math.exp(-self.period_s / 60.0)
        self._valve = memory * self._valve + math.sqrt(1 - memory * memory) * 0.06 * noise[0]

    def _operating_point(
        self, severities: Mapping[str, float], noise: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        cavitation = severities.get("cavitation", 0.0)
        wear = severities.get("bearing_wear", 0.0)
        blockage = severities.get("blockage", 0.0)
        flutter_memory = math.exp(-self.period_s / 0.15)
        self._flutter = flutter_memory * self._flutter + math.sqrt(1 - flutter_memory**2) * noise[1]

        speed = self._speed
        shutoff = SHUTOFF_HEAD_M * speed * speed * (1.0 - 0.22 * cavitation)
        resistance = LOOP_R * math.exp(self._valve) * (1.0 + 3.5 * blockage)
        flow_l_s = math.sqrt(max(shutoff - STATIC_HEAD_M, 0.0) / (CURVE_A + resistance))
        flow_l_s *= 1.0 + 0.05 * cavitation * self._flutter
        head_m = shutoff - CURVE_A * flow_l_s * flow_l_s
        head_m *= 1.0 + 0.04 * cavitation * noise[2]

        off_best = flow_l_s / (BEST_FLOW_L_S * speed) - 1.0
        efficiency = BEST_EFFICIENCY * (1.0 - 0.7 * off_best * off_best)
        power_kw = GRAVITY_KPA_PER_M * head_m * flow_l_s / 1000.0 / max(efficiency, 0.2)
        current = 1.1 + 2.1 * power_kw * (1.0 + 0.15 * wear)
        vibration = 1.2 * speed * speed * (1.0 + 1.5 * off_best * off_best) * (1.0 + 0.02 * noise[3])
        vibration *= 1.0 + 1.1 * wear + cavitation * (0.9 + 0.25 * abs(self._flutter))
        return np.array([60.0 * flow_l_s, GRAVITY_KPA_PER_M * head_m / 100.0, current, vibration])
