"""Samples that are passed over: a sample that is all mask values, as padding is, leaves states and outputs as they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgelstm.layers.bounds import require
from edgelstm.layers.layer import COMPUTED, Layer
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Masking(Layer):
    """One value: 0 where every one of `channels` equals its value, else 1. Layers that run `when` it is not 0 skip such samples.

    channels  numbers of channels of the model
    values    one for each, compared as float32, before the input stage
    matches   the other way round: 1 where all are equal, as for a symbol that ends a sequence
    """

    kind: ClassVar[str] = "masking"
    channels: tuple[int, ...]
    values: tuple[float, ...]
    matches: bool = False

    @property
    def units(self) -> int:
        return 1

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(bool(self.channels), f"{where}: looks at no channel")
        require(
            len(self.values) == len(self.channels),
            f"{where}: {len(self.values)} values for {len(self.channels)} channels",
        )
        for channel, value in zip(self.channels, self.values, strict=True):
            require(
                0 <= channel < columns[0],
                f"{where}: looks at channel {channel}, but its source gives {columns[0]} values",
            )
            require(
                math.isfinite(value) and float(np.float32(value)) == value,
                f"{where}: value {value} is no float32",
            )

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        require(
            list(sources[0]) == list(range(len(sources[0]))) and COMPUTED not in sources[0],
            f'layer "{self.name}": reads computed values, expected the channels of the model ("input")',
        )
        return (COMPUTED,)

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        vector = build.scratch_vector(1)
        channels = build.constant(np.array(self.channels, np.int32))
        values = build.constant(np.array(self.values, np.float32))
        build.operation(op.MATCH, len(self.channels), channels, values, vector.half, int(self.matches))
        return vector
