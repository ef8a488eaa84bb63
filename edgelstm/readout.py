"""What the readout of a detector hears of its network, and the words that it keeps: `kernels/detection/readout.py` computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import UsageError
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection import readout as stage
from edgelstm.output_roles import forecasts_of, rebuilds

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

MOST_FEATURES = 128
"""Of a network: the covariance then has 66 kB, and a sample takes as long as a network of some hundred units."""


@dataclass(frozen=True, slots=True)
class Readout:
    """The sizes of a readout.

    half      where in the state of a network, counted in int16, its hidden values begin
    hidden    how many these are
    networks  how many states of the network there are, each with a readout of its own
    heard     channels that each of them hears
    features  numbers that it forecasts from
    """

    half: int
    hidden: int
    networks: int
    heard: int
    features: int

    @property
    def words(self) -> int:
        """How many words of the state it takes."""
        return self.networks * (self.heard * at.READOUT_WORDS + self._block_words)

    @property
    def _block_words(self) -> int:
        return (self.heard + 2) * self.features + self.features * (self.features + 1) // 2

    def initial(self, settings: DetectorSettings) -> NDArray[np.float64]:
        """Return its words before the first sample."""
        channels, features = settings.channels, self.features
        steps = np.zeros((len(channels), at.READOUT_WORDS))
        for own, channel in zip(steps, channels, strict=True):
            own[at.STEP_SPREAD] = channel.step_spread or channel.error_spread
        blocks = np.zeros((self.networks, self._block_words))
        weights = blocks[:, : self.heard * features].reshape(self.networks, self.heard, features)
        for n, channel in enumerate(channels):
            if channel.readout:
                weights[n // self.heard, n % self.heard] = channel.readout
        for block in blocks:
            stage.begin(block[(self.heard + 2) * features :], features)
        return np.concatenate([steps.reshape(-1), blocks.reshape(-1)])

    def weights(self, settings: DetectorSettings, floats: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what it has learned, float64 (channels, features), of the words of a detector's state."""
        first = at.FIRST_CHANNEL_WORD + len(settings.channels) * (
            at.CHANNEL_WORDS + (at.RECOVERY_WORDS if settings.recovery else 0) + at.READOUT_WORDS
        )
        size = self._block_words
        blocks = floats[first : first + self.networks * size].reshape(self.networks, size)
        return blocks[:, : self.heard * self.features].reshape(-1, self.features).copy()


def readout_of(loaded: LoadedModel, settings: DetectorSettings) -> Readout | None:
    """Return the readout that the settings ask for, None where they ask for none.

    Raises UsageError where the model has nothing to read out, or more than it may be.
    """
    if not settings.forgetting:
        return None
    where = f'model "{loaded.model.name}"'
    apart, channels = settings.network == "apart", len(settings.channels)
    if rebuilds(loaded):
        raise UsageError(
            f"{where} rebuilds the sample that it is given: a readout is for one that forecasts the next"
        )
    if not apart and max(forecasts_of(loaded, settings)) < 0:
        raise UsageError(
            f"{where} forecasts none of its channels: there is nothing for a readout to put right"
        )
    if loaded.program.hidden is None:
        raise UsageError(
            f"{where} has no recurrent layer whose hidden values are kept in its state: leave the readout out"
        )
    half, hidden = loaded.program.hidden
    heard = 1 if apart else channels
    features = hidden + heard + 1 + (2 * stage.HARMONICS if settings.season_ns else 0)
    if features > MOST_FEATURES:
        raise UsageError(
            f"{where} has {hidden} hidden values and {heard} channels, which makes {features} features of a readout; at most "
            f"{MOST_FEATURES} are possible: leave the readout out, or train a smaller network"
        )
    for channel in settings.channels:
        if channel.readout and len(channel.readout) != features:
            raise UsageError(
                f'channel "{channel.name}": readout has {len(channel.readout)} weights, but {where} makes {features} features: '
                "calibrate it with: edgelstm calibrate"
            )
    return Readout(half, hidden, channels if apart else 1, heard, features)
