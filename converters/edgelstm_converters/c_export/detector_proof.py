"""What a detector says of a made-up recording, as C lays it out: what an image on a core is compared with."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector import EVENTS
from edgelstm.sample import Sample
from edgelstm.stream import LoadedModel

SAMPLES = 512
_HEAD = struct.Struct("<ddii")  # the beginning of NAME_verdict: score, threshold, state, event


def signal(loaded: LoadedModel, samples: int = SAMPLES) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return times_ns and float32 (samples, channels): noise of each channel's spread, and from the middle on a fault."""
    settings = loaded.model.detector_settings
    assert settings is not None
    rng, channels = np.random.default_rng(1), settings.channels
    mean, spread = (
        np.array([c.mean for c in channels]),
        np.array([max(c.level_spread, c.level_floor) for c in channels]),
    )
    values = mean + rng.normal(size=(samples, len(channels))) * 0.1 * spread
    values[samples // 2 :, 0] += 20.0 * spread[0]
    values[rng.random(values.shape) < 0.01] = np.nan
    return np.arange(1, samples + 1, dtype=np.int64) * settings.period_ns, values.astype(np.float32)


def verdicts(
    loaded: LoadedModel, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> tuple[list[int], list[bytes]]:
    """Return what NAME_push returns for each sample, and the first bytes of NAME_verdict after it, up to the reasons."""
    detector, results, heads, score, threshold = loaded.detector(), [], [], 0.0, 0.0
    for time_ns, x in zip(times_ns.tolist(), values, strict=True):
        verdict, event = detector.push(Sample(x, time_ns)), ""
        if verdict is not None:
            score, threshold = verdict.score, verdict.threshold
            event = verdict.alert.event_type if verdict.alert else ""
        results.append(int(verdict is not None))
        heads.append(_HEAD.pack(score, threshold, detector.open_alert is not None, EVENTS.index(event)))
    return results, heads
