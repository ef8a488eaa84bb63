"""The line from a trained model to an int8 one: read, fold, calibrate, quantise, measure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgelstm
from edgelstm.errors import ConversionError, ModelFileError
from edgelstm.layers import INPUT
from edgelstm.layers.graph import rows_by_channel
from edgelstm.model import Model, Output, Provenance
from edgelstm.model_check import check
from edgelstm.output_roles import REBUILT_SUFFIX
from edgelstm.sources import recording
from edgelstm_converters import quantize, readers, report
from edgelstm_converters.execution import Execution
from edgelstm_converters.float_model import FloatModel, with_folded_affine
from edgelstm_converters.layers import FloatMasking, FloatRepeat
from edgelstm_converters.layers.float_layer import Quantised
from edgelstm_converters.layers.graph import padding, quantize_layers, with_plain_sources
from edgelstm_converters.rounding import HELD_BACK
from edgelstm_converters.scaling import Scaling, fold, read_scaling
from edgelstm_converters.taken_over import TakenOver, on_input, taken_over

FEWEST_SAMPLES = 20
ROUNDINGS = ("nearest", "calibrated")
Floats = NDArray[np.float32]
Named = tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]]
"""Names of channels, names of outputs, units by name."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted model, the float model it stands for, and what to tell about it.

    clipped_inputs   calibration values that the input stage limits
    taken_over       what became of weights that the source holds as int8; None where it holds none
    incomplete_rows  of the calibration, left out because a value was missing
    samples          of the calibration that were used, (samples, channels)
    exact, found     what the float and the int8 model give for them, (samples, outputs)
    """

    model: Model
    float_model: FloatModel
    proof: str
    clipped_inputs: int
    incomplete_rows: int
    samples: Floats
    exact: Floats
    found: Floats
    taken_over: TakenOver | None = None


def convert(source: Any, *, calibration: Any, **options: Any) -> Model:
    """Convert a trained model; see `convert_with_report` for the options."""
    return convert_with_report(source, calibration=calibration, **options).model


def convert_with_report(
    source: Any,
    *,
    calibration: str | Path | Floats,
    channels: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    scaling: Scaling | str | Path | None = None,
    name: str | None = None,
    activations: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    weights: str | None = None,
    fixed: Mapping[str, Any] | None = None,
    start: str | None = None,
    verify: bool = True,
    max_loss: float | None = None,
    execution: Execution | Callable[[readers.Reading], Execution] | None = None,
    architecture: str | Path | None = None,
) -> Conversion:
    """Convert a trained model to int8, its scales set by streaming the calibration samples with carried state.

    source       path of a .pt, .pth, .safetensors or .onnx file, or a live torch module
    calibration  path of a recording (CSV, NPZ), or float32 (samples, channels)
    channels     columns of the recording to use, in the order of the model's inputs
    outputs      names; an output named like a channel is its forecast for the next sample
    scaling      {channel: {"mean", "std"}} or the path of such a JSON file: the network saw (x - mean) / std
    activations  of the linear layers, where the source does not say (a state_dict)
    order        of the modules, where the source does not say; modules that it does not name are left out
    weights      where in a checkpoint the weights are, if it holds those of several networks
    fixed        values of inputs of a graph that are neither signal nor state, such as a sampling rate
    start        the value inside a graph that the model begins at; what is computed before it is left outside
    verify       run the source's own engine, where it is installed, and compare
    architecture of plain arrays: the path of a TOML or JSON file that says which is what
    max_loss     the least signal-to-noise ratio of the outputs, in decibel, at which the conversion does not fail
    execution    how it is run on a stream, or what decides that once the source is read (its `window` is known before, where
                 that is asked for); default: with its state carried

    Raises ConversionError, RecordingError or ModelFileError: one line that names file, layer or column.
    """
    rows, names, where = _calibration(calibration, channels)
    found = readers.read(
        source,
        activations=activations,
        order=order,
        weights=weights,
        inputs=len(names),
        fixed=dict(fixed or {}),
        start=start,
        verify=verify,
        architecture=architecture,
        window=getattr(execution, "window", None) or None,
    )
    x = _complete(rows, names, where, found.model.inputs)
    if not isinstance(execution, Execution):
        execution = execution(found) if execution else Execution()
    late = bool(execution.lookahead)
    rebuilds = any(isinstance(layer, FloatRepeat) for layer in found.model.layers)
    output_names = _output_names(outputs, names, found.model.outputs, late=late, rebuilds=rebuilds)
    for unit in units or {}:
        if unit not in (*names, *output_names):
            raise ConversionError(f'a unit is given for "{unit}", which is no channel: {", ".join(names)}')
    float_model = found.model
    if scaling is not None:
        table = read_scaling(Path(scaling)) if isinstance(scaling, str | Path) else scaling
        rebuilt = {f"{name}{REBUILT_SUFFIX}": table[name] for name in names if name in table}
        table = {**{name: own for name, own in rebuilt.items() if name in output_names}, **table}
        float_model = fold(float_model, table, names, output_names)
    if execution.runs and not execution.dropout:
        execution = replace(execution, dropout=found.dropout)
    float_model = execution.apply(with_folded_affine(float_model))
    output_names = execution.output_names(output_names)
    float_model = replace(float_model, layers=with_plain_sources(float_model.layers, float_model.inputs))
    expected = _run_layers(float_model, x)
    exact = _of_heads(float_model, expected)
    model, quantised, final, rounding = _best(
        float_model, x, expected, exact, (names, output_names, units or {})
    )
    layer_errors = report.measure(model, x, expected, quantised)
    path = Path(source) if isinstance(source, str | Path) else None
    provenance = Provenance(
        source=path.name if path else type(source).__name__,
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest() if path else "",
        converter=f"edgelstm {edgelstm.__version__}",
        calibration=Path(calibration).name if isinstance(calibration, str | Path) else "array",
        calibration_sha256=hashlib.sha256(x.tobytes()).hexdigest(),
        calibration_samples=len(x),
        output_snr_db=report.snr_db(final, exact, each_alone=True),
        layers=layer_errors,
        proof=found.proof,
        rounding=rounding,
    )
    model = replace(model, name=name or (path.stem if path else "model"), provenance=provenance)
    if max_loss is not None and (provenance.output_snr_db or 0.0) < max_loss:
        worst = report.worst_layer(model, max_loss)
        raise ConversionError(
            f"the int8 model is {provenance.output_snr_db:.1f} dB from its float original, which is less than the "
            f'{max_loss:g} dB asked for; layer "{worst.layer}" is at {worst.snr_db:.1f} dB, its unit {worst.worst} at '
            f"{worst.worst_snr_db:.1f} dB: calibrate on more samples, or allow it with --max-loss"
        )
    clipped = report.clipped_inputs(model, x)
    whole = taken_over(float_model, model.layers)
    return Conversion(model, float_model, found.proof, clipped, len(rows) - len(x), x, exact, final, whole)


def _calibration(
    source: str | Path | Floats, channels: Sequence[str] | None
) -> tuple[Floats, tuple[str, ...], str]:
    """Return the rows, the names of their channels, and what to call them in an error."""
    if isinstance(source, str | Path):
        rows = recording.read(source, channels)
        x, names, where = rows.values, rows.names, str(source)
    else:
        where = "the calibration array"
        try:
            x = np.asarray(source, np.float32)
        except (TypeError, ValueError) as exc:
            raise ConversionError(f"{where} is not made of numbers: {exc}") from None
        if x.ndim != 2:
            raise ConversionError(f"{where} has shape {x.shape}, expected (samples, channels)")
        names = tuple(channels) if channels else tuple(f"x{n}" for n in range(x.shape[1]))
        if len(names) != x.shape[1]:
            raise ConversionError(
                f"{where} has {x.shape[1]} channels but {len(names)} are named: {', '.join(names)}"
            )
    _check_unique("channel", names)
    return x, names, where


def _complete(x: Floats, names: tuple[str, ...], where: str, inputs: int) -> Floats:
    """Return the rows that miss no value."""
    if len(names) != inputs:
        raise ConversionError(
            f"the model has {inputs} inputs but {where} has {len(names)} channels: {', '.join(names)}; "
            "choose and order them with --channels a,b,c"
        )
    x = np.ascontiguousarray(x[np.isfinite(x).all(axis=1)])
    if len(x) < FEWEST_SAMPLES:
        raise ConversionError(f"{where} has {len(x)} complete samples, expected at least {FEWEST_SAMPLES}")
    return x


def _output_names(
    outputs: Sequence[str] | None, channels: tuple[str, ...], count: int, *, late: bool, rebuilds: bool
) -> tuple[str, ...]:
    """Return the names of the outputs; by default those of the channels, which an encoder and its decoder rebuild."""
    if outputs is None and rebuilds and len(channels) == count and not late:
        return tuple(f"{name}{REBUILT_SUFFIX}" for name in channels)
    if outputs is None:
        return channels if len(channels) == count and not late else tuple(f"y{n}" for n in range(count))
    for name in outputs if late else ():
        if name in channels:
            raise ConversionError(
                f'output "{name}" would be the forecast of a channel, but with a look-ahead it says something about an earlier '
                "sample; name the outputs otherwise with --outputs"
            )
    if len(outputs) != count:
        raise ConversionError(
            f"the model has {count} outputs but {len(outputs)} are named: {', '.join(outputs)}"
        )
    _check_unique("output", outputs)
    return tuple(outputs)


def _check_unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        if not name:
            raise ConversionError(f"one of the {what}s has an empty name: {', '.join(names)}")
        if list(names).count(name) > 1:
            raise ConversionError(f'two {what}s are named "{name}"')


def _run_layers(float_model: FloatModel, x: Floats) -> list[Floats]:
    """Return what every float layer gives for `x`."""
    with np.errstate(over="ignore", invalid="ignore"):
        expected = float_model.run_layers(x)
    for layer, y in zip(float_model.layers, expected, strict=True):
        if not np.isfinite(y).all():
            raise ConversionError(
                f'layer "{layer.name}" gives numbers that are not finite for the calibration samples'
            )
    return expected


def _best(
    float_model: FloatModel, x: Floats, expected: list[Floats], exact: Floats, named: Named
) -> tuple[Model, list[Quantised], Floats, str]:
    """Quantise with weights each rounded to its nearest and as calibration says; keep the second where it loses less, on the
    held-back part and on the whole, and where neither loses anything, as symbols do not: then its rows were better each by itself.

    Returns the model, its layers with what their values stand for, what it gives for `x`, and which rounding it has.
    """
    parts = slice(int(len(x) * (1.0 - HELD_BACK)), None), slice(None)
    found = []
    for rounding in ROUNDINGS:
        model, quantised = _quantize(float_model, x, expected, named, calibrated=rounding == "calibrated")
        y = edgelstm.stream.LoadedModel(model).stream().run(x)
        found.append((model, quantised, y, rounding))
    nearest, calibrated = (
        [report.snr_db(y[part], exact[part], each_alone=True) for part in parts] for _, _, y, _ in found
    )
    if min(*nearest, *calibrated) >= report.LOSSLESS_DB:
        same = edgelstm.model_file.digest(found[0][0]) == edgelstm.model_file.digest(found[1][0])
        return found[0] if same else found[1]
    return found[1] if all(np.array(calibrated) > nearest) else found[0]


def _quantize(
    float_model: FloatModel, x: Floats, expected: list[Floats], named: Named, *, calibrated: bool
) -> tuple[Model, list[Quantised]]:
    """Return the int8 model, and its layers with what their values stand for."""
    names, outputs, units = named
    rows = rows_by_channel(float_model.layers, float_model.inputs)
    kept = _unmasked(float_model, x)
    channels = quantize.quantize_channels(names, tuple(units.get(name, "") for name in names), kept, rows)
    matrices = [] if rows else _matrices_of_input(float_model)
    whole = [] if rows else list(on_input(float_model.layers))
    of_one_step = quantize.of_one_step(channels, whole)
    values = {INPUT: x, **dict(zip((layer.name for layer in float_model.layers), expected, strict=True))}
    before = padding(float_model.layers, float_model.inputs)
    channels = quantize.holding(of_one_step or quantize.balance(channels, matrices), before)
    if of_one_step:  # also where one was made to hold more
        channels = quantize.holding(quantize.of_one_step(channels, whole) or channels, before)
    source = quantize.vector_of(channels)
    found = quantize_layers(float_model.layers, source.seeing(x) if calibrated else source, values)
    by_name = {quantised.layer.name: quantised.scale for quantised in found}
    leaving = np.concatenate([by_name[head] for head in float_model.head_names])
    model = Model(
        channels=channels,
        outputs=tuple(
            Output(name=name, unit=units.get(name, ""), scale=float(scale))
            for name, scale in zip(outputs, leaving, strict=True)
        ),
        layers=tuple(quantised.layer for quantised in found),
        heads=float_model.heads,
    )
    try:
        check(model)
    except ModelFileError as exc:
        hint = "; is the network's input scaled as in training? see --scaling" if "int32" in str(exc) else ""
        raise ConversionError(f"{exc}{hint}") from None
    return model, found


def _unmasked(float_model: FloatModel, x: Floats) -> Floats:
    """Return the samples that a mask does not pass over; all where none is left."""
    kept = np.ones(len(x), bool)
    for layer in float_model.layers:
        if isinstance(layer, FloatMasking) and not layer.matches:
            kept &= layer.run(x)[:, 0] != 0.0
    return x[kept] if kept.any() else x


def _matrices_of_input(float_model: FloatModel) -> list[Floats]:
    """Return the matrices that the channels are multiplied with; none where a layer reads them in another way."""
    found = []
    for number, layer in enumerate(float_model.layers):
        if INPUT not in float_model.sources_of(number):
            continue
        matrix = getattr(layer, "input_weights", getattr(layer, "weights", None))
        if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.shape[1] != float_model.inputs:
            return []
        found.append(matrix)
    return found


def _of_heads(model: FloatModel, found: list[Floats]) -> Floats:
    by_name = {layer.name: y for layer, y in zip(model.layers, found, strict=True)}
    return np.concatenate([by_name[head] for head in model.head_names], axis=1)
