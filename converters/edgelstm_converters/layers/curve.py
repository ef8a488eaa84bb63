"""Any function of one number, element by element: what a graph computes of each value by itself, GELU, SiLU, ELU and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import Curve
from edgelstm.reference.curve import PIECES
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, scaled_elements
from edgelstm_converters.layers.pointwise import Pointwise
from edgelstm_converters.quantize import HEADROOM, Vector, element_product, output_form, reach_of

FINE, NEARLY = 1 << 14, 2.0**-18
"""Places at which a function is looked at for where it stops to change, and by how much less it then changes than it is large."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatCurve(FloatLayer):
    """y = function(factor * x + shift), element by element; factor and shift (units,)."""

    kind: ClassVar[str] = "curve"
    function: Pointwise
    factor: Floats
    shift: Floats

    @property
    def inputs(self) -> int:
        return len(self.factor)

    @property
    def units(self) -> int:
        return len(self.factor)

    def run(self, *sources: Floats) -> Floats:
        result: Floats = self.function(sources[0] * self.factor + self.shift).astype(np.float32)
        return result

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatCurve:
        factor, shift = scaled_elements(self.factor, self.shift, mean, std)
        return replace(self, factor=factor, shift=shift)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        (source,) = sources
        low, high = self._range(seen[0])
        at = low + (high - low) * np.arange(PIECES + 1) / PIECES
        values = self._values(at)
        form = output_form(reach_of(given), float(np.abs(values).max()), read=read)
        knots = np.clip(np.rint(values * form.scale), 1 - 2**29, 2**29 - 1).astype(np.int32)
        places = PIECES * 65536.0 / (high - low)
        product = element_product(self.name, self.factor, (self.shift - np.float32(low)), source, places)
        return Quantised.of(Curve(self.name, product, knots, form.exponent), form)

    def _values(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self.function(at)
        if not np.isfinite(values).all():
            where = float(at[np.argmin(np.isfinite(values))])
            raise ConversionError(f'layer "{self.name}": its function has no value at {where:.4g}')
        return values

    def _range(self, seen: Floats) -> tuple[float, float]:
        """Return where the first and the last knot stand: as far as int16 go, no further than the function changes, one of them at 0."""
        given = seen * self.factor + self.shift
        low, high = float(given.min()), float(given.max())
        room = (HEADROOM - 1.0) / 2.0 * max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-6)
        low, high = low - room, high + room
        at = np.linspace(low, high, FINE + 1)
        values = self._values(at)
        near = NEARLY * max(float(np.abs(values).max()), 1e-30)
        first = int(np.argmax(np.abs(values - values[0]) > near))
        last = FINE - int(np.argmax(np.abs(values - values[-1])[::-1] > near))
        if first < last and (first, last) != (0, FINE):
            low, high = float(at[max(first - 1, 0)]), float(at[min(last + 1, FINE)])
        if low < 0.0 < high:
            pieces = min(max(round(-low / (high - low) * PIECES), 1), PIECES - 1)
            step = max(-low / pieces, high / (PIECES - pieces))
            low, high = -step * pieces, step * (PIECES - pieces)
        return low, high
