"""Keras: .keras and .h5, proved by Keras itself where it is installed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import Asked, Reading, named_layers
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError, keras
from edgelstm_converters.readers.keras_file import load, weights_alone
from edgelstm_converters.readers.keras_graph import to_graph
from edgelstm_converters.readers.keras_mask import mask_value, settings, with_mask, zeroing
from edgelstm_converters.readers.proof import NOT_ASKED, first_line, judge_stream
from edgelstm_converters.trace.streams import Stream, read_stream


def read(path: Path, asked: Asked) -> Reading:
    """Read the layers of a model that was saved whole."""
    asked.only("architecture")
    if asked.architecture is not None:
        return named_layers.read(weights_alone(path), asked.architecture, named_layers.AS_SAID)
    file = load(path)
    try:
        graph, mask = to_graph(file), mask_value(_layers(file.config))
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, ValueError) as exc:
        raise ConversionError(
            f"its configuration is none that Keras writes: {type(exc).__name__}: {first_line(exc)}"
        ) from None
    stream = read_stream(graph, {}, lambda node, values, opset: None, asked.inputs, window=asked.window)
    stream = replace(stream, model=with_mask(stream.model, mask, zeroing(_layers(file.config))))
    reading = Reading.of(stream, _prove(path, stream, mask) if asked.verify else NOT_ASKED)
    return replace(reading, carried=_carried(_layers(file.config)))


def _carried(layers: list[dict[str, Any]]) -> str:
    """Say that the layers which have a state are declared stateful; "" where one of them is not."""
    found = {layer["config"]["name"]: settings(layer).get("stateful") for layer in layers}
    recurrent = {name: said for name, said in found.items() if said is not None}
    if not recurrent or not all(recurrent.values()):
        return ""
    names = ", ".join(f'"{name}"' for name in recurrent)
    return f"its layer {names} is stateful" if len(recurrent) == 1 else f"its layers {names} are stateful"


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    inner = config["config"]
    found: list[dict[str, Any]] = inner if isinstance(inner, list) else inner["layers"]
    return found


def _prove(path: Path, stream: Stream, mask: float | None) -> str:
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
    return judge_stream(engine, stream, {}, "please report this", mask=mask)
