"""Keras: .keras and .h5, proved by Keras itself where it is installed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import Asked, Reading, named_layers
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError, keras
from edgelstm_converters.readers.keras_file import load, weights_alone
from edgelstm_converters.readers.keras_graph import MODELS, KerasGraph, to_graph
from edgelstm_converters.readers.keras_mask import mask_value, settings, with_mask, zeroing
from edgelstm_converters.readers.proof import NOT_ASKED, first_line, judge_stream
from edgelstm_converters.trace.graph import Graph
from edgelstm_converters.trace.streams import Axes, Stream, read_stream


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a model that was saved whole."""
    asked.only("architecture")
    if asked.architecture is not None:
        return named_layers.read(weights_alone(path), asked.architecture, named_layers.AS_SAID)
    file = load(path)
    try:
        read_as, mask = to_graph(file), mask_value(_layers(file.config))
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, ValueError) as exc:
        raise ConversionError(
            f"its configuration is none that Keras writes: {type(exc).__name__}: {first_line(exc)}"
        ) from None
    graph = _of_length(read_as.graph, file.config)
    known = Axes(1, 0) if len(graph.inputs[0].shape) > 2 else None
    stream = read_stream(
        graph, {}, lambda node, values, opset: None, asked.inputs, window=asked.window, known=known
    )
    stream = replace(stream, model=with_mask(stream.model, mask, zeroing(_layers(file.config))))
    proof = _prove(path, stream, mask, read_as) if asked.verify else NOT_ASKED
    reading = Reading.of(stream, "; ".join([proof, *_said(read_as)]))
    return replace(reading, carried=_carried(_layers(file.config)))


def _carried(layers: list[dict[str, Any]]) -> str:
    """Say that the layers which have a state are declared stateful; "" where one of them is not."""
    found = {layer["config"]["name"]: settings(layer).get("stateful") for layer in layers}
    recurrent = {name: said for name, said in found.items() if said is not None}
    if not recurrent or not all(recurrent.values()):
        return ""
    names = ", ".join(f'"{name}"' for name in recurrent)
    return f"its layer {names} is stateful" if len(recurrent) == 1 else f"its layers {names} are stateful"


def _said(read_as: KerasGraph) -> list[str]:
    """Return what several inputs and outputs are, in their order."""
    said = []
    if len(read_as.inputs) > 1:
        said.append(f"channels of {', '.join(f'{name} ({width})' for name, width in read_as.inputs)}")
    if len(read_as.outputs) > 1:
        said.append(f"outputs of {', '.join(read_as.outputs)}")
    return said


def _of_length(graph: Graph, config: dict[str, Any]) -> Graph:
    """Return the graph with as many samples as a RepeatVector says, where the input leaves them open."""
    (signal,) = graph.inputs
    counts = {layer["config"]["n"] for layer in _layers(config) if layer["class_name"] == "RepeatVector"}
    if len(counts) != 1 or len(signal.shape) < 3 or signal.shape[1] is not None:
        return graph
    shape = (signal.shape[0], int(counts.pop()), *signal.shape[2:])
    return replace(graph, inputs=(replace(signal, shape=shape),))


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of a model, those of the models in it in their places."""
    inner = config["config"]
    found: list[dict[str, Any]] = []
    for layer in inner if isinstance(inner, list) else inner["layers"]:
        if layer["class_name"] not in MODELS:
            found.append(layer)
            continue
        name = layer["config"]["name"] if isinstance(layer["config"], dict) else layer["name"]
        for each in _layers(layer):
            found.append({**each, "config": {**each["config"], "name": f"{name}/{each['config']['name']}"}})
    return found


def _prove(path: Path, stream: Stream, mask: float | None, read_as: KerasGraph) -> str:
    if find_spec("keras") is None:
        return "not proved: keras is not installed"
    if keras.backend() is None:
        return f"not proved: keras has none of its backends, {', '.join(keras.BACKENDS)}"
    try:
        engine = Engine("keras", path)
    except EngineError as exc:  # for files of another major version too
        return f"not proved: this keras cannot load it: {exc}"
    except EngineDied as exc:
        return f"not proved: {exc}"
    ends = np.cumsum([width for _, width in read_as.inputs])[:-1]

    def run(feeds: dict[str, Any]) -> list[Any]:
        (signal,) = feeds.values()
        parts = np.split(signal, ends, axis=-1) if len(ends) else [signal]
        return engine.run({name: part for (name, _), part in zip(read_as.inputs, parts, strict=True)})

    return judge_stream(engine, stream, "please report this", run=run, mask=mask)
