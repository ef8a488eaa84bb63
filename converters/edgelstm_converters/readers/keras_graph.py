"""The layers of a Keras model as a graph of operators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.keras_attention import ATTENTION
from edgelstm_converters.readers.keras_calls import Call, Settings, Unknown, calls_of, read_call, tensors
from edgelstm_converters.readers.keras_file import KerasFile, Scope
from edgelstm_converters.readers.keras_grid import GRID
from edgelstm_converters.readers.keras_layers import LAYERS, activate, parts, refused
from edgelstm_converters.readers.keras_operations import is_operation, operation
from edgelstm_converters.readers.keras_recurrent import CELLS, recurrent
from edgelstm_converters.readers.keras_window import WINDOW
from edgelstm_converters.trace.graph import Array, Graph, Input, Node

NOTHING = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    "Masking",  # keras_mask.py
)
MODELS = ("Sequential", "Functional", "Model")
OF_ONE = {**LAYERS, **WINDOW, **GRID}
RECURRENT = (*CELLS, "RNN", "Bidirectional", "ConvLSTM2D")
LAMBDA = (
    "it runs code that is not in the file as layers: put in its place what it does, as layers or keras.ops (x[:, -1], x * y, "
    "keras.ops.mean), give it the same weights, and save the model again"
)


@dataclass(frozen=True, slots=True, eq=False)
class KerasGraph:
    """A graph of one signal, (batch, time, channels): the channels of all inputs of the model, in their order."""

    graph: Graph
    inputs: tuple[tuple[str, int], ...]
    """Their names, and how many channels each has."""
    outputs: tuple[str, ...]
    """Names of the layers that give them."""


def to_graph(file: KerasFile) -> KerasGraph:
    """Return the model as a graph of (batch, time, channels). Raises ConversionError, naming the layer."""
    return _Builder(file).build()


class _Builder:
    def __init__(self, file: KerasFile) -> None:
        self.file = file
        self.slope = (
            0.2 if file.version.startswith(("1.", "2.")) else 1 / 6
        )  # of hard_sigmoid, which Keras 3 changed
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.inputs: list[Input] = []
        self.order: list[str] = []

    def build(self) -> KerasGraph:
        kind, config = self.file.config.get("class_name"), self.file.config.get("config")
        if kind not in MODELS or config is None:
            raise ConversionError(
                f"holds a {kind}, a class of its own; a Sequential or Functional model can be converted"
            )
        given = self._model(self.file.config, "", None, self.file.scope)
        inputs = self.inputs
        if self.order and all(each.name in self.order for each in inputs):
            inputs = sorted(inputs, key=lambda each: self.order.index(each.name))
        widths = tuple((each.name, each.shape[-1] or 0) for each in inputs)
        signal, split = _one_signal(inputs)
        graph = Graph((signal,), tuple(given), (*split, *self.nodes), self.constants)
        for n, (name, _) in enumerate(widths if split else ()):
            self.constants[f"{name}/columns"] = _columns(widths, n)
        return KerasGraph(graph, widths, tuple(dict.fromkeys(name.split(":")[0] for name in given)))

    def add(self, op: str, inputs: Iterable[str], name: str, label: str, **attributes: Any) -> str:
        self.node(op, inputs, (name,), label, **attributes)
        return name

    def node(
        self, op: str, inputs: Iterable[str], names: Iterable[str], label: str, **attributes: Any
    ) -> None:
        self.nodes.append(Node(op, tuple(inputs), tuple(names), attributes, label))

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = np.ascontiguousarray(values)
        return name

    def _model(self, entry: Settings, prefix: str, given: list[str] | None, scope: Scope) -> list[str]:
        """Add the layers of a model that reads `given`, its inputs made where that is None; return what it gives.

        prefix  of the names of its layers, where it is inside of another one
        """
        config = entry["config"]
        if entry["class_name"] == "Sequential":
            return self._chain(config, prefix, given, scope)
        return self._functional(config, prefix, given, scope)

    def _chain(self, config: Any, prefix: str, given: list[str] | None, scope: Scope) -> list[str]:
        layers = config if isinstance(config, list) else config["layers"]
        counts: dict[str, int] = {}
        for entry in layers:
            name, number = _name(entry), counts.get(entry["class_name"], 0)
            counts[entry["class_name"]] = number + 1
            own = scope.inside(name, entry["class_name"], number)
            given = self._called(entry, prefix + name, given, own, Call())
        if given is None:
            raise ConversionError("holds a model without layers")
        return given

    def _functional(self, config: Settings, prefix: str, given: list[str] | None, scope: Scope) -> list[str]:
        made: dict[tuple[str, int], list[str]] = {}
        inputs = [each[0] for each in _ends(config.get("input_layers") or [])]
        counts: dict[str, int] = {}
        left: list[tuple[Settings, int, Any, Scope]] = []
        for entry in config["layers"]:
            name, kind = _name(entry), entry["class_name"]
            own = scope.inside(name, kind, counts.get(kind, 0))
            counts[kind] = counts.get(kind, 0) + 1
            if kind == "InputLayer" or name in inputs:
                source = None if given is None else [given[inputs.index(name)]]
                made[name, 0] = self._called(
                    {**entry, "class_name": "InputLayer"}, prefix + name, source, own, Call()
                )
            left += [(entry, number, call, own) for number, call in enumerate(calls_of(entry))]
        if given is None:
            self.order = inputs

        def value(layer: str, call: int, number: int) -> str | None:
            return made[layer, call][number] if (layer, call) in made else None

        while left:
            waiting = []
            for entry, number, each, own in left:
                try:
                    call = read_call(each, value)
                except Unknown:
                    waiting.append((entry, number, each, own))
                    continue
                name = f"{prefix}{_name(entry)}" + (f":{number}" if number else "")
                made[_name(entry), number] = self._called(entry, name, call.sources, own, call)
            if len(waiting) == len(left):
                raise refused(
                    prefix + _name(left[0][0]), left[0][0]["class_name"], "what it reads is not in the model"
                )
            left = waiting
        return [made[layer, call][number] for layer, call, number in _ends(config["output_layers"])]

    def _called(
        self, entry: Settings, name: str, sources: list[str] | None, scope: Scope, call: Call
    ) -> list[str]:
        """Add a layer; return the names of what it gives. Where it has no sources it is the first, and makes the input."""
        kind, settings = entry["class_name"], entry["config"]
        if kind == "InputLayer" and sources is not None:
            return sources
        if sources is None and kind in MODELS:
            return self._model(entry, f"{name}/", None, scope)
        if sources is None:
            sources = [self._input(kind, name, settings)]
            if kind == "InputLayer":
                return sources
        if kind in MODELS:
            return self._model(entry, f"{name}/", sources, scope)
        if is_operation(entry, call):
            return operation(self, kind, name, settings, call)
        if kind in ATTENTION:
            return [ATTENTION[kind](self, name, settings, call, scope)]
        for key, given in call.kwargs.items():
            if list(tensors(given)):
                raise refused(name, kind, f"it is given {key} computed by a layer")
        return self._layer(kind, name, settings, sources, scope)

    def _input(self, kind: str, name: str, settings: Settings) -> str:
        shape = settings.get("batch_shape") or settings.get("batch_input_shape")
        if not shape:
            why = "the shape of the input is not in the file: build the model before it is saved"
            raise refused(name, kind, why)
        given = name if kind == "InputLayer" else f"{name}/input"
        self.inputs.append(Input(given, tuple(shape)))
        return given

    def _layer(self, kind: str, name: str, settings: Settings, sources: list[str], scope: Scope) -> list[str]:
        """Add the nodes of one layer; the value it gives has the layer's name."""
        if kind in NOTHING:
            return [self.add("Identity", sources, name, name)]
        if kind in (*CELLS, "RNN", "Bidirectional"):
            if len(sources) > 1:
                raise refused(name, kind, "it is given an initial state computed by a layer")
            return recurrent(self, kind, name, settings, sources[0], scope)
        if kind == "Dense":
            self._dense(kind, name, settings, sources[0], scope)
        elif kind == "TimeDistributed":
            return self._distributed(name, settings, sources[0], scope)
        elif kind in OF_ONE:
            OF_ONE[kind](self, name, settings, sources, scope.weights)
        elif kind == "Lambda":
            raise refused(name, kind, f"cannot be converted: {LAMBDA}")
        else:
            can = ", ".join(
                (*CELLS, "RNN", "Bidirectional", "Dense", "TimeDistributed", *OF_ONE, *ATTENTION, "dropout")
            )
            raise refused(name, kind, f"cannot be converted; {can} can")
        return [name]

    def _distributed(self, name: str, settings: Settings, source: str, scope: Scope) -> list[str]:
        """Run a layer on every sample by itself: samples are taken for more of the batch, and back."""
        inner = settings["layer"]
        kind = inner["class_name"]
        if kind in RECURRENT:
            raise refused(
                name,
                "TimeDistributed",
                f"it runs a {kind} inside of every sample, which has no samples in it",
            )
        ends = {
            key: self.constant(f"{name}/{key}", np.array([n], np.int64))
            for key, n in (("0", 0), ("1", 1), ("2", 2), ("9", 9), ("-1", -1))
        }
        shape = self.add("Shape", [source], f"{name}/shape", name)
        front = self.add("Slice", [shape, ends["0"], ends["2"]], f"{name}/front", name)
        rest = self.add("Slice", [shape, ends["2"], ends["9"]], f"{name}/rest", name)
        apart = self.add("Concat", [ends["-1"], rest], f"{name}/apart", name, axis=0)
        folded = self.add("Reshape", [source, apart], f"{name}/samples", name, allowzero=1)
        found = self._called(inner, f"{name}/{_name(inner)}", [folded], scope.wrapped(), Call())
        given = []
        for number, each in enumerate(found):
            own = self.add("Shape", [each], f"{name}/shape {number}", name)
            tail = self.add("Slice", [own, ends["1"], ends["9"]], f"{name}/tail {number}", name)
            back = self.add("Concat", [front, tail], f"{name}/back {number}", name, axis=0)
            given.append(
                self.add(
                    "Reshape", [each, back], name if not number else f"{name}/{number}", name, allowzero=1
                )
            )
        return given

    def _dense(self, kind: str, name: str, settings: Settings, source: str, scope: Scope) -> None:
        weights = parts(name, kind, scope.weights, bool(settings.get("use_bias", True)), ("kernel", "bias"))
        kernel = self.constant(f"{name}/kernel", weights["kernel"])
        found = self.add("MatMul", [source, kernel], f"{name}/product", name)
        if "bias" in weights:
            bias = self.constant(f"{name}/bias", weights["bias"])
            found = self.add("Add", [found, bias], f"{name}/sum", name)
        activate(self, name, settings.get("activation", "linear"), found, name)


