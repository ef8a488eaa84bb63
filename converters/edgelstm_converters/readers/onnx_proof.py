"""Run an ONNX model, in ONNX Runtime or else in ONNX's own evaluator, and compare it with what was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.readers.proof import SAMPLES, Floats, first_line, judge, largest_difference, probe

Run = Callable[[dict[str, Any]], list[Any]]


def prove(model: Any, read: FloatModel, signal_input: str, *, time_axis: int) -> str:
    """Return the line of proof; raises ConversionError where the graph computes something else than its layers."""
    shapes = {
        value.name: [d.dim_value or 0 for d in value.type.tensor_type.shape.dim]
        for value in model.graph.input
        if value.name not in {weights.name for weights in model.graph.initializer}
    }
    engine = "the engine"
    try:
        engine, run = _engine(model)
        x, y = _outputs(run, shapes, signal_input, read.inputs, time_axis)
    except Exception as exc:  # whatever an engine raises for a model it cannot load or run
        raise ConversionError(f"{engine} cannot run it: {first_line(exc)}") from None
    hint = "it selects or reorders values on the way; export the plain network"
    return judge(engine, largest_difference(read, x, y), len(x), hint)


def _engine(model: Any) -> tuple[str, Run]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(model)
        return "onnx", lambda feeds: list(evaluator.run(None, feeds))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return "onnxruntime", lambda feeds: list(session.run(None, feeds))


def _outputs(
    run: Run, shapes: dict[str, list[int]], signal: str, inputs: int, time_axis: int
) -> tuple[Floats, Floats]:
    """Return the samples that were fed and what came out, (samples, outputs) or (1, outputs) for the last step only."""
    shape = shapes.pop(signal)
    if len(shape) not in (2, 3):
        raise ConversionError(f'input "{signal}" has {len(shape)} axes, expected time, batch and channels')
    batch_axis = 1 - time_axis if len(shape) == 3 else None  # two axes: no batch, or one sample at a time
    samples = shape[time_axis if len(shape) == 3 else 0] or SAMPLES
    batch = 1 if batch_axis is None else shape[batch_axis] or 1
    states = {name: np.zeros([size or 1 for size in sizes], np.float32) for name, sizes in shapes.items()}
    x = probe(inputs, samples if samples > 1 else SAMPLES)
    if samples > 1:
        return x, _one_of_batch(run(_feeds(signal, x, batch, batch_axis, states))[0], batch, batch_axis)
    rows = []
    for row in x:  # one sample at a time, states carried by the caller in the order of the outputs
        y, *after = run(_feeds(signal, row[None], batch, batch_axis, states))
        states = dict(zip(states, after, strict=True)) if states else states
        rows.append(_one_of_batch(y, batch, batch_axis))
    return x if states else x[-1:], np.concatenate(rows) if states else rows[-1]


def _feeds(
    signal: str, x: Floats, batch: int, batch_axis: int | None, states: dict[str, Any]
) -> dict[str, Any]:
    if batch_axis is not None:
        x = np.repeat(np.expand_dims(x, batch_axis), batch, axis=batch_axis)
    return {signal: x, **states}


def _one_of_batch(y: Any, batch: int, batch_axis: int | None) -> Floats:
    """Return (samples, outputs) of one of the batch, all of which were fed the same."""
    y = np.asarray(y, np.float32)
    y = y.reshape(
        *(size for size in y.shape[:-1] if size != 1), y.shape[-1]
    )  # directions, a batch or a step of one
    sizes = y.shape[:-1]
    if batch > 1 and batch in sizes:
        both = sizes == (batch, batch)
        y = np.take(y, 0, axis=batch_axis if both and batch_axis is not None else sizes.index(batch))
    return np.asarray(y.reshape(-1, y.shape[-1]), np.float32)
