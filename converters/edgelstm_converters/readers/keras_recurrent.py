"""Recurrent layers of Keras as operators (https://keras.io/api/layers/recurrent_layers)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.gate_order import reorder
from edgelstm_converters.readers.keras_file import Scope, Stored, counted
from edgelstm_converters.readers.keras_layers import ACTIVATIONS, Builder, Settings, parts, refused, word_of

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


def recurrent(
    build: Builder, kind: str, name: str, settings: Settings, source: str, scope: Scope
) -> list[str]:
    """Add a recurrent layer; return the names of what it gives: itself, and its states where it gives them."""
    if kind == "Bidirectional":
        return [_bidirectional(build, name, settings, source, scope.weights)]
    if kind == "RNN":
        return [_stacked_cells(build, name, settings, source, scope.weights)]
    found = _cell(build, kind, name, settings, source, scope.weights)
    given = [build.add("Identity", [found], name, name)]
    if settings.get("return_state"):
        states = ("last", "memory") if CELLS[kind] == "LSTM" else ("last",)
        axis = build.constant(f"{name}/direction", np.array([1], np.int64))
        given += [
            build.add("Squeeze", [f"{name}/{state}", axis], f"{name}/given {state}", name) for state in states
        ]
    return given


def turned(build: Builder, source: str, name: str, label: str) -> str:
    """Add a sequence with its samples in reverse order."""
    return build.add("Flip", [source, build.constant(f"{name}/axis", np.array([1], np.int64))], name, label)


def _cell(
    build: Builder, kind: str, name: str, settings: Settings, source: str, stored: Stored, part: str = ""
) -> str:
    """Add a recurrent node; return the name of its sequence, (batch, time, units), or of its last step."""
    if settings.get("time_major"):
        raise refused(name, kind, "it reads time before batch")
    op, label = CELLS[kind], name + part
    weights = parts(name, kind, stored, bool(settings.get("use_bias", True)), PARTS)
    if kind.startswith("CuDNN"):
        weights = _from_cudnn(weights, op)
    w, r, b, after = _matrices(name, kind, settings, weights)
    if settings.get("go_backwards"):
        source = turned(build, source, f"{label}/turned", label)
    inputs = [source, *(build.constant(f"{label}/{key}", v) for key, v in zip("WRB", (w, r, b), strict=True))]
    words = _activations(settings, op)
    given = [f"{label}/{output}" for output in ("sequence", "last", "memory")]
    build.node(
        op, inputs, given, label, activation_alpha=[build.slope] * len(words), activation_beta=[0.5] * len(words),
        layout=1, hidden_size=r.shape[2], linear_before_reset=int(after), activations=words,
    )  # fmt: skip
    sequence = bool(settings.get("return_sequences"))
    axis = build.constant(f"{label}/axis", np.array([2 if sequence else 1], np.int64))
    return build.add("Squeeze", [given[0 if sequence else 1], axis], f"{label}/given", label)


def _matrices(name: str, kind: str, settings: Settings, weights: Stored) -> tuple[Any, Any, Any, bool]:
    """Return W, R and B as ONNX has them, and whether a GRU resets after the product."""
    kernel, recurrent_kernel, bias = weights["kernel"], weights["recurrent_kernel"], weights.get("bias")
    op = CELLS[kind]
    units, (ours, theirs) = recurrent_kernel.shape[0], ORDERS[op]
    rows = len(ours) * units
    if kernel.ndim != 2 or kernel.shape[1] != rows or recurrent_kernel.shape != (units, rows):
        shapes = f"{kernel.shape} and {recurrent_kernel.shape}"
        raise refused(name, kind, f"its weights have shapes {shapes}, which do not fit")
    said = bool(settings.get("reset_after", kind == "CuDNNGRU"))
    after = op == "GRU" and (said if bias is None else bias.ndim == 2 and len(bias) == 2)
    both = np.zeros((2, rows), np.float32)
    if bias is not None:
        if bias.size not in (rows, 2 * rows) or (bias.size == 2 * rows) != after:
            raise refused(name, kind, f"its bias has shape {bias.shape}, which does not fit {units} units")
        both[: 2 if after else 1] = bias.reshape(-1, rows)
    w, r = (reorder(np.ascontiguousarray(m.T), ours, theirs)[None] for m in (kernel, recurrent_kernel))
    return w, r, np.concatenate([reorder(half, ours, theirs) for half in both])[None], after


def _bidirectional(build: Builder, name: str, settings: Settings, source: str, stored: Stored) -> str:
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
        if own.get("return_state"):
            raise refused(name, "Bidirectional", "it gives its states as outputs")
        if way == "backward" and not settings.get("backward_layer"):
            own["go_backwards"] = not own.get("go_backwards")
        arrays = {
            path: array
            for path, array in stored.items()
            if any(
                part.startswith(f"{way}_") or part == own.get("name")
                for part in path.split("/")
                if part != name.rsplit("/", 1)[-1]
            )
        }
        last = _cell(build, kind, name, own, source, arrays, f".{way}")
        if way == "backward" and own.get("return_sequences"):
            last = turned(build, last, f"{name}.{way}/aligned", name)
        given.append(last)
    if merge == "concat":
        return build.add("Concat", given, name, name, axis=-1)
    if merge == "mul":
        return build.add("Mul", given, name, name)
    total = build.add("Add", given, f"{name}/total", name)
    share = build.constant(f"{name}/share", np.float32(0.5 if merge == "ave" else 1.0))
    return build.add("Mul", [total, share], name, name)


def _stacked_cells(build: Builder, name: str, settings: Settings, source: str, stored: Stored) -> str:
    if settings.get("return_state"):
        raise refused(name, "RNN", "it gives the states of its cells as outputs")
    cell = settings["cell"]
    cells = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
    arrays = _weights_of_cells(name, cells, stored)
    for number, (entry, own) in enumerate(zip(cells, arrays, strict=True)):
        kept = {**entry["config"], "return_sequences": number < len(cells) - 1 or settings.get("return_sequences"),
                "go_backwards": settings.get("go_backwards") and number == 0}  # fmt: skip
        part = f".{number}" if len(cells) > 1 else ""
        source = _cell(build, entry["class_name"], name, kept, source, own, part)
    return build.add("Identity", [source], name, name)


def _weights_of_cells(name: str, cells: list[Settings], stored: Stored) -> list[Stored]:
    """Return the weights of each cell: by its class and number in .keras, by its name in .h5."""
    counts: dict[str, int] = {}
    found = []
    names = [entry["config"].get("name") for entry in cells]
    for entry in cells:
        kind = entry["class_name"]
        if kind not in CELLS:
            raise refused(name, "RNN", f"its cell is a {kind}")
        place = f"cell/cells/{counted(kind, counts.get(kind, 0))}/vars/"
        counts[kind] = counts.get(kind, 0) + 1
        own = {path: values for path, values in stored.items() if path.startswith(place)}
        named = entry["config"].get("name")
        if not own and names.count(named) == 1:
            own = {path: values for path, values in stored.items() if named in path.split("/")[:-1]}
        found.append(stored if len(cells) == 1 else own)
    if not all(found):
        raise refused(
            name, "RNN", "the weights of its cells are not told apart in this file: save it as .keras"
        )
    return found


def _from_cudnn(weights: Stored, op: str) -> Stored:
    """Undo the layout of cuDNN's layers of Keras 2.1: every gate's matrices transposed, the biases doubled."""
    gates = len(ORDERS[op][0])
    kernel, recurrent_kernel, bias = (weights[key] for key in PARTS)
    inputs = [
        part.reshape(part.shape[::-1]).T
        for part in map(np.ascontiguousarray, np.split(kernel, gates, axis=1))
    ]
    hidden = [part.T for part in np.split(recurrent_kernel, gates, axis=1)]
    halves = bias.reshape(2, -1)
    return {
        "kernel": np.concatenate(inputs, axis=1),
        "recurrent_kernel": np.concatenate(hidden, axis=1),
        "bias": halves.sum(axis=0) if op == "LSTM" else halves,
    }


def _activations(settings: Settings, op: str) -> list[str]:
    inner = word_of(settings.get("activation", "tanh"))
    gate = word_of(settings.get("recurrent_activation", "sigmoid"))
    words = {"LSTM": [gate, inner, inner], "GRU": [gate, inner], "RNN": [inner]}[op]
    return [IN_CELLS.get(word, word) for word in words]
