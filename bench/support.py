"""Which networks convert by which route, tried now: writes docs/support.md.

    python bench/support.py            # needs torch, onnx, onnxscript; Keras rows need keras and h5py
    python bench/support.py Keras      # the section of that name alone; the others stay as they are
    python bench/support.py --tensorflow /path/of/python TensorFlow

Every cell is an export made here, read back, and compared with its own engine; nothing is filled in by hand. The section of
TensorFlow needs an interpreter that has tensorflow, tf_keras and tf2onnx, for tensorflow_exports.py, or `--exports`, a
folder that it has filled before; without either it stays as it is.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from keras import layers as kl
from torch import nn

from edgelstm.errors import EdgeLstmError
from edgelstm_converters import readers

INPUTS, HIDDEN, STEPS = 4, 16, 12
SEQUENCE = {"return_sequences": True}


class Network(nn.Module):
    def __init__(self, recurrent, width, last=False):
        super().__init__()
        self.rnn, self.head, self.last = recurrent, nn.Linear(width, 3), last

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.head(y[:, -1] if self.last else y)


class Convolved(nn.Module):
    """A causal convolution in front of a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.pad, self.conv = nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(INPUTS, 8, 3)
        self.rnn, self.norm = nn.LSTM(8, HIDDEN, batch_first=True), nn.LayerNorm(HIDDEN)
        self.head = nn.Linear(HIDDEN, 3)

    def forward(self, x):
        y = torch.relu(self.conv(self.pad(x.transpose(1, 2)))).transpose(1, 2)
        return self.head(self.norm(self.rnn(y)[0]))


class Loop(nn.Module):
    """A cell in a loop of Python."""

    def __init__(self, cell):
        super().__init__()
        self.cell, self.head = cell, nn.Linear(HIDDEN, 3)

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], HIDDEN)
        rows = []
        for t in range(x.shape[1]):
            if isinstance(self.cell, nn.LSTMCell):
                h, c = self.cell(x[:, t], (h, c))
            else:
                h = self.cell(x[:, t], h)
            rows.append(h)
        return self.head(torch.stack(rows, 1))


class NormalisedCell(nn.Module):
    """An LSTM cell whose gates are each normalised over its units."""

    def __init__(self):
        super().__init__()
        self.both, self.head = nn.Linear(INPUTS + HIDDEN, 4 * HIDDEN), nn.Linear(HIDDEN, 3)
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(4))

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], HIDDEN)
        rows = []
        for t in range(x.shape[1]):
            parts = self.both(torch.cat([x[:, t], h], 1)).chunk(4, 1)
            i, f, g, o = (norm(part) for norm, part in zip(self.norms, parts, strict=True))
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            rows.append(h)
        return self.head(torch.stack(rows, 1))


def past():
    return torch.triu(torch.full((STEPS, STEPS), float("-inf")), 1)


class Asking(nn.Module):
    """Attention of the last output to the last 8, by a product or additive."""

    def __init__(self, additive):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, HIDDEN, batch_first=True), nn.Linear(2 * HIDDEN, 3)
        self.query, self.key, self.score = nn.Linear(HIDDEN, 6), nn.Linear(HIDDEN, 6), nn.Linear(6, 1)
        self.additive = additive

    def forward(self, x):
        y = self.rnn(x)[0]
        query, seen = y[:, -1:], y[:, -8:]
        if self.additive:
            scores = self.score(torch.tanh(self.query(query) + self.key(seen))).transpose(1, 2)
        else:
            scores = query @ seen.transpose(1, 2)
        return self.head(torch.cat([query, torch.softmax(scores, -1) @ seen], -1))[:, 0]


class Pooled(nn.Module):
    """Attention that weighs all outputs of both directions by themselves."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(INPUTS, HIDDEN, batch_first=True, bidirectional=True)
        self.score, self.head = nn.Linear(2 * HIDDEN, 1), nn.Linear(2 * HIDDEN, 3)

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.head((torch.softmax(self.score(y), 1) * y).sum(1))


class Heads(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 3)
        self.attention, self.norm = nn.MultiheadAttention(HIDDEN, 4, batch_first=True), nn.LayerNorm(HIDDEN)
        self.register_buffer("mask", mask)

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.head(self.norm(y + self.attention(y, y, y, attn_mask=self.mask, need_weights=False)[0]))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, HIDDEN, batch_first=True), nn.Linear(HIDDEN, 3)
        layer = nn.TransformerEncoderLayer(HIDDEN, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("mask", past())

    def forward(self, x):
        return self.head(self.encoder(self.rnn(x)[0], mask=self.mask, is_causal=True))


class Strided(nn.Module):
    """A convolution with an output at every second sample in front of a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.rnn = nn.Conv1d(INPUTS, 8, 3, stride=2), nn.LSTM(8, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 3)

    def forward(self, x):
        y = self.conv(nn.functional.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)
        return self.head(self.rnn(y)[0])


