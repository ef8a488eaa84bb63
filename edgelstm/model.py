"""A converted model: named channels, frozen integer layers, and what was measured at conversion.

Nothing here computes; `edgelstm.lowering` lowers a model to what the kernels run.
Gate rows are always stacked in the order i, f, g, o (LSTM) or r, u, n (GRU: reset, update, new). The records of the
layers are in `edgelstm.layers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from edgelstm.detector_settings import DetectorSettings
from edgelstm.layers import INPUT, Dense, Gru, Layer, Lstm, RowProduct
from edgelstm.layers.activation import ACTIVATIONS
from edgelstm.layers.graph import memory_of, multiply_adds_of, rows_by_channel, sources_of
from edgelstm.layers.products import COLUMN_BLOCK

__all__ = [
    "ACTIVATIONS",
    "COLUMN_BLOCK",
    "Channel",
    "Dense",
    "Gru",
    "Layer",
    "LayerErrors",
    "Lstm",
    "Model",
    "Output",
    "Provenance",
    "RowProduct",
]


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input: `x_q = sat16(rint((x - offset) * gain))`, in IEEE float32, each step rounded."""

    name: str
    unit: str = ""
    offset: float = 0.0
    gain: float = 1.0


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An output: `y = float32(q) * scale`, in IEEE float32."""

    name: str
    unit: str = ""
    scale: float


class LayerErrors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the quantised layer lost against its float original on the calibration data.

    worst, worst_snr_db  the unit that lost most, and how much; files of old do not say
    """

    layer: str
    snr_db: float
    max_error: float
    saturated: int
    worst: int | msgspec.UnsetType = msgspec.UNSET
    worst_snr_db: float | msgspec.UnsetType = msgspec.UNSET


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model file comes from, and what was measured when it was made.

    proof     how the reading was proved on the source's own engine
    rounding  of the weights: each to its "nearest", or as "calibrated"
    """

    source: str = ""
    source_sha256: str = ""
    converter: str = ""
    calibration: str = ""
    calibration_sha256: str = ""
    calibration_samples: int = 0
    output_snr_db: float | None = None
    layers: tuple[LayerErrors, ...] = ()
    proof: str | msgspec.UnsetType = msgspec.UNSET
    rounding: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A graph of layers from `channels` to `outputs`; immutable, shared by any number of streams.

    layers  in an order in which each reads only what comes before it; without `Layer.sources` that is a chain
    heads   names of the layers whose values leave, in the order of `outputs`; none: the last layer
    """

    channels: tuple[Channel, ...]
    outputs: tuple[Output, ...]
    layers: tuple[Layer, ...]
    name: str = "model"
    provenance: Provenance = field(default_factory=Provenance)
    detector_settings: DetectorSettings | None = None
    heads: tuple[str, ...] = ()

    @property
    def head_names(self) -> tuple[str, ...]:
        return self.heads or (self.layers[-1].name,)

    def sources_of(self, number: int) -> tuple[str, ...]:
        """Return the names of what layer `number` reads."""
        return sources_of(self.layers, number)

    @property
    def rows_by_channel(self) -> dict[int, int]:
        """Return the channels whose values are numbers of rows of a table, and how many rows there are."""
        return rows_by_channel(self.layers, len(self.channels))

    @property
    def memory(self) -> int | None:
        """How many samples before the newest one an output rests on: so many outputs of a new stream are a warm-up, those behind
        them are what any other stream of the same samples gives. None where a state remembers without an end."""
        return memory_of(self.layers, self.head_names)

    @property
    def multiply_adds(self) -> dict[str, float]:
        """How many multiply-adds of a sample each layer takes, by name, averaged over samples."""
        return multiply_adds_of(self.layers, len(self.channels))

    @property
    def latency(self) -> int:
        """How many samples the output is late, on the longest way to it."""
        late = {INPUT: 0}
        for number, layer in enumerate(self.layers):
            late[layer.name] = layer.latency + max(late[source] for source in self.sources_of(number))
        return max(late[head] for head in self.head_names)
