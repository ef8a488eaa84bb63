"""What the outputs of a network mean to a detector, by their names: a forecast, a channel rebuilt, the spread of either, the logit of a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

FAULT_OUTPUT = "fault_logit"
"""An output of this name is the logit of the probability that the sample is at fault."""
REBUILT_SUFFIX = "_rebuilt"
"""An output named like a channel and this is that channel of the same sample, as an autoencoder rebuilds it."""
SPREAD_SUFFIX = " spread"
"""An output named like one of these two and this says how unsure the network is of it, in the same unit."""


def forecasts_of(loaded: LoadedModel, settings: DetectorSettings | None = None) -> list[int]:
    """Return, for each channel, which output forecasts it (-1: none does); raises UsageError where none is forecast."""
    outputs = list(loaded.output_names)
    if settings is not None and settings.network == "apart":
        return [-1] * len(settings.channels)
    suffix = REBUILT_SUFFIX if rebuilds(loaded) else ""
    forecasts = [
        outputs.index(name + suffix) if name + suffix in outputs else -1 for name in loaded.channel_names
    ]
    if max(forecasts) < 0 and FAULT_OUTPUT not in outputs:
        raise UsageError(
            f'model "{loaded.model.name}" forecasts none of its channels: no output ({", ".join(outputs)}) is named '
            f"like a channel ({', '.join(loaded.channel_names)}); name them with: edgelstm convert --outputs"
        )
    return forecasts


def rebuilds(loaded: LoadedModel) -> bool:
    """Return whether the model rebuilds the sample that it is given, rather than forecast the next one."""
    return any(f"{name}{REBUILT_SUFFIX}" in loaded.output_names for name in loaded.channel_names)


def spreads_of(loaded: LoadedModel, settings: DetectorSettings | None = None) -> list[int]:
    """Return, for each channel, which output is the spread of its forecast, -1 where none is."""
    outputs = list(loaded.output_names)
    names = [
        "" if output < 0 else outputs[output] + SPREAD_SUFFIX for output in forecasts_of(loaded, settings)
    ]
    return [outputs.index(name) if name in outputs else -1 for name in names]


def logit_of(loaded: LoadedModel) -> int:
    """Return which output is the logit of a fault, -1 where none is named so."""
    return loaded.output_names.index(FAULT_OUTPUT) if FAULT_OUTPUT in loaded.output_names else -1
