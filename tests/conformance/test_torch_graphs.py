"""Networks of PyTorch that are more than cells and dense layers, exported to ONNX both ways: layers are found, or refused by node."""

import contextlib
import logging
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report  # noqa: E402

INPUTS, H, T = 4, 8, 12


class Convolved(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv1d(INPUTS, 6, 5), nn.Conv1d(6, 6, 3, dilation=2, groups=2)
        self.rnn, self.head = nn.GRU(6, H, batch_first=True), nn.Linear(H, 3)

    def forward(self, x):
        y = torch.relu(self.first(nn.functional.pad(x.transpose(1, 2), (4, 0))))
        y = self.second(nn.functional.pad(y, (4, 0))).transpose(1, 2)
        return self.head(self.rnn(y)[0])


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.norm, self.head = (
            nn.LSTM(INPUTS, H, batch_first=True),
            nn.LayerNorm(H),
            nn.Linear(H, 3),
        )

    def forward(self, x):
        return torch.softmax(self.head(self.norm(self.rnn(x)[0])), dim=-1)


class Chosen(nn.Module):
    """A word at a time."""

    def __init__(self):
        super().__init__()
        self.table, self.rnn, self.head = (
            nn.Embedding(20, 6),
            nn.LSTM(6, H, batch_first=True),
            nn.Linear(H, 3),
        )

    def forward(self, x):
        return self.head(self.rnn(self.table(x))[0])


class Spelled(nn.Module):
    """Pre- and post-normalisation around a residual connection; in opset 11 there is no operator for either norm."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LSTM(INPUTS, H, batch_first=True), nn.LSTM(H, H, batch_first=True)
        self.before, self.behind, self.head = nn.LayerNorm(H), nn.LayerNorm(H), nn.Linear(H, 3)

    def forward(self, x):
        y = self.first(x)[0]
        y = y + self.second(self.before(y))[0]
        return self.head(nn.functional.normalize(self.behind(y), dim=-1))


class NormalisedGates(nn.Module):
    """An LSTM written out, each of whose gates has a LayerNorm of its own; `joint`: one for the rows of all, which no layer here is."""

    def __init__(self, joint=False):
        super().__init__()
        self.both, self.joint, self.head = nn.Linear(INPUTS + H, 4 * H), joint, nn.Linear(H, 3)
        self.norms = nn.ModuleList(nn.LayerNorm(4 * H if joint else H, 1e-3) for _ in range(4))
        for norm in self.norms:
            nn.init.normal_(norm.weight, 1.0, 0.3)
            nn.init.normal_(norm.bias, 0.0, 0.5)

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], H)
        rows = []
        for t in range(x.shape[1]):
            z = self.both(torch.cat([x[:, t], h], 1))
            if self.joint:
                f, i, o, g = self.norms[0](z).chunk(4, 1)
            else:
                f, i, o, g = (norm(part) for norm, part in zip(self.norms, z.chunk(4, 1), strict=True))
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            rows.append(h)
        return self.head(torch.stack(rows, 1))


NETWORKS = {
    "normalised gates": (NormalisedGates, ["lstm", "dense"]),
    "normalised gates, spelled": (NormalisedGates, ["lstm", "dense"]),
    "convolved": (Convolved, ["conv1d", "conv1d", "gru", "dense"]),
    "normalised": (Normalised, ["lstm", "normalization", "dense"]),
    "spelled": (Spelled, ["lstm", "normalization", "lstm", "add", "normalization", "normalization", "dense"]),
    "chosen": (Chosen, ["embedding", "lstm", "dense"]),
}


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_other_layers(name, dynamo, tmp_path):
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(0)
    made, kinds = NETWORKS[name]
    network, path = made().eval(), tmp_path / "m.onnx"
    sample = torch.zeros(1, T, dtype=torch.long) if name == "chosen" else torch.zeros(1, T, INPUTS)
    with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        warnings.simplefilter("ignore")
        options = {} if dynamo else {"opset_version": 11 if "spelled" in name else 17}
        torch.onnx.export(network, (sample,), path, dynamo=dynamo, **options)
    rng = np.random.default_rng(1)
    words = rng.integers(0, 20, (300, 1))
    x = (words if name == "chosen" else rng.normal(0, 1, (300, INPUTS))).astype(np.float32)
    found = convert_with_report(path, calibration=x)
    assert "within" in found.proof
    assert [layer.kind for layer in found.float_model.layers if layer.kind != "affine"] == kinds
    fed = torch.from_numpy(words[None, :, 0] if name == "chosen" else x[None])
    with torch.no_grad():
        exact = network(fed)[0].numpy()
    np.testing.assert_allclose(found.float_model.run(x), exact, rtol=0, atol=1e-5)
    y = LoadedModel(found.model).stream().run(x)
    assert np.sqrt(np.square(y - exact).mean()) < 0.02 * exact.std()


def test_gates_that_are_normalised_together_are_refused(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "m.onnx"
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        torch.onnx.export(NormalisedGates(True).eval(), (torch.zeros(1, T, INPUTS),), path, dynamo=False)
    with pytest.raises(ConversionError, match=r'm\.onnx: the cell ".*" normalises several gates together'):
        convert_with_report(
            path, calibration=np.random.default_rng(1).normal(0, 1, (300, INPUTS)).astype(np.float32)
        )
