"""Networks of PyTorch with attention, by every way out of PyTorch: one attention layer each, proved by the source's engine."""

import contextlib
import logging
import math
import re
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytestmark = [pytest.mark.torch, pytest.mark.slow]

from torch import nn  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from edgelstm_converters.execution import Execution  # noqa: E402

INPUTS, H, T = 4, 8, 12


def past(steps=T):
    return torch.triu(torch.full((steps, steps), float("-inf")), 1)


class Luong(nn.Module):
    """The last output asks, the last 8 answer."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, H, batch_first=True), nn.Linear(2 * H, 3)

    def forward(self, x):
        y = self.rnn(x)[0]
        query, seen = y[:, -1:], y[:, -8:]
        weights = torch.softmax(query @ seen.transpose(1, 2), -1)
        return self.head(torch.cat([query, weights @ seen], -1))[:, 0]


class Bahdanau(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, H, batch_first=True), nn.Linear(2 * H, 3)
        self.query, self.key, self.score = nn.Linear(H, 6), nn.Linear(H, 6), nn.Linear(6, 1)

    def forward(self, x):
        y = self.rnn(x)[0]
        query, seen = y[:, -1:], y[:, -8:]
        weights = torch.softmax(self.score(torch.tanh(self.query(query) + self.key(seen))), 1)
        return self.head(torch.cat([query[:, 0], (weights * seen).sum(1)], -1))


class Pooled(nn.Module):
    """What is read of a whole window, forward and backward."""

    def __init__(self, bidirectional):
        super().__init__()
        self.rnn = nn.LSTM(INPUTS, H, batch_first=True, bidirectional=bidirectional)
        width = H * (1 + bidirectional)
        self.hidden, self.score, self.head = nn.Linear(width, 6), nn.Linear(6, 1), nn.Linear(width, 3)

    def forward(self, x):
        y = self.rnn(x)[0]
        weights = torch.softmax(self.score(torch.tanh(self.hidden(y))), 1)
        return self.head((weights * y).sum(1))


class Heads(nn.Module):
    def __init__(self, mask, last=False):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, H, batch_first=True), nn.Linear(H, 3)
        self.attention, self.norm, self.last = (
            nn.MultiheadAttention(H, 2, batch_first=True),
            nn.LayerNorm(H),
            last,
        )
        self.register_buffer("mask", mask)

    def forward(self, x):
        y = self.rnn(x)[0]
        z = self.attention(y, y, y, attn_mask=self.mask, need_weights=False)[0]
        z = self.head(self.norm(y + z))
        return z[:, -1] if self.last else z


class Alone(nn.Module):
    """Attention with nothing in front that remembers, normalised first, of which the last row is read."""

    def __init__(self):
        super().__init__()
        self.front, self.norm, self.head = nn.Linear(INPUTS, H), nn.LayerNorm(H), nn.Linear(H, 3)
        self.attention = nn.MultiheadAttention(H, 2, batch_first=True)

    def forward(self, x):
        y = self.front(x)
        z = self.norm(y)
        return self.head((y + self.attention(z, z, z, need_weights=False)[0])[:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(INPUTS, H, batch_first=True), nn.Linear(H, 3)
        layer = nn.TransformerEncoderLayer(H, 2, 16, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("mask", past())

    def forward(self, x):
        return self.head(self.encoder(self.rnn(x)[0], mask=self.mask, is_causal=True))


class Scaled(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.rnn, self.packed, self.head = (
            nn.LSTM(INPUTS, H, batch_first=True),
            nn.Linear(H, 3 * H),
            nn.Linear(H, 3),
        )
        self.options = options

    def forward(self, x):
        y = self.rnn(x)[0]
        parts = self.packed(y).view(len(x), x.shape[1], 3, 2, H // 2).permute(2, 0, 3, 1, 4)
        z = nn.functional.scaled_dot_product_attention(*parts, **self.options)
        return self.head(z.transpose(1, 2).reshape(len(x), x.shape[1], H))


class Spelled(nn.Module):
    """Attention in front of the recurrent layer."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(5, H, batch_first=True), nn.Linear(H, 3)
        self.query, self.key, self.value = nn.Linear(INPUTS, 6), nn.Linear(INPUTS, 6), nn.Linear(INPUTS, 5)
        self.register_buffer("mask", torch.tril(torch.ones(T, T)))

    def forward(self, x):
        scores = self.query(x) @ self.key(x).transpose(1, 2) / math.sqrt(6)
        weights = torch.softmax(scores.masked_fill(self.mask == 0, -1e9), -1)
        return self.head(self.rnn(weights @ self.value(x))[0])


