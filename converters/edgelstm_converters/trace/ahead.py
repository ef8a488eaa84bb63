"""Layers that look at all of a window, and so know no row but its newest one: attention without a causal mask."""

from __future__ import annotations

from collections.abc import Sequence

from edgelstm.errors import ConversionError
from edgelstm_converters.layers import (
    FloatAdd,
    FloatAffine,
    FloatConcat,
    FloatCurve,
    FloatDense,
    FloatLayer,
    FloatMultiply,
    FloatNormalization,
    FloatRepeat,
    FloatSelect,
)
from edgelstm_converters.trace.run import NoStream

OF_ONE_ROW = (
    FloatAdd,
    FloatAffine,
    FloatConcat,
    FloatCurve,
    FloatDense,
    FloatMultiply,
    FloatNormalization,
    FloatSelect,
)


def check_ahead(
    layers: Sequence[FloatLayer], ahead: frozenset[str], heads: Sequence[str], one_row: bool
) -> None:
    """Raise ConversionError where any but the newest row of the layers `ahead` is read; every layer names its sources."""
    reached = {name: name for name in ahead}
    for layer in layers:
        found = next((reached[source] for source in layer.sources if source in reached), None)
        if found is None or isinstance(layer, FloatRepeat):
            continue
        if not isinstance(layer, OF_ONE_ROW):
            raise ConversionError(
                f'layer "{layer.name}" reads every sample of "{found}", which looks at samples that come later: train that with '
                "a causal mask (use_causal_mask=True), or take its last sample"
            )
        reached.setdefault(layer.name, found)
    for head in heads:
        if head in reached and not one_row:
            raise ConversionError(
                f'layer "{reached[head]}" looks at samples that come later: train it with a causal mask (use_causal_mask=True), '
                "or take its last sample"
            )


def check_rows(layers: Sequence[FloatLayer], samples: int) -> None:
    """Raise ConversionError for a decoder that has other rows than the window that its encoder reads."""
    for layer in layers:
        if isinstance(layer, FloatRepeat) and layer.count != samples:
            raise NoStream(
                f'layer "{layer.name}" repeats what a window of {samples} samples ends with {layer.count} times: a decoder has to have as '
                "many rows as its window has samples. For a forecast of several steps, train a linear layer that gives all of them at once"
            )
