"""Dropout that stays on: several masked runs of the same layers, their mean and their spread (Gal and Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT, Variational
from edgelstm.layers.variational import MAX_RUNS, is_recurrent, mask_widths
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised
from edgelstm_converters.layers.graph import quantize_layers, span_of
from edgelstm_converters.quantize import Vector


@dataclass(frozen=True, slots=True, eq=False)
class FloatVariational(FloatLayer):
    """A chain of layers, run once for each row of `masks` (runs, values), 0 or 1; gives the means, then the deviations.

    Make it with `variational`, which draws the masks and scales the weights.
    """

    kind: ClassVar[str] = "variational"
    needs_plain: ClassVar[bool] = True
    layers: tuple[FloatLayer, ...]
    masks: NDArray[np.int8]

    @property
    def span(self) -> int | None:
        return span_of(self.layers, (self.layers[-1].name,))

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def units(self) -> int:
        return 2 * self.layers[-1].units

    def run(self, *sources: Floats) -> Floats:
        layers, masks = self._masked()
        y = self._run_inside(sources[0], layers, masks)[self.layers[-1].name]
        return np.concatenate([y.mean(axis=-2), y.std(axis=-2)], axis=-1)

    def _masked(self) -> tuple[list[FloatLayer], dict[str, Floats]]:
        """Return the layers with the masks of their past, and those of what they read by their names, (runs, values)."""
        ends = np.cumsum(mask_widths(self.layers, self.inputs))
        parts = iter(np.split(self.masks.astype(np.float32), ends[:-1], axis=1))
        layers, masks = [], {}
        for layer in self.layers:
            masks[layer.name] = next(parts)
            if is_recurrent(layer):
                changes: dict[str, Any] = {"hidden_mask": next(parts)}
                layer = replace(layer, **changes)
            layers.append(layer)
        return layers, masks

    def _run_inside(
        self, x: Floats, layers: Sequence[FloatLayer], masks: Mapping[str, Floats]
    ) -> dict[str, Floats]:
        """Return what `input` and every layer gives in every run: (samples, ..., runs, values)."""
        values = {INPUT: np.repeat(x[..., None, :], len(self.masks), axis=-2)}
        found = values[INPUT]
        for layer in layers:
            values[layer.name] = found = layer.run(found * masks[layer.name])
        return values

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        last = frozenset({self.layers[-1].name})
        layers, masks = self._masked()
        values = self._run_inside(seen[0], layers, masks)
        inner = quantize_layers(layers, sources[0], values, last, masks=masks)
        layer = Variational(self.name, tuple(quantised.layer for quantised in inner), self.masks)
        step = np.tile(inner[-1].vector.step, 2)
        return Quantised(layer, Vector(step, np.zeros_like(step)), step * 2.0**-8)


def variational(
    name: str, layers: Sequence[FloatLayer], runs: int, rate: float, seed: int = 0
) -> FloatVariational:
    """Return `runs` runs of a chain, each with masks of its own on what layers see of their sources and of their past.

    rate  the share of values that is left out, as in training; what is left is scaled by 1 / (1 - rate)
    seed  of the masks, which are part of the model: a stream gives the same numbers whenever it is replayed

    Raises ConversionError for a number of runs or a rate that cannot be, and for a layer whose weights cannot be scaled.
    """
    if not 2 <= runs <= MAX_RUNS:
        raise ConversionError(f"{runs} runs, expected 2 to {MAX_RUNS}")
    if not 0.0 < rate < 1.0:
        raise ConversionError(f"a dropout rate of {rate}, expected more than 0 and less than 1")
    kept, scaled = 1.0 - rate, []
    for layer in layers:
        now_and_then = layer.period != 1 or layer.when or layer.kind == "masking"
        if layer.sources or now_and_then:
            raise ConversionError(f'layer "{layer.name}" ({layer.kind}) cannot take part in masked runs')
        none = np.zeros(layer.inputs, np.float32)
        found = layer.with_scaled_input(none, np.full(layer.inputs, kept, np.float32))
        if found is None:
            raise ConversionError(f'layer "{layer.name}" ({layer.kind}) cannot take part in masked runs')
        if is_recurrent(found):
            past: Any = found
            changes: dict[str, Any] = {"hidden_weights": (past.hidden_weights / np.float32(kept))}
            found = replace(found, **changes)
        steps = {key: step / kept for key, step in layer.int8_steps.items() if key != "projection_weights"}
        scaled.append(replace(found, int8_steps={**layer.int8_steps, **steps}))
    width = sum(mask_widths(scaled, scaled[0].inputs))
    masks = np.random.default_rng(seed).random((runs, width)) < kept
    return FloatVariational(name, tuple(scaled), masks.astype(np.int8))