NETWORKS = {
    "Luong": Luong,
    "Bahdanau": Bahdanau,
    "pooled": lambda: Pooled(False),
    "pooled, bidirectional": lambda: Pooled(True),
    "heads, causal": lambda: Heads(past()),
    "heads, the last 5": lambda: Heads(past() + torch.tril(torch.full((T, T), float("-inf")), -5)),
    "heads, last row": lambda: Heads(None, last=True),
    "attention alone, last row": Alone,
    "encoder": Encoder,
    "scaled, causal": lambda: Scaled(is_causal=True),
    "scaled, masked": lambda: Scaled(attn_mask=torch.tril(torch.ones(T, T, dtype=torch.bool))),
    "spelled": Spelled,
}
WAYS = {
    "ONNX 11": {"dynamo": False, "opset_version": 11},
    "ONNX 17": {"dynamo": False, "opset_version": 17},
    "dynamo": {"dynamo": True},
    "dynamo 23": {"dynamo": True, "opset_version": 23},
    "pt2": None,
}


def written(network, folder, way):
    """Return the path of an export; skips what the exporter does not write in this opset."""
    x = (torch.zeros(1, T, INPUTS),)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    path = folder / ("m.pt2" if way == "pt2" else "m.onnx")
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        if way == "pt2":
            torch.export.save(torch.export.export(network.eval(), x), path)
            return path
        try:
            torch.onnx.export(network.eval(), x, path, verbose=False, **WAYS[way])
        except torch.onnx.errors.UnsupportedOperatorError as exc:
            pytest.skip(f"the exporter fails: {str(exc).splitlines()[0]}")
    return path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_attention_is_one_layer_whichever_way_it_comes(tmp_path, name, way):
    torch.manual_seed(0)
    reading = readers.read(written(NETWORKS[name](), tmp_path, way))
    windows = [layer.window for layer in reading.model.layers if layer.kind == "attention"]
    expected = {"Luong": [8], "Bahdanau": [8], "heads, the last 5": [5], "encoder": [T, T]}
    assert windows == expected.get(name, [T])
    assert float(re.search(r"within ([\d.e+-]+)", reading.proof).group(1)) <= 1e-6


@pytest.mark.parametrize("name", ["pooled, bidirectional", "encoder"])
def test_attention_runs_in_int8_over_windows(tmp_path, name):
    torch.manual_seed(0)
    path = written(NETWORKS[name](), tmp_path, "dynamo")
    samples = np.random.default_rng(0).normal(0, 1, (400, INPUTS)).astype(np.float32)
    execution = Execution(window=T, lookahead=0)
    found = convert_with_report(path, calibration=samples, execution=execution)
    assert found.model.provenance.output_snr_db > 30.0


class Unmasked(nn.Module):
    """An encoder whose rows see all samples; what follows the attention is of all rows, or of the last one."""

    def __init__(self, layers, cut):
        super().__init__()
        self.front, self.head, self.cut = nn.Linear(INPUTS, H), nn.Linear(H, 3), cut
        layer = nn.TransformerEncoderLayer(H, 2, 16, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x):
        y = self.front(x)
        if not self.cut:
            return self.head(self.encoder(y)[:, -1])
        layer = self.encoder.layers[0]
        z = layer.norm1(y)
        y = (y + layer.self_attn(z, z, z, need_weights=False)[0])[:, -1]
        return self.head(y + layer.linear2(torch.relu(layer.linear1(layer.norm2(y)))))


@pytest.mark.parametrize(
    ("layers", "reason"), [(1, "cut it to the last row right behind the attention"), (2, "as behind a layer without a mask")]
)  # fmt: skip
def test_an_encoder_without_a_mask_is_refused_for_what_stops_it(tmp_path, layers, reason):
    with pytest.raises(ConversionError, match=reason):
        readers.read(written(Unmasked(layers, False), tmp_path, "ONNX 17"))


def test_an_encoder_that_is_cut_behind_its_attention_converts(tmp_path):
    torch.manual_seed(0)
    reading = readers.read(written(Unmasked(1, True), tmp_path, "ONNX 17"))
    assert [layer.kind for layer in reading.model.layers].count("attention") == 1
    assert "within" in reading.proof
