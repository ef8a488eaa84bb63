"""What a window ends with, at every one of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.layers.affine import FloatAffine
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import Vector


@dataclass(frozen=True, slots=True, eq=False)
class FloatRepeat(FloatLayer):
    """The last row of its source at each of `count` rows: what a decoder reads of an encoder of windows of as many samples."""

    kind: ClassVar[str] = "repeat"
    width: int
    count: int

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        return self.width

    @property
    def span(self) -> None:
        return None

    def run(self, *sources: Floats) -> Floats:
        return np.repeat(sources[0][-1:], len(sources[0]), axis=0)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        raise ConversionError(f'layer "{self.name}" has to run in a window')

    def from_the_end(self) -> FloatAffine:
        """Return the layer that does it in a window, run from the end that its source ends with: it runs once, and holds that."""
        one, none = np.ones(self.width, np.float32), np.zeros(self.width, np.float32)
        return FloatAffine(self.name, one, none, sources=self.sources, period=self.count)