class Seldom(nn.Module):
    """A convolution that is padded on both sides, and a pool of two samples, in front of a recurrent layer; the last step."""

    def __init__(self):
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(INPUTS, 8, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2))
        self.rnn, self.head = (
            nn.LSTM(8, HIDDEN, batch_first=True),
            nn.Sequential(nn.Linear(HIDDEN, 12), nn.GELU(), nn.Linear(12, 3)),
        )

    def forward(self, x):
        return self.head(self.rnn(self.front(x.transpose(1, 2)).transpose(1, 2))[0][:, -1])


FIRST = {"batch_first": True}
TORCH = {
    "LSTM": lambda: Network(nn.LSTM(INPUTS, HIDDEN, **FIRST), HIDDEN),
    "LSTM, 3 layers": lambda: Network(nn.LSTM(INPUTS, HIDDEN, 3, **FIRST), HIDDEN),
    "LSTM, 128 units": lambda: Network(nn.LSTM(INPUTS, 128, **FIRST), 128),
    "LSTM without bias": lambda: Network(nn.LSTM(INPUTS, HIDDEN, bias=False, **FIRST), HIDDEN),
    "LSTM, last step": lambda: Network(nn.LSTM(INPUTS, HIDDEN, **FIRST), HIDDEN, last=True),
    "LSTM, projected": lambda: Network(nn.LSTM(INPUTS, 32, proj_size=HIDDEN, **FIRST), HIDDEN),
    "LSTM, bidirectional": lambda: Network(nn.LSTM(INPUTS, HIDDEN, bidirectional=True, **FIRST), 2 * HIDDEN),
    "GRU, 2 layers": lambda: Network(nn.GRU(INPUTS, HIDDEN, 2, **FIRST), HIDDEN),
    "RNN, tanh": lambda: Network(nn.RNN(INPUTS, HIDDEN, **FIRST), HIDDEN),
    "RNN, relu": lambda: Network(nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", **FIRST), HIDDEN),
    "GRU, bidirectional": lambda: Network(nn.GRU(INPUTS, HIDDEN, bidirectional=True, **FIRST), 2 * HIDDEN),
    "convolution, LSTM, layer norm": Convolved,
    "convolution of stride 2, LSTM": Strided,
    "padded convolution, pool, LSTM, GELU": Seldom,
    "LSTM, attention (product)": lambda: Asking(False),
    "LSTM, attention (additive)": lambda: Asking(True),
    "LSTM both ways, attention pooling": Pooled,
    "LSTM, 4 heads, causal": lambda: Heads(past()),
    "LSTM, 4 heads, not masked": lambda: Heads(None),
    "LSTM, 2 encoder layers, causal": Encoder,
    "LSTMCell in a loop": lambda: Loop(nn.LSTMCell(INPUTS, HIDDEN)),
    "GRUCell in a loop": lambda: Loop(nn.GRUCell(INPUTS, HIDDEN)),
    "LSTM of normalised gates in a loop": NormalisedCell,
}
KERAS = {
    "LSTM": lambda: [kl.LSTM(HIDDEN, **SEQUENCE)],
    "LSTM, last step": lambda: [kl.LSTM(HIDDEN)],
    "LSTM, relu": lambda: [kl.LSTM(HIDDEN, activation="relu", **SEQUENCE)],
    "LSTM, hard_sigmoid": lambda: [kl.LSTM(HIDDEN, recurrent_activation="hard_sigmoid", **SEQUENCE)],
    "LSTM, stateful": lambda: [kl.LSTM(HIDDEN, stateful=True, **SEQUENCE)],
    "LSTM, bidirectional": lambda: [kl.Bidirectional(kl.LSTM(HIDDEN, **SEQUENCE))],
    "GRU, bidirectional, mean": lambda: [kl.Bidirectional(kl.GRU(HIDDEN, **SEQUENCE), merge_mode="ave")],
    "LSTM, masked": lambda: [kl.Masking(), kl.LSTM(HIDDEN, **SEQUENCE)],
    "GRU, reset after": lambda: [kl.GRU(HIDDEN, **SEQUENCE)],
    "GRU, reset before": lambda: [kl.GRU(HIDDEN, reset_after=False, **SEQUENCE)],
    "SimpleRNN": lambda: [kl.SimpleRNN(HIDDEN, **SEQUENCE)],
    "batch normalisation": lambda: [kl.BatchNormalization(), kl.LSTM(HIDDEN, **SEQUENCE)],
    "layer normalisation": lambda: [kl.LSTM(HIDDEN, **SEQUENCE), kl.LayerNormalization()],
    "causal convolution": lambda: [
        kl.Conv1D(8, 3, padding="causal", activation="relu"),
        kl.LSTM(HIDDEN, **SEQUENCE),
    ],
    "padded convolution, pool, LSTM, GELU": lambda: [
        kl.Conv1D(8, 3, padding="same", activation="relu"),
        kl.MaxPooling1D(2),
        kl.LSTM(HIDDEN),
        kl.Dense(12, activation="gelu"),
    ],
    "ConvLSTM": lambda: [
        kl.Reshape((STEPS, 2, INPUTS // 2, 1)),
        kl.ConvLSTM2D(4, 3, padding="same", **SEQUENCE),
        kl.TimeDistributed(kl.Flatten()),
    ],
    "autoencoder of windows": lambda: [
        kl.LSTM(HIDDEN),
        kl.RepeatVector(STEPS),
        kl.LSTM(HIDDEN, **SEQUENCE),
    ],
    "LSTM, mean over the window": lambda: [kl.LSTM(HIDDEN, **SEQUENCE), kl.GlobalAveragePooling1D()],
    "LSTM, flattened window": lambda: [kl.LSTM(HIDDEN, **SEQUENCE), kl.Flatten()],
    "convolution over a grid": lambda: [
        kl.Reshape((STEPS, 2, INPUTS // 2, 1)),
        kl.TimeDistributed(kl.Conv2D(4, 2, activation="relu")),
        kl.TimeDistributed(kl.Flatten()),
        kl.LSTM(HIDDEN, **SEQUENCE),
    ],
    "a model in a model": lambda: [keras.Sequential([keras.Input((STEPS, INPUTS)), kl.LSTM(HIDDEN)])],
    "stacked cells": lambda: [kl.RNN(kl.StackedRNNCells([kl.LSTMCell(HIDDEN), kl.GRUCell(8)]), **SEQUENCE)],
}


def onnx_of(network, path, **options):
    torch.onnx.export(network, (torch.zeros(1, STEPS, INPUTS),), path, **options)
    return path


def program_of(network, path):
    torch.export.save(torch.export.export(network, (torch.zeros(1, STEPS, INPUTS),)), path)
    return path


def weights_of(network, path):
    torch.save(network.state_dict(), path)
    return path


TORCH_ROUTES = {
    "module": lambda network, folder: network,
    "state_dict": lambda network, folder: weights_of(network, folder / "m.pt"),
    ".pt2": lambda network, folder: program_of(network, folder / "m.pt2"),
    "ONNX 11": lambda network, folder: onnx_of(network, folder / "a.onnx", dynamo=False, opset_version=11),
    "ONNX 17": lambda network, folder: onnx_of(network, folder / "b.onnx", dynamo=False, opset_version=17),
    "ONNX, dynamo": lambda network, folder: onnx_of(network, folder / "c.onnx", dynamo=True),
    "dynamo, 23": lambda network, folder: onnx_of(network, folder / "d.onnx", dynamo=True, opset_version=23),
}


def keras_saved(made, path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((STEPS, INPUTS), batch_size=1), *made(), kl.Dense(3)])
    model.save(path)
    return path


def outcome(make, trained=None):
    """Return what became of a route, and why where it was refused; `trained` is the network, for files that do not say how it is run."""
    try:
        source = make()
    except Exception as exc:
        return "no export", f"the exporter fails: {str(exc).strip().splitlines()[0][:110]}"
    try:
        reading = readers.read(source)
        if reading.proof.startswith("not proved"):
            same = trained is None or gives_the_same(reading.model, trained)
            return "read" if same else "read as another network", ""
        in_int8 = re.search(r"in int8: within (\d+ dB)", reading.proof)
        return in_int8[1] if in_int8 else "proved", ""
    except EdgeLstmError as exc:
        text = str(exc)
        return "refused", text.split(": ", 1)[-1] if text.startswith(os.sep) else text


def gives_the_same(model, trained):
    x = torch.randn(1, STEPS, INPUTS)
    with torch.no_grad():
        expected = trained(x).reshape(-1, 3).numpy()
    return np.allclose(model.run(x[0].numpy())[-len(expected) :], expected, rtol=0, atol=1e-5)


def table(rows, routes, outcome_of):
    """Yield the lines of a table; `outcome_of` gives a word and a reason for the value of a row and a route."""
    reasons = {}
    yield "| | " + " | ".join(routes) + " |"
    yield "|---" * (len(routes) + 1) + "|"
    for name, network in rows.items():
        cells = []
        for route in routes:
            word, why = outcome_of(network, route)
            if why:
                number = reasons.setdefault(why.replace("|", "/"), len(reasons) + 1)
                word = f"{word} ({number})"
            cells.append(word)
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    for why, number in reasons.items():
        yield f"{number}. {why}"


def exported(make):
    """Return what becomes of exports that `make` writes to a folder."""

    def found(network, route):
        with tempfile.TemporaryDirectory() as folder:
            return outcome(lambda: make(network, route, Path(folder)))

    return found


def of_torch():
    torch.manual_seed(0)

    def found(network, route):
        trained = network().eval()
        with tempfile.TemporaryDirectory() as folder:
            return outcome(lambda: TORCH_ROUTES[route](trained, Path(folder)), trained)

    yield from table(TORCH, TORCH_ROUTES, found)


def of_keras():
    formats = {".keras": "m.keras", ".h5": "m.h5"}
    yield from table(
        KERAS, formats, exported(lambda made, route, folder: keras_saved(made, folder / formats[route]))
    )


def of_tensorflow(folder):
    """Tables of the exports in a folder, one for each version of Keras."""
    exports = [json.loads(line) for line in (folder / "exports.jsonl").read_text().splitlines()]
    versions = json.loads((folder / "versions.json").read_text())
    yield f"With {', '.join(f'{name} {version}' for name, version in versions.items())}: exports of `bench/tensorflow_exports.py`, batches of one."
    yield "*n dB*: what the engine computes in int8 itself, in float32, is so close to it."
    for keras_version in dict.fromkeys(each["keras"] for each in exports):
        own = [each for each in exports if each["keras"] == keras_version]
        found = {(each["network"], each["route"]): each for each in own}
        yield from ("", f"### {keras_version}", "")
        routes = dict.fromkeys(each["route"] for each in own)
        names = {each["network"]: each["network"] for each in own}
        names = {name: name for name in names if all((name, route) in found for route in routes)}
        yield from table(
            names, routes, lambda network, route, of=found: read_back(folder, of[network, route])
        )


def read_back(folder, export):
    if export["why"]:
        return "no export", export["why"]
    return outcome(lambda: folder / export["file"])


def written(sections, before):
    """Return the page, with the sections that are given, and of the page `before` the others."""
    intro = [
        "# What converts",
        "",
        f"Written by `python bench/support.py`, with torch {torch.__version__.split('+')[0]} and keras {keras.__version__}: each cell is an export",
        "made then, read back, and compared with its own engine. *proved*: within 10⁻⁵; *read*: it does not say how it is run, which is compared here with the network",
        "it was saved from; *refused*: with the reason below the table; *no export*: the exporter itself fails. For ONNX's own operators see the cases in",
        "`tests/conformance/`.",
    ]
    parts = re.split(r"^## (.*)\n\n", before, flags=re.M)
    kept = {title: text.rstrip("\n") for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    bodies = {**kept, **sections}
    return "\n".join(intro) + "".join(
        f"\n\n## {title}\n\n{bodies[title]}" for title in TITLES if title in bodies
    )


TITLES = ("PyTorch", "Keras 3", "TensorFlow")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tensorflow", help="an interpreter that has tensorflow, tf_keras and tf2onnx")
    parser.add_argument("--exports", type=Path, help="a folder that tensorflow_exports.py has filled")
    parser.add_argument(
        "sections", nargs="*", help="beginnings of the titles of sections to make; default: all"
    )
    args = parser.parse_args()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    wanted = [title for title in TITLES if not args.sections or title.startswith(tuple(args.sections))]
    makers = {"PyTorch": of_torch, "Keras 3": of_keras}
    target = Path(__file__).parents[1] / "docs" / "support.md"
    sections = {}
    with tempfile.TemporaryDirectory() as folder:
        if "TensorFlow" in wanted and args.tensorflow:
            script = Path(__file__).with_name("tensorflow_exports.py")
            subprocess.run([args.tensorflow, str(script), folder], check=True)
        exports = args.exports or (Path(folder) if args.tensorflow else None)
        if exports is not None:
            makers["TensorFlow"] = lambda: of_tensorflow(exports)
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for title in wanted:
                if title in makers:
                    sections[title] = "\n".join(makers[title]()).rstrip("\n")
    target.write_text(written(sections, target.read_text()) + "\n")
    print(f"wrote {target}: {', '.join(sections)}", file=sys.stderr)


if __name__ == "__main__":
    main()
