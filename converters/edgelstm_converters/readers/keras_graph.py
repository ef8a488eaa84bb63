"""The layers of a Keras model as a graph of operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.gate_order import reorder
from edgelstm_converters.readers.keras_file import KerasFile, Stored, counted
from edgelstm_converters.readers.keras_layers import ACTIVATIONS, LAYERS, activate, parts, refused, word_of
from edgelstm_converters.trace.graph import Array, Graph, Input, Node

NOTHING = (
    "Dropout",
    "SpatialDropout1D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    "Masking",  # keras_mask.py
)
IN_CELLS = {**ACTIVATIONS, "linear": "Identity", "hard_sigmoid": "HardSigmoid"}
CELLS = {
    "LSTM": "LSTM",
    "CuDNNLSTM": "LSTM",
    "LSTMCell": "LSTM",
    "GRU": "GRU",
    "CuDNNGRU": "GRU",
    "GRUCell": "GRU",
    "SimpleRNN": "RNN",
    "SimpleRNNCell": "RNN",
}
ORDERS = {"LSTM": ("ifgo", "iofg"), "GRU": ("urn", "urn"), "RNN": ("h", "h")}  # of Keras, of ONNX
MERGES = ("concat", "sum", "mul", "ave")  # of Bidirectional
PARTS = ("kernel", "recurrent_kernel", "bias")


def to_graph(file: KerasFile) -> Graph:
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
        self.shapes: dict[str, tuple[int | None, ...]] = {}

    def build(self) -> Graph:
        kind, config = self.file.config.get("class_name"), self.file.config.get("config")
        if kind not in ("Sequential", "Functional", "Model") or config is None:
            raise ConversionError(
                f"holds a {kind}, a class of its own; a Sequential or Functional model can be converted"
            )
        layers = config if isinstance(config, list) else config["layers"]
        counts: dict[str, int] = {}
        before = ""
        for entry in layers:
            class_name, settings = entry["class_name"], entry["config"]
            name = entry.get("name") or settings["name"]
            number = counts.get(class_name, 0)
            counts[class_name] = number + 1
            sources = [before] if kind == "Sequential" else self._inbound(name, entry)
            self._layer(class_name, name, settings, sources, self.file.of_layer(name, class_name, number))
            before = name
        outputs = [before] if kind == "Sequential" else _names(config["output_layers"])
        return Graph(tuple(self.inputs), tuple(outputs), tuple(self.nodes), self.constants)

    def _inbound(self, name: str, entry: dict[str, Any]) -> list[str]:
        """Return the names of the layers that a layer of a functional model reads."""
        calls = entry.get("inbound_nodes") or []
        if len(calls) > 1:
            raise refused(name, entry["class_name"], "it is used more than once")
        if not calls:
            return []
        if isinstance(calls[0], dict):  # Keras 3
            extra = [key for key, value in calls[0].get("kwargs", {}).items() if list(_histories(value))]
            if extra:
                raise refused(name, entry["class_name"], f"it is given {extra[0]} computed by a layer")
            sources = list(_histories(calls[0]["args"]))
            if len(sources) > 1 and entry["class_name"] in CELLS:
                raise refused(name, entry["class_name"], "it is given an initial state computed by a layer")
            return sources
        if any(len(call) > 3 and call[3] for call in calls[0]):
            raise refused(name, entry["class_name"], f"it is called with {', '.join(calls[0][0][3])}")
        if len(calls[0]) > 1 and entry["class_name"] in CELLS:
            raise refused(name, entry["class_name"], "it is given an initial state computed by a layer")
        return [call[0] for call in calls[0]]

    def add(self, op: str, inputs: Iterable[str], name: str, label: str, **attributes: Any) -> str:
        self.nodes.append(Node(op, tuple(inputs), (name,), attributes, label))
        return name

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = np.ascontiguousarray(values)
        return name

    def _layer(
        self, kind: str, name: str, settings: dict[str, Any], sources: list[str], stored: Stored
    ) -> None:
        """Add the nodes of one layer; the value it gives has the layer's name."""
        if kind == "Sequential" and not sources:
            raise refused(name, kind, "a model inside a model; flatten it")
        shape = settings.get("batch_shape") or settings.get("batch_input_shape")
        if kind == "InputLayer" or (sources == [""] and not self.inputs):
            given = name if kind == "InputLayer" else f"{name}/input"
            if not shape:
                raise refused(
                    name,
                    kind,
                    "the shape of the input is not in the file: build the model before it is saved",
                )
            self.inputs.append(Input(given, tuple(shape)))
            if kind == "InputLayer":
                return
            sources = [given]
        if kind in NOTHING:
            self.add("Identity", sources, name, name)
        elif kind in CELLS:
            last = self._cell(kind, name, settings, sources[0], stored)
            self.add("Identity", [last], name, name)
        elif kind == "RNN":
            self._stacked_cells(name, settings, sources[0], stored)
        elif kind in ("Dense", "TimeDistributed"):
            self._dense(kind, name, settings, sources[0], stored)
        elif kind == "Bidirectional":
            self._bidirectional(name, settings, sources[0], stored)
        elif kind in LAYERS:
            LAYERS[kind](self, name, settings, sources, stored)
        else:
            can = ", ".join(
                ("LSTM, GRU, SimpleRNN, RNN, Bidirectional, Dense, TimeDistributed", *LAYERS, "dropout")
            )
            raise refused(name, kind, f"cannot be converted; {can} can")

    def _cell(
        self, kind: str, name: str, settings: dict[str, Any], source: str, stored: Stored, part: str = ""
    ) -> str:
        """Add a recurrent node; return the name of its sequence, (batch, time, units), or of its last step."""
        for key, why in (
            ("time_major", "it reads time before batch"),
            ("return_state", "it gives its state as an output"),
        ):
            if settings.get(key):
                raise refused(name, kind, why)
        op = CELLS[kind]
        weights = parts(name, kind, stored, bool(settings.get("use_bias", True)), PARTS)
        if kind.startswith("CuDNN"):
            weights = _from_cudnn(weights, op)
        label = name + part
        kernel, recurrent, bias = (weights.get(key) for key in PARTS)
        assert kernel is not None and recurrent is not None
        units, (ours, theirs) = recurrent.shape[0], ORDERS[op]
        rows = len(ours) * units
        if kernel.ndim != 2 or kernel.shape[1] != rows or recurrent.shape != (units, rows):
            raise refused(
                name, kind, f"its weights have shapes {kernel.shape} and {recurrent.shape}, which do not fit"
            )
        after = op == "GRU" and (
            bool(settings.get("reset_after", kind == "CuDNNGRU"))
            if bias is None
            else bias.ndim == 2 and len(bias) == 2
        )
        both = np.zeros((2, rows), np.float32)
        if bias is not None:
            if bias.size not in (rows, 2 * rows) or (bias.size == 2 * rows) != after:
                raise refused(
                    name, kind, f"its bias has shape {bias.shape}, which does not fit {units} units"
                )
            both[: 2 if after else 1] = bias.reshape(-1, rows)
        w, r = (reorder(np.ascontiguousarray(m.T), ours, theirs)[None] for m in (kernel, recurrent))
        b = np.concatenate([reorder(half, ours, theirs) for half in both])[None]
        sequence, last = f"{label}/sequence", f"{label}/last"
        if settings.get("go_backwards"):
            source = self._turned(source, f"{label}/turned", label)
        inputs = [
            source,
            *(self.constant(f"{label}/{key}", v) for key, v in zip("WRB", (w, r, b), strict=True)),
        ]
        words = _activations(name, kind, settings, op)
        attributes = {
            "activation_alpha": [self.slope] * len(words), "activation_beta": [0.5] * len(words),
            "layout": 1, "hidden_size": units, "linear_before_reset": int(after),
            "activations": words,
        }  # fmt: skip
        self.nodes.append(Node(op, tuple(inputs), (sequence, last), attributes, label))
        axis = self.constant(
            f"{label}/axis", np.array([2 if settings.get("return_sequences") else 1], np.int64)
        )
        return self.add(
            "Squeeze", [sequence if settings.get("return_sequences") else last, axis], f"{label}/given", label
        )

    def _turned(self, source: str, name: str, label: str) -> str:
        """Add a sequence with its samples in reverse order."""
        return self.add("Flip", [source, self.constant(f"{name}/axis", np.array([1], np.int64))], name, label)

    def _bidirectional(self, name: str, settings: dict[str, Any], source: str, stored: Stored) -> None:
        """https://keras.io/api/layers/recurrent_layers/bidirectional: the second layer runs the other way, its rows are turned back."""
        forward = settings["layer"]
        backward = settings.get("backward_layer") or forward
        merge = settings.get("merge_mode", "concat")
        if merge not in MERGES:
            raise refused(name, "Bidirectional", f"its merge_mode is {merge}; {', '.join(MERGES)} can be")
        given = []
        for way, entry in (("forward", forward), ("backward", backward)):
            kind, own = entry["class_name"], dict(entry["config"])
            if kind not in CELLS:
                raise refused(name, "Bidirectional", f"it wraps a {kind}; {', '.join(CELLS)} can be")
            if way == "backward" and not settings.get("backward_layer"):
                own["go_backwards"] = not own.get("go_backwards")
            arrays = {
                path: array
                for path, array in stored.items()
                if any(
                    part.startswith(f"{way}_") or part == own.get("name")
                    for part in path.split("/")
                    if part != name
                )
            }
            last = self._cell(kind, name, own, source, arrays, f".{way}")
            if way == "backward" and own.get("return_sequences"):
                last = self._turned(last, f"{name}.{way}/aligned", name)
            given.append(last)
        if merge == "concat":
            self.add("Concat", given, name, name, axis=-1)
        elif merge == "mul":
            self.add("Mul", given, name, name)
        else:
            total = self.add("Add", given, f"{name}/total", name)
            share = self.constant(f"{name}/share", np.float32(0.5 if merge == "ave" else 1.0))
            self.add("Mul", [total, share], name, name)

    def _stacked_cells(self, name: str, settings: dict[str, Any], source: str, stored: Stored) -> None:
        cell = settings["cell"]
        cells = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
        counts: dict[str, int] = {}
        for number, entry in enumerate(cells):
            kind = entry["class_name"]
            if kind not in CELLS:
                raise refused(name, "RNN", f"its cell is a {kind}")
            own = stored
            if len(cells) > 1:
                place = f"cell/cells/{counted(kind, counts.get(kind, 0))}/vars/"
                counts[kind] = counts.get(kind, 0) + 1
                own = {path: values for path, values in stored.items() if path.startswith(place)}
                if not own:
                    raise refused(
                        name,
                        "RNN",
                        "the weights of its cells are not told apart in this file: save it as .keras",
                    )
            kept = {**entry["config"], "return_sequences": number < len(cells) - 1 or settings.get("return_sequences"),
                    "go_backwards": settings.get("go_backwards")}  # fmt: skip
            source = self._cell(kind, name, kept, source, own, f".{number}" if len(cells) > 1 else "")
        self.add("Identity", [source], name, name)

    def _dense(self, kind: str, name: str, settings: dict[str, Any], source: str, stored: Stored) -> None:
        if kind == "TimeDistributed":
            inner = settings["layer"]
            if inner["class_name"] != "Dense":
                raise refused(name, kind, f"it holds a {inner['class_name']}; a Dense layer can be converted")
            settings = inner["config"]
        weights = parts(name, kind, stored, bool(settings.get("use_bias", True)), ("kernel", "bias"))
        found = self.add(
            "MatMul", [source, self.constant(f"{name}/kernel", weights["kernel"])], f"{name}/product", name
        )
        if "bias" in weights:
            found = self.add(
                "Add", [found, self.constant(f"{name}/bias", weights["bias"])], f"{name}/sum", name
            )
        activate(self, name, settings.get("activation", "linear"), found, name)


