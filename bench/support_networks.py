"""The networks whose exports docs/support.md tells of, as people write them in PyTorch and in Keras: made by support.py."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch
from keras import layers as kl
from torch import nn

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
