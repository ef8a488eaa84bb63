"""What quantisation cost, layer by layer, measured on the calibration samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers import Dense, Layer
from edgelstm.model import LayerErrors, Model, Output
from edgelstm.stream import LoadedModel

Floats = NDArray[np.float32]


def measure(
    model: Model, x: Floats, expected: list[Floats], scales: list[NDArray[np.float64]]
) -> tuple[LayerErrors, ...]:
    """Let every layer in turn be the output of the model, and compare it with its float original.

    x         float32 (samples, channels)
    expected  what every float layer gave for `x`
    scales    of every layer's values, were they the outputs
    """
    errors = []
    for number, (reference, scale) in enumerate(zip(expected, scales, strict=True)):
        layer = model.layers[number]
        outputs = tuple(Output(name=f"y{n}", scale=float(step)) for n, step in enumerate(scale))
        shown = replace(
            model,
            layers=model.layers[: number + 1],
            heads=(layer.name,),
            outputs=outputs,
            detector_settings=None,
        )
        found = LoadedModel(shown).stream().run(x)
        errors.append(
            LayerErrors(
                layer=layer.name,
                snr_db=snr_db(found, reference),
                max_error=float(np.abs(found - reference).max()),
                saturated=_saturated(layer, found, last=layer.name in model.head_names),
            )
        )
    return tuple(errors)


def snr_db(found: Floats, expected: Floats, *, each_alone: bool = False) -> float:
    """Return signal to noise in decibel; the signal is what varies, a constant part does not count.

    each_alone  columns have units of their own: the mean of their noise-to-signal ratios counts
    """
    noise = np.square(found.astype(np.float64) - expected).mean(axis=0)
    signal = expected.astype(np.float64).var(axis=0)
    if each_alone:
        varies = signal > 1e-12 * np.square(expected.astype(np.float64)).mean(axis=0)
        ratio = float((noise[varies] / signal[varies]).mean()) if varies.any() else 0.0
    else:
        ratio = float(noise.sum() / signal.sum()) if signal.sum() > 0 else 0.0
    return float(min(-10.0 * np.log10(max(ratio, 1e-15)), 150.0))


def clipped_inputs(model: Model, x: Floats) -> int:
    """Return how many calibration values the input stage limits."""
    offsets = np.array([channel.offset for channel in model.channels], np.float32)
    gains = np.array([channel.gain for channel in model.channels], np.float32)
    return int((np.abs((x - offsets) * gains) > 32767.5).sum())


def _saturated(layer: Layer, found: Floats, *, last: bool) -> int:
    """Count outputs at the end of what carries them: int16 to the next layer, int32 out of the last dense one."""
    limit = 1.0
    if isinstance(layer, Dense) and layer.activation in ("linear", "relu"):
        limit = 2.0 ** ((23 if last else 15) - layer.exponent)
    return int((np.abs(found) >= limit * (1 - 2.0**-15)).sum())


def table(model: Model) -> Iterator[str]:
    """Yield the lines of the report that `edgelstm convert` prints."""
    by_name = {errors.layer: errors for errors in model.provenance.layers}
    width = max(5, *(len(layer.name) for layer in model.layers))
    yield f"  {'layer':{width}}  {'kind':13}  {'units':>5}  {'weights':>8}  {'SNR':>8}  {'max error':>9}  saturated"
    for layer in model.layers:
        found = by_name[layer.name]
        yield (
            f"  {layer.name:{width}}  {layer.kind:13}  {layer.units:5d}  {layer.weight_count:8d}  "
            f"{found.snr_db:5.1f} dB  {found.max_error:9.2g}  {found.saturated:9d}"
        )
