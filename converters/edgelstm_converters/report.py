"""What quantisation cost, layer by layer, measured on the calibration samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgelstm.blind_forecasts import blind
from edgelstm.model import LayerErrors, Model, Output
from edgelstm.stream import LoadedModel
from edgelstm_converters.layers.float_layer import Quantised

Floats = NDArray[np.float32]


LOSSLESS_DB = 150.0
"""What is said of outputs that are the same."""


def told_of_proof(proof: str) -> str:
    """Return the line of a reading's proof as a sentence says it."""
    return proof if proof.startswith("not proved") else f"read and proved against {proof}"


def measure(
    model: Model, x: Floats, expected: list[Floats], layers: Sequence[Quantised]
) -> tuple[LayerErrors, ...]:
    """Let every layer in turn be the output of the model, and compare it with its float original.

    x         float32 (samples, channels)
    expected  what every float layer gave for `x`
    layers    of the model, with what their values stand for
    """
    errors = []
    for number, (reference, quantised) in enumerate(zip(expected, layers, strict=True)):
        layer = model.layers[number]
        outputs = tuple(Output(name=f"y{n}", scale=float(step)) for n, step in enumerate(quantised.scale))
        shown = replace(
            model,
            layers=model.layers[: number + 1],
            heads=(layer.name,),
            outputs=outputs,
            detector_settings=None,
        )
        found = LoadedModel(shown).stream().run(x)
        each = each_snr_db(found, reference)
        errors.append(
            LayerErrors(
                layer=layer.name,
                snr_db=snr_db(found, reference),
                max_error=float(np.abs(found - reference).max()),
                saturated=_saturated(quantised, found, last=layer.name in model.head_names),
                worst=int(each.argmin()),
                worst_snr_db=float(each.min()),
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
    return float(min(-10.0 * np.log10(max(ratio, 1e-15)), LOSSLESS_DB))


def each_snr_db(found: Floats, expected: Floats) -> NDArray[np.float64]:
    """Return signal to noise of every column in decibel, at most 150."""
    noise = np.square(found.astype(np.float64) - expected).mean(axis=0)
    signal = expected.astype(np.float64).var(axis=0)
    ratio = np.divide(noise, signal, out=np.zeros_like(noise), where=signal > 0.0)
    result: NDArray[np.float64] = np.minimum(-10.0 * np.log10(np.maximum(ratio, 1e-15)), LOSSLESS_DB)
    return result


@dataclass(frozen=True, slots=True)
class Decisions:
    """Forecasts that were off by more than `spreads` of the float network's usual error: how many, and where the two differ."""

    spreads: float
    judged: int
    by_float: int
    by_int8: int
    differ: int


def decisions(
    model: Model, x: Floats, found: Floats, expected: Floats, spreads: float = 4.0
) -> Decisions | None:
    """Compare what int8 and float forecasts call unusual, on outputs that forecast a channel; None where none does.

    x, found, expected  (samples, channels), (samples, outputs) of int8, of float
    """
    pairs = _forecasts(model)
    if not pairs or len(x) < 2:
        return None
    outputs, channels = (list(column) for column in zip(*pairs, strict=True))
    errors = [x[1:, channels] - y[:-1, outputs] for y in (expected, found)]
    spread = 1.4826 * np.median(np.abs(errors[0] - np.median(errors[0], axis=0)), axis=0) + 1e-30
    by_float, by_int8 = ((np.abs(error) > spreads * spread).any(axis=1) for error in errors)
    return Decisions(
        spreads, len(by_float), int(by_float.sum()), int(by_int8.sum()), int((by_float != by_int8).sum())
    )


def _forecasts(model: Model) -> list[tuple[int, int]]:
    """Return which outputs forecast which channels: those of the same name."""
    names = [channel.name for channel in model.channels]
    return [(n, names.index(y.name)) for n, y in enumerate(model.outputs) if y.name in names]


def blind_forecasts(model: Model, x: Floats, expected: Floats) -> dict[str, float]:
    """Return the channels whose float forecast is far beyond what the last value repeated would be, and how many times.

    x, expected  (samples, channels), (samples, outputs)
    """
    ratios = {}
    for output, channel in _forecasts(model) if len(x) > 1 else ():
        known = x[:, channel].astype(np.float64)
        steps = float(np.abs(np.diff(known)).mean())
        error = float(np.abs(known[1:] - expected[:-1, output]).mean())
        ratios[model.outputs[output].name] = error / steps if steps else 0.0
    return blind(ratios)


def worst_layer(model: Model, least_db: float) -> LayerErrors:
    """Return the first layer that is further than `least_db` from its float original, else the one that lost most."""
    layers = model.provenance.layers
    return next((e for e in layers if e.snr_db < least_db), min(layers, key=lambda e: e.snr_db))


def clipped_inputs(model: Model, x: Floats) -> int:
    """Return how many calibration values the input stage limits."""
    offsets = np.array([channel.offset for channel in model.channels], np.float32)
    gains = np.array([channel.gain for channel in model.channels], np.float32)
    return int((np.abs((x - offsets) * gains) > 32767.5).sum())


def _saturated(quantised: Quantised, found: Floats, *, last: bool) -> int:
    """Count values at the end of what carries them: int16 to the next layer, int32 where an output has finer steps."""
    step, scale = quantised.vector.step, quantised.scale
    limit = np.where(last & (scale < step), 2.0**31 * scale, 2.0**15 * step)
    return int((np.abs(found - quantised.vector.offset) >= limit * (1 - 2.0**-15)).sum())


def table(model: Model) -> Iterator[str]:
    """Yield the lines of the report that `edgelstm convert` prints."""
    by_name = {errors.layer: errors for errors in model.provenance.layers}
    width = max(5, *(len(layer.name) for layer in model.layers))
    kinds = max(5, *(len(layer.kind) for layer in model.layers))
    yield (
        f"  {'layer':{width}}  {'kind':{kinds}}  {'units':>5}  {'weights':>8}  {'SNR':>8}  {'max error':>9}  "
        f"{'saturated':>9}  worst unit"
    )
    for layer in model.layers:
        found = by_name[layer.name]
        yield (
            f"  {layer.name:{width}}  {layer.kind:{kinds}}  {layer.units:5d}  {layer.weight_count:8d}  "
            f"{found.snr_db:5.1f} dB  {found.max_error:9.2g}  {found.saturated:9d}  "
            f"{found.worst}: {found.worst_snr_db:z.1f} dB"
        )
