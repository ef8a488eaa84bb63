"""Whether the layers that were read compute what the source computes, on random input with carried state."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLayer, FloatLstm, FloatModel
from edgelstm_converters.layers import FloatConcat, FloatCurve, FloatEmbedding, FloatRnn, FloatSelect
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.trace.streams import Stream

Floats = NDArray[np.float32]
SAMPLES = 1000
TOLERANCE, SETTLED = 1e-5, 200
"""What is allowed over the first samples, and how many those are; ten times as much after them."""
LEAST_INT8_DB = 15.0
"""From an engine that computes in int8; a gate in the wrong place is below 5."""
WINDOWS, LOUDNESS = 16, (1.0, 0.3, 3.0, 0.1, 10.0, 0.01)
"""What a source that gives the last step only is run over, at most; how loud the samples of each are."""
FAINT = 1e-3
"""The largest output below which a difference of TOLERANCE is much."""
NOT_ASKED = "not proved: not asked for"
Run = Callable[[dict[str, Any]], list[Any]]
Runs = list[tuple[Floats, Floats]]


def probe(
    inputs: int, samples: int = SAMPLES, mask: float | None = None, seed: int = 0, loudness: float = 1.0
) -> Floats:
    """Return the samples that source and reading are compared on, (samples, inputs); a third of them masked."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, loudness, (samples, inputs)).astype(np.float32)
    if mask is not None:
        x[rng.random(samples) < 1 / 3] = mask
    return x


def compare(engine: str, model: FloatModel, runs: Runs, hint: str) -> str:
    """Return the line that says how well a reading is proved; raises ConversionError where it is not the same.

    runs  each from the initial state: the samples, and what is expected of them, (samples, outputs), or (1, outputs) for a source
          that gives the last step only. Differences are relative to the largest output where that is above 1
    """
    found, expected = _both(model, runs)
    scale = max(1.0, float(np.abs(expected).max()))
    early = np.concatenate([np.arange(len(x) - len(y), len(x)) < SETTLED for x, y in runs])
    difference = 0.0
    for part, allowed in ((early, TOLERANCE), (np.ones_like(early), 10 * TOLERANCE)):
        difference = float(np.abs(found[part] - expected[part]).max(initial=0.0) / scale)
        if not difference <= allowed:
            raise ConversionError(
                f"its layers do not give what {engine} gives (off by {difference:.2g}): {hint}"
            )
    largest = float(np.abs(expected).max())
    if 0.0 < largest < FAINT and difference > largest / 100:
        return f"not proved: all that {engine} gives for random samples is below {largest:.1g}, too little to compare"
    if len(expected) > 1 and not np.ptp(expected, axis=0).any():
        return f"not proved: {engine} gives the same for all random samples, which says nothing of the layers"
    return f"{engine}: within {difference:.1e} over {sum(len(x) for x, _ in runs)} samples"


def compare_int8(engine: str, model: FloatModel, runs: Runs, hint: str) -> str:
    """Return the line of proof against an engine that computes in int8, and so gives no more than a few digits."""
    found, expected = (part.astype(np.float64) for part in _both(model, runs))
    noise, signal = np.square(found - expected).sum(), np.square(expected).sum()
    decibel = 10.0 * np.log10(max(float(signal), 1e-30) / max(float(noise), 1e-30))
    if not decibel >= LEAST_INT8_DB:
        raise ConversionError(f"its layers are {decibel:.1f} dB from what {engine} gives in int8: {hint}")
    samples = sum(len(x) for x, _ in runs)
    return f"{engine}, which computes it in int8: within {min(decibel, 150.0):.0f} dB over {samples} samples"


def _both(model: FloatModel, runs: Runs) -> tuple[Floats, Floats]:
    """Return what a model gives and what is expected of it, one row below the other."""
    found = [model.run(x)[-len(y) :] for x, y in runs]
    for y, (_, expected) in zip(found, runs, strict=True):
        if y.shape != expected.shape:
            raise ConversionError(f"its output has shape {expected.shape}, but its layers give {y.shape}")
    return np.concatenate(found), np.concatenate([y for _, y in runs])


