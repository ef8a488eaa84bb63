"""Bidirectional networks of PyTorch, live, as weights and in a graph: run over windows, with the numbers that PyTorch gives."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402
from torch_cases import HIDDEN, INPUTS, export  # noqa: E402

import edgelstm_converters  # noqa: E402
from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402


class Both(nn.Module):
    """Two bidirectional layers and a head."""

    def __init__(self, cell):
        super().__init__()
        self.rnn = cell(INPUTS, HIDDEN, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * HIDDEN, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_a_bidirectional_network_runs_over_windows(cell, tmp_path):
    """Float: what torch gives for every window, at the row that the look-ahead says. Int8: close to it, and so late."""
    torch.manual_seed(0)
    network, length, lookahead = Both(cell).eval(), 12, 4
    torch.save(network.state_dict(), tmp_path / "both.pt")
    x = np.random.default_rng(3).normal(0, 1, (400, INPUTS)).astype(np.float32)
    with pytest.raises(
        ConversionError, match=r'"rnn_0_reverse" is bidirectional, .* say --window N, .*--lookahead N'
    ):
        edgelstm_converters.convert(network, calibration=x)
    execution = edgelstm_converters.Execution(window=length, lookahead=lookahead)
    windows = np.lib.stride_tricks.sliding_window_view(x, length, axis=0).transpose(0, 2, 1).copy()
    with torch.no_grad():
        exact = network(torch.from_numpy(windows))[:, length - 1 - lookahead].numpy()
    for source in (network, tmp_path / "both.pt"):
        conversion = edgelstm_converters.convert_with_report(source, calibration=x, execution=execution)
        assert re.search("torch(: within| gives the same for these layers, within)", conversion.proof)
        np.testing.assert_allclose(conversion.float_model.run(x)[length - 1 :], exact, rtol=0, atol=1e-5)
        loaded = LoadedModel(conversion.model)
        found = loaded.stream().run(x)[length - 1 :]
        assert np.sqrt(np.square(found - exact).mean()) < 0.02 * exact.std()
        assert loaded.model.latency == lookahead


class Ends(Both):
    """One result for a whole window: what both directions of both layers end with."""

    def forward(self, x):
        hidden = self.rnn(x)[1][0]
        return self.head(torch.cat([hidden[2], hidden[3]], 1))


class FirstAndLast(Both):
    """The same, as many people write it."""

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.head(torch.cat([y[:, -1, :HIDDEN], y[:, 0, HIDDEN:]], 1))


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("kind", [Both, Ends, FirstAndLast])
def test_a_bidirectional_network_in_a_graph(kind, dynamo, tmp_path):
    torch.manual_seed(0)
    network, length = kind(nn.LSTM).eval(), 12
    path = export(network, tmp_path / "m.onnx", dynamo)
    x = np.random.default_rng(3).normal(0, 1, (400, INPUTS)).astype(np.float32)
    with pytest.raises(ConversionError, match="say --window N"):
        edgelstm_converters.convert(path, calibration=x)
    lookahead = 4 if kind is Both else None
    if kind is not Both:
        late = edgelstm_converters.Execution(window=length, lookahead=4)
        with pytest.raises(ConversionError, match="a look-ahead does not go with it"):
            edgelstm_converters.convert(path, calibration=x, execution=late)
    execution = edgelstm_converters.Execution(window=length, lookahead=lookahead)
    windows = np.lib.stride_tricks.sliding_window_view(x, length, axis=0).transpose(0, 2, 1).copy()
    with torch.no_grad():
        exact = network(torch.from_numpy(windows)).numpy()
    exact = exact[:, length - 1 - lookahead] if lookahead else exact
    conversion = edgelstm_converters.convert_with_report(path, calibration=x, execution=execution)
    assert "within" in conversion.proof
    np.testing.assert_allclose(conversion.float_model.run(x)[length - 1 :], exact, rtol=0, atol=1e-5)
    found = LoadedModel(conversion.model).stream().run(x)[length - 1 :]
    assert np.sqrt(np.square(found - exact).mean()) < 0.02 * exact.std()