def _one_signal(inputs: list[Input]) -> tuple[Input, list[Node]]:
    """Return one input of all channels, and the nodes that take it apart, where there are several."""
    if len(inputs) == 1:
        return inputs[0], []
    for each in inputs:
        if len(each.shape) != 3 or each.shape[-1] is None:
            raise ConversionError(
                f'input "{each.name}" has shape {each.shape}: of several inputs, each has to be (batch, samples, channels)'
            )
    lengths = {each.shape[1] for each in inputs if each.shape[1] is not None}
    if len(lengths) > 1:
        raise ConversionError(
            f"its inputs have {', '.join(map(str, sorted(lengths)))} samples, expected as many of each"
        )
    total = sum(each.shape[-1] or 0 for each in inputs)
    signal = Input("signal", (inputs[0].shape[0], lengths.pop() if lengths else None, total))
    axis = {"axis": 2}
    return signal, [
        Node("Gather", ("signal", f"{each.name}/columns"), (each.name,), axis, each.name) for each in inputs
    ]


def _columns(widths: tuple[tuple[str, int], ...], number: int) -> Array:
    first = sum(width for _, width in widths[:number])
    return np.arange(first, first + widths[number][1])


def _name(entry: Settings) -> str:
    return str(entry.get("name") or entry["config"]["name"])


def _ends(entries: Any) -> list[tuple[str, int, int]]:
    """Return what a configuration says of its inputs or outputs: one, a list, or some by name, in the order of names."""
    if isinstance(entries, dict):
        return [end for key in sorted(entries) for end in _ends(entries[key])]
    if entries and isinstance(entries[0], str):
        return [(entries[0], int(entries[1]), int(entries[2]))]
    return [end for entry in entries for end in _ends(entry)]