def _from_cudnn(weights: Stored, op: str) -> Stored:
    """Undo the layout of cuDNN's layers of Keras 2.1: every gate's matrices transposed, the biases doubled."""
    gates = len(ORDERS[op][0])
    kernel, recurrent, bias = (weights[key] for key in PARTS)
    inputs = [
        part.reshape(part.shape[::-1]).T
        for part in map(np.ascontiguousarray, np.split(kernel, gates, axis=1))
    ]
    hidden = [part.T for part in np.split(recurrent, gates, axis=1)]
    halves = bias.reshape(2, -1)
    return {
        "kernel": np.concatenate(inputs, axis=1),
        "recurrent_kernel": np.concatenate(hidden, axis=1),
        "bias": halves.sum(axis=0) if op == "LSTM" else halves,
    }


def _activations(name: str, kind: str, settings: dict[str, Any], op: str) -> list[str]:
    inner = word_of(settings.get("activation", "tanh"))
    gate = word_of(settings.get("recurrent_activation", "sigmoid"))
    words = {"LSTM": [gate, inner, inner], "GRU": [gate, inner], "RNN": [inner]}[op]
    return [IN_CELLS.get(word, word) for word in words]


def _histories(value: Any) -> Iterable[str]:
    """Yield the layers that the arguments of a call name, in Keras 3."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"][0]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _histories(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _histories(inner)


def _names(entries: Any) -> list[str]:
    return [entries[0]] if entries and isinstance(entries[0], str) else [entry[0] for entry in entries]
