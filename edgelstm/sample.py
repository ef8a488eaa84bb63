"""One reading of one sensor stream."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of all channels at one instant.

    values    float32 (channels,), in the order of the model's channels; NaN where a value is missing
    time_ns   when it was measured, nanoseconds since 1970 UTC
    sequence  the sender's own counter, if it has one
    """

    values: NDArray[np.float32]
    time_ns: int
    sequence: int | None = None
