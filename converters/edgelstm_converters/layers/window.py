"""Layers that are run over a window of the last samples again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import INPUT, Window
from edgelstm.layers.graph import tables_of
from edgelstm_converters.layers.convolution import before_first, padded_channels, with_history
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, held, run_now_and_then
from edgelstm_converters.layers.graph import padded_of, quantize_layers, sources_of, with_plain_sources
from edgelstm_converters.quantize import Vector


@dataclass(frozen=True, slots=True, eq=False)
class FloatWindow(FloatLayer):
    """Layers over the last `length` samples of `width` values, from their initial state; fields as in `edgelstm.layers.Window`.

    before  (width,), what stands before the first sample; none: zeros
    """

    kind: ClassVar[str] = "window"
    width: int
    length: int
    layers: tuple[FloatLayer, ...]
    heads: tuple[str, ...]
    rows: tuple[int, ...]
    backward: tuple[str, ...] = field(default=(), kw_only=True)
    lookahead: int = field(default=0, kw_only=True)
    hop: int = field(default=1, kw_only=True)
    due: int = field(default=0, kw_only=True)
    before: Floats | None = field(default=None, kw_only=True)

    @property
    def plain(self) -> bool:
        return False

    @property
    def span(self) -> int | None:
        return self.length if self.hop == 1 else None

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        units = {layer.name: layer.units for layer in self.layers}
        return sum(units[head] for head in self.heads)

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        others = dict(zip(self.sources[1:], sources[1:], strict=True))
        return tables_of(self.layers, sources[0], others)

    def padded(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, float]]:
        yield from padded_channels(sources[0], self.before)
        yield from padded_of(self.layers, sources[0])

    def run(self, *sources: Floats) -> Floats:
        values = self._run_inside(sources, self.layers)
        y = np.concatenate(
            [values[head][row] for head, row in zip(self.heads, self.rows, strict=True)], axis=-1
        )
        return held(y, self.hop, self.due, len(sources[0]))

    def _run_inside(self, sources: Sequence[Floats], layers: Sequence[FloatLayer]) -> dict[str, Floats]:
        """Return what the sources and every inner layer give in every window: (length, windows, values)."""
        names, values = (INPUT, *self.sources[1:]), {}
        for name, x in zip(names, sources, strict=True):
            padded = with_history(x, self.length - 1, self.before if name == INPUT else None)
            windows = np.lib.stride_tricks.sliding_window_view(padded, self.length, axis=0)
            values[name] = np.ascontiguousarray(np.moveaxis(windows[self.due :: self.hop], -1, 0))
        for number, layer in enumerate(layers):
            turn = slice(None, None, -1) if layer.name in self.backward else slice(None)
            read = [values[name][turn] for name in sources_of(layers, number)]
            if layer.when:  # which rows it runs at is another matter in every window
                flags = values[layer.when][turn]
                found = [
                    run_now_and_then(layer, [part[:, n] for part in read], flags[:, n])
                    for n in range(flags.shape[1])
                ]
                values[layer.name] = np.stack(found, axis=1)[turn]
            else:
                values[layer.name] = run_now_and_then(layer, read, None)[turn]
        return values

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatWindow | None:
        layers = list(self.layers)
        for number, layer in enumerate(layers):
            names = sources_of(self.layers, number)
            if INPUT in names:
                scaled = layer.with_scaled_input(mean, std) if names == (INPUT,) else None
                if scaled is None:
                    return None
                layers[number] = scaled
        before = np.asarray(mean) if self.before is None else self.before * std + mean
        return replace(self, layers=tuple(layers), before=before.astype(np.float32))

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        layers = with_plain_sources(self.layers, self.width)
        backward = set(self.backward)
        values = self._run_inside(seen, layers)
        inner = quantize_layers(layers, sources[0], values, frozenset(self.heads), self.backward)
        vectors = {quantised.layer.name: quantised.vector for quantised in inner}
        layer = Window(
            self.name,
            self.length,
            tuple(quantised.layer for quantised in inner),
            self.heads,
            self.rows,
            backward=tuple(each.name for each in layers if each.name in backward),
            lookahead=self.lookahead,
            hop=self.hop,
            due=self.due,
            initial=before_first(self.name, sources[0], self.before),
        )
        step, offset = (
            np.concatenate([getattr(vectors[head], part) for head in self.heads])
            for part in ("step", "offset")
        )
        return Quantised(layer, Vector(step, offset), step)


def bidirectional(
    name: str,
    forward: FloatLayer,
    backward: FloatLayer,
    length: int,
    *,
    lookahead: int | None = None,
    hop: int = 1,
) -> FloatWindow:
    """Return a bidirectional layer (Schuster and Paliwal 1997) over windows of `length` samples.

    lookahead  how many samples later than the sample that an output belongs to; None: the last output of both directions, as
               a network has it that gives one result for the whole window
    hop        samples from one run to the next
    """
    forward = replace(forward, name="forward", sources=(INPUT,))
    backward = replace(backward, name="backward", sources=(INPUT,))
    last = length - 1
    rows = (last, 0) if lookahead is None else (last - lookahead, last - lookahead)
    return FloatWindow(
        name,
        forward.inputs,
        length,
        (forward, backward),
        ("forward", "backward"),
        rows,
        backward=("backward",),
        lookahead=lookahead or 0,
        hop=hop,
        due=last % hop,
    )
