"""What the readout of a detector begins with: the weights that the history has taught it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.detector import Detector
from edgelstm.detector_settings import HIGHEST_THRESHOLD, DetectorSettings

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel


def begin_with_history(
    loaded: LoadedModel, settings: DetectorSettings, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> DetectorSettings:
    """Let the readout, where there is one, begin with what it has learned at the end of the history.

    Spreads, tails and threshold come from runs in which it knew nothing yet of what was to come, as it will not of what is.
    """
    if not settings.forgetting:
        return settings
    quiet = msgspec.structs.replace(settings, threshold=HIGHEST_THRESHOLD, threshold_high=HIGHEST_THRESHOLD)
    detector = Detector(loaded, quiet)
    detector.push_block(times_ns, values)
    assert detector.readout is not None
    weights = detector.readout.weights(settings, detector._floats)
    channels = tuple(
        msgspec.structs.replace(channel, readout=tuple(own.tolist()))
        for channel, own in zip(settings.channels, weights, strict=True)
    )
    return msgspec.structs.replace(settings, channels=channels)
