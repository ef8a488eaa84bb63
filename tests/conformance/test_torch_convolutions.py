"""Convolutions and pools of PyTorch in front of recurrent layers: padded on both sides, cut at the end, strided, of each channel."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402
from torch_cases import INPUTS  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import Execution, convert_with_report, readers  # noqa: E402
from edgelstm_converters.report import snr_db  # noqa: E402

T, H = 12, 8


class Front(nn.Module):
    """Layers along time, a recurrent layer behind them, and a linear one on its last step or on all."""

    def __init__(self, front, width, *, last=True, both=False):
        super().__init__()
        self.front, self.last = front, last
        self.rnn = nn.LSTM(width, H, batch_first=True, bidirectional=both)
        self.head = nn.Linear(H * (1 + both), 3)

    def forward(self, x):
        y = self.rnn(self.front(x.transpose(1, 2)).transpose(1, 2))[0]
        return self.head(y[:, -1] if self.last else y)


class Chomped(nn.Module):
    """A block of a temporal convolutional network (Bai et al. 2018): padded on both sides, cut at the end, before or after relu."""

    def __init__(self, width, *, first):
        super().__init__()
        self.conv, self.first = nn.Conv1d(INPUTS, width, 3, padding=4, dilation=2), first
        self.skip = nn.Conv1d(INPUTS, width, 1)

    def forward(self, x):
        y = self.conv(x)
        y = torch.relu(y[:, :, :-4]) if self.first else torch.relu(y)[:, :, :-4].contiguous()
        return y + self.skip(x)


class BothEnds(nn.Module):
    """What a pool in front of a network of both directions ends with."""

    def __init__(self):
        super().__init__()
        self.pool, self.rnn, self.head = (
            nn.MaxPool1d(3),
            nn.LSTM(INPUTS, H, batch_first=True, bidirectional=True),
            nn.Linear(2 * H, 3),
        )

    def forward(self, x):
        h = self.rnn(self.pool(x.transpose(1, 2)).transpose(1, 2))[1][0]
        return self.head(torch.cat([h[0], h[1]], dim=-1))


NETWORKS = {
    "valid": lambda: Front(nn.Conv1d(INPUTS, 6, 3), 6),
    "valid, every step": lambda: Front(nn.Conv1d(INPUTS, 6, 3), 6, last=False),
    "same": lambda: Front(nn.Sequential(nn.Conv1d(INPUTS, 6, 3, padding="same"), nn.ReLU()), 6),
    "same, even": lambda: Front(nn.Sequential(nn.ConstantPad1d(3, 0.0), nn.Conv1d(INPUTS, 6, 4, dilation=2)), 6),
    "same, twice": lambda: Front(nn.Sequential(nn.Conv1d(INPUTS, 6, 5, padding=2), nn.ReLU(), nn.Conv1d(6, 5, 3, padding=1)), 5),
    "chomped": lambda: Front(Chomped(6, first=True), 6, last=False),
    "chomped behind relu": lambda: Front(Chomped(6, first=False), 6, last=False),
    "pooled": lambda: Front(nn.Sequential(nn.Conv1d(INPUTS, 6, 3), nn.ReLU(), nn.MaxPool1d(2)), 6),
    "causal, pooled": lambda: Front(nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(INPUTS, 6, 3), nn.MaxPool1d(2)), 6),
    "pooled, every step": lambda: Front(nn.MaxPool1d(2), INPUTS, last=False),
    "pooled twice": lambda: Front(nn.Sequential(nn.Conv1d(INPUTS, 6, 3, padding=1), nn.MaxPool1d(2), nn.Conv1d(6, 5, 3, padding=1), nn.GELU(), nn.AvgPool1d(2)), 5),
    "strided": lambda: Front(nn.Conv1d(INPUTS, 6, 4, stride=3), 6),
    "of each channel": lambda: Front(nn.Conv1d(INPUTS, 2 * INPUTS, 3, padding=1, groups=INPUTS), 2 * INPUTS),
    "pooled, both directions": BothEnds,
}  # fmt: skip


def network(name):
    """A network whose weights follow from their names alone."""
    made = NETWORKS[name]().eval()
    for key, weight in made.named_parameters():
        values = np.random.default_rng([*key.encode(), *weight.shape]).normal(0, 0.4, weight.shape)
        weight.data = torch.from_numpy(values.astype(np.float32))
    return made


def saved(name, path):
    made = network(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(made, (torch.zeros(1, T, INPUTS),))
    torch.export.save(program, path)
    return made


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_convolution_in_front_of_a_cell(tmp_path, name, dynamo):
    if dynamo:
        saved(name, path := tmp_path / "m.pt2")
    else:
        made, path = network(name), tmp_path / "m.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(made, (torch.zeros(1, T, INPUTS),), path, dynamo=False, opset_version=17)
    assert "within" in readers.read(path).proof


@pytest.mark.parametrize(
    "name", ["same", "causal, pooled", "pooled", "pooled twice", "strided", "pooled, both directions"]
)
def test_windows_in_int8_give_what_torch_gives(tmp_path, name):
    made = saved(name, tmp_path / "m.pt2")
    x = np.random.default_rng(1).normal(0, 1, (200, INPUTS)).astype(np.float32)
    found = convert_with_report(
        tmp_path / "m.pt2", calibration=x, execution=Execution(window=T), verify=False
    )
    windows = np.lib.stride_tricks.sliding_window_view(x, T, axis=0).transpose(0, 2, 1)
    with torch.no_grad():
        exact = torch.cat([made(torch.from_numpy(window[None].copy())) for window in windows]).numpy()
    np.testing.assert_allclose(found.float_model.run(x)[T - 1 :], exact, rtol=0, atol=1e-5)
    assert snr_db(LoadedModel(found.model).stream().run(x)[T - 1 :], exact) > 25.0


def test_a_stream_of_what_begins_late_and_comes_seldom(tmp_path):
    """Sample by sample, without a window: every row that the network gives stands in the stream until the next one comes."""
    made = saved("pooled, every step", tmp_path / "m.pt2")
    x = np.random.default_rng(2).normal(0, 1, (60, INPUTS)).astype(np.float32)
    found = convert_with_report(tmp_path / "m.pt2", calibration=x, verify=False)
    with torch.no_grad():
        exact = made(torch.from_numpy(x[None]))[0].numpy()
    np.testing.assert_allclose(found.float_model.run(x)[1::2], exact, rtol=0, atol=1e-5)
    y = LoadedModel(found.model).stream().run(x)
    np.testing.assert_array_equal(y[2::2], y[1:-1:2])
    assert snr_db(y[1::2], exact) > 25.0


def test_what_comes_behind_the_last_sample_is_refused(tmp_path):
    class Uncut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(INPUTS, 6, 3, padding=2)

        def forward(self, x):
            return self.conv(x.transpose(1, 2)).transpose(1, 2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Uncut(), (torch.zeros(1, T, INPUTS),), tmp_path / "m.onnx", dynamo=False)
    with pytest.raises(ConversionError, match="it reads samples that come after its own"):
        readers.read(tmp_path / "m.onnx")


@pytest.mark.parametrize("pool", [nn.MaxPool1d(3, 2, 1), nn.AvgPool1d(3, 2, 1)], ids=["largest", "mean"])
def test_a_pool_that_is_padded_on_both_sides_is_refused_for_its_padding(tmp_path, pool):
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.rnn = pool, nn.LSTM(INPUTS, 4, batch_first=True)

        def forward(self, x):
            return self.rnn(self.pool(x.transpose(1, 2)).transpose(1, 2))[0][:, -1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Padded().eval(), (torch.zeros(1, 12, INPUTS),), tmp_path / "m.onnx", dynamo=False)
    with pytest.raises(
        ConversionError, match=r"its padding of 1 behind the last sample.*pool without padding"
    ):
        readers.read(tmp_path / "m.onnx")