def judge_stream(
    engine: Engine,
    stream: Stream,
    hint: str,
    *,
    run: Run | None = None,
    int8: bool = False,
    mask: float | None = None,
    carried: bool = False,
) -> str:
    """Feed the engine of a graph as the stream says, and compare; returns the line of proof.

    run   feeds the engine with inputs by name, where it needs more than to be given them
    mask  what all channels of a sample are that it passes over
    carried  whether the engine itself keeps states from one run to the next
    """
    try:
        runs = _outputs(run or engine.run, stream, mask, carried)
    except EngineDied as exc:
        return f"not proved: {exc}"
    except EngineError as exc:
        raise ConversionError(f"{engine.name} cannot run it: {exc}") from None
    return (compare_int8 if int8 else compare)(engine.name, stream.model, runs, hint)


def _outputs(run: Run, stream: Stream, mask: float | None, carried: bool) -> Runs:
    """Return runs of the samples that the model gets and what came out, (samples, outputs) or (1, outputs) for the last step only."""
    time = stream.axes.time
    samples = SAMPLES if stream.free else 1 if time is None else stream.shape[time]
    samples = min(samples, stream.longest or samples)
    states = {name: np.zeros(shape, np.float32) for name, shape in stream.states.items()}
    others = {name: value for name, value in stream.fixed.items() if name != stream.signal}
    channels = int(
        np.prod([s for axis, s in enumerate(stream.shape) if axis not in (time, stream.axes.batch)])
    )

    def one(x: Floats) -> tuple[Floats, Floats, list[Any]]:
        given = run({**others, **states, stream.signal: _feed(x, stream)})
        parts = [_one_of_batch(given[n], width, stream, len(x)) for n, width in stream.outputs]
        if stream.start is not None:
            inner = np.asarray(given[-1], np.float32)
            x = np.moveaxis(inner, stream.start_time or 0, 0).reshape(len(x), -1)
        return x, np.concatenate(parts, axis=1), [given[n] for n in stream.order if n < len(given)]

    x = _choosing_rows(probe(channels, samples if samples > 1 else SAMPLES, mask), stream.model)
    if samples > 1:
        try:
            first = one(x)[:2]
        except EngineError:
            if not stream.free:
                raise
            first = one(x[: stream.shape[time or 0]])[:2]  # exported as of any length, with one baked into it
        if len(first[1]) > 1 or states or carried:
            return [first]
        # a single row says little, and less where it is at its limit
        count = min(WINDOWS, SAMPLES // len(first[0]))
        return [
            first,
            *(one(_window(channels, len(first[0]), mask, n, stream.model))[:2] for n in range(1, count)),
        ]
    rows = []
    for row in x:  # one sample at a time, states carried by the caller in the order of the outputs
        fed, y, after = one(row[None])
        states.update(zip(states, after, strict=False))
        rows.append((fed, y))
    if not states and not carried:
        return rows
    return [(np.concatenate([fed for fed, _ in rows]), np.concatenate([y for _, y in rows]))]


def _window(channels: int, samples: int, mask: float | None, number: int, model: FloatModel) -> Floats:
    """Return the samples of a window, louder or quieter than those of the one before."""
    loudness = LOUDNESS[number % len(LOUDNESS)]
    return _choosing_rows(probe(channels, samples, mask, number, loudness), model)


def _choosing_rows(x: Floats, model: FloatModel) -> Floats:
    """Return samples with whole numbers in the channels that choose rows of a table."""
    rng, layers = np.random.default_rng(1), {layer.name: layer for layer in model.layers}
    for number, layer in enumerate(model.layers):
        if isinstance(layer, FloatEmbedding):
            picked = layers.get(model.sources_of(number)[0])
            channel = picked.first if isinstance(picked, FloatSelect) else 0
            x[:, channel] = rng.integers(0, len(layer.table), len(x))
    return x


def _feed(x: Floats, stream: Stream) -> Floats:
    """Return samples in the shape of the signal, every one of a batch fed the same."""
    time, batch = stream.axes.time, stream.axes.batch
    shape = [
        len(x) if axis == time else 1 if axis == batch else size for axis, size in enumerate(stream.shape)
    ]
    rest = [size for axis, size in enumerate(shape) if axis not in (time, batch)]
    channels = x.reshape(len(x), *rest)
    first = np.moveaxis(channels, 0, time - (batch is not None and batch < time)) if time else channels
    sizes = [len(x) if axis == time else size for axis, size in enumerate(stream.shape)]
    return np.ascontiguousarray(np.broadcast_to(first.reshape(shape), sizes))


def _one_of_batch(y: Any, outputs: int, stream: Stream, samples: int) -> Floats:
    """Return (samples, outputs) of one of the batch, all of which were fed the same; (1, outputs) for the last step only.

    Of outputs that begin late, those from there on; what comes at every n-th sample stands at those in between, too.
    """
    batch = 1 if stream.axes.batch is None else stream.shape[stream.axes.batch]
    y, clock = np.asarray(y, np.float32), stream.clock
    rows = len(range(clock.first, samples, clock.stride))
    if y.size not in (batch * outputs, batch * rows * outputs):
        raise ConversionError(f"its output has shape {y.shape}, but its layers give {outputs} values")
    if batch > 1:
        sizes = list(y.shape)
        axis = (
            stream.axes.batch
            if y.ndim == len(stream.shape) and sizes[stream.axes.batch or 0] == batch
            else None
        )
        y = np.take(y, 0, axis=sizes.index(batch) if axis is None else axis)
    found = y.reshape(-1, outputs)
    if len(found) > 1:
        found = np.repeat(found, clock.stride, axis=0)[: samples - clock.first]
    return np.ascontiguousarray(found)


def first_line(exc: Exception) -> str:
    """Return what another library says went wrong, as far as one line goes."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)


def against_torch_layers(model: FloatModel) -> str:
    """Rebuild the layers as torch modules and compare; says so where torch is not installed."""
    try:
        import torch
    except ImportError:
        return "not proved: torch is not installed"
    curve = next((layer.name for layer in model.layers if isinstance(layer, FloatCurve)), None)
    if curve is not None:
        return f'not proved: the function of layer "{curve}" is known by its name only; a live module, .pt2 and ONNX are proved'
    x = _choosing_rows(probe(model.inputs), model)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about kernels that torch does not use for it
        found = {INPUT: torch.from_numpy(x)}
        for number, layer in enumerate(model.layers):
            read = [found[source] for source in model.sources_of(number)]
            if layer.name in model.backward:
                found[layer.name] = _torch_layer(torch, layer)(*(part.flip(0) for part in read)).flip(0)
            else:
                found[layer.name] = _torch_layer(torch, layer)(*read)
        y = torch.cat([found[head] for head in model.head_names], dim=-1)
    return compare("torch", model, [(x, y.numpy())], "please report this")


def _torch_layer(torch: Any, layer: FloatLayer) -> Callable[[Any], Any]:
    def tensor(array: Floats) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array))

    if isinstance(layer, FloatConcat):
        return lambda *parts: torch.cat(parts, dim=-1)
    if isinstance(layer, FloatEmbedding):
        table = layer.table
        return lambda v: torch.nn.functional.embedding(v[:, 0].long(), tensor(table))
    if isinstance(layer, FloatDense):
        dense = layer
        activate = {"linear": lambda v: v, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
        return lambda v: activate[dense.activation](v @ tensor(dense.weights).T + tensor(dense.bias))
    if isinstance(layer, FloatLstm):
        projected = 0 if layer.projection_weights is None else layer.units
        module, biases = (
            torch.nn.LSTM(layer.inputs, layer.cells, proj_size=projected),
            (layer.bias, np.zeros_like(layer.bias)),
        )
        if layer.projection_weights is not None:
            module.weight_hr_l0.copy_(tensor(layer.projection_weights))
    elif isinstance(layer, FloatGru):
        module, biases = torch.nn.GRU(layer.inputs, layer.units), (layer.input_bias, layer.hidden_bias)
    elif isinstance(layer, FloatRnn):
        module = torch.nn.RNN(layer.inputs, layer.units, nonlinearity=layer.activation)
        biases = layer.bias, np.zeros_like(layer.bias)
    else:
        raise ConversionError(f'layer "{layer.name}" ({layer.kind}) cannot be compared with a torch module')
    for name, array in zip(
        ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
        (layer.input_weights, layer.hidden_weights, *biases),
        strict=True,
    ):
        getattr(module, name).copy_(tensor(array))
    return lambda v: module(v)[0]
