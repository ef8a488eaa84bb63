"""Position encodings in windows, learned or of sines, in front of causal encoders and cells."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import Execution, convert_with_report, readers  # noqa: E402
from edgelstm_converters.report import snr_db  # noqa: E402

INPUTS, T, D = 4, 12, 8


def sines(rows, width):
    """Vaswani et al. 2017."""
    angles = np.arange(rows)[:, None] / 10_000.0 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(rows, width).astype(np.float32)


class Encoded(nn.Module):
    def __init__(self, *, learned, cell=False, layers=1, last=True):
        super().__init__()
        self.embed, self.last = nn.Linear(INPUTS, D), last
        if learned:
            self.place = nn.Parameter(torch.zeros(1, T, D))
        else:
            self.register_buffer("place", torch.from_numpy(sines(64, D))[None])
        self.cell = nn.LSTM(D, D, batch_first=True) if cell else None
        block = nn.TransformerEncoderLayer(D, 2, 16, batch_first=True, activation="gelu", norm_first=learned)
        self.encoder = nn.TransformerEncoder(block, layers, enable_nested_tensor=False) if layers else None
        self.head = nn.Linear(D, 3)
        self.register_buffer("mask", torch.triu(torch.full((T, T), float("-inf")), 1))

    def forward(self, x):
        y = self.embed(x) + self.place[:, : x.shape[1]]
        y = y if self.cell is None else self.cell(y)[0]
        y = y if self.encoder is None else self.encoder(y, mask=self.mask, is_causal=True)
        return self.head(y[:, -1] if self.last else y)


NETWORKS = {
    "learned": {"learned": True},
    "of sines": {"learned": False},
    "two blocks behind a cell": {"learned": True, "cell": True, "layers": 2},
    "a cell alone": {"learned": False, "cell": True, "layers": 0},
    "every row": {"learned": True, "last": False},
}


def saved(name, path, *, program):
    """A network whose weights follow from their names alone, exported."""
    made = Encoded(**NETWORKS[name]).eval()
    for key, weight in made.named_parameters():
        values = np.random.default_rng([*key.encode(), *weight.shape]).normal(0, 0.4, weight.shape)
        weight.data = torch.from_numpy(values.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if program:
            torch.export.save(torch.export.export(made, (torch.zeros(1, T, INPUTS),)), path)
        else:
            torch.onnx.export(made, (torch.zeros(1, T, INPUTS),), path, dynamo=False, opset_version=17)
    return made


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_positions_are_found(tmp_path, name, kind):
    saved(name, tmp_path / f"m.{kind}", program=kind == "pt2")
    reading = readers.read(tmp_path / f"m.{kind}")
    assert [layer.kind for layer in reading.model.layers].count("position") == 1
    assert "within" in reading.proof


@pytest.mark.parametrize("name", ["learned", "two blocks behind a cell", "every row"])
def test_windows_in_int8_give_what_torch_gives(tmp_path, name):
    made = saved(name, tmp_path / "m.pt2", program=True)
    x = np.random.default_rng(1).normal(0, 1, (150, INPUTS)).astype(np.float32)
    found = convert_with_report(
        tmp_path / "m.pt2", calibration=x, execution=Execution(window=T), verify=False
    )
    windows = np.lib.stride_tricks.sliding_window_view(x, T, axis=0).transpose(0, 2, 1)
    with torch.no_grad():
        exact = made(torch.from_numpy(windows.copy())).numpy().reshape(len(windows), -1, 3)[:, -1]
    np.testing.assert_allclose(found.float_model.run(x)[T - 1 :], exact, rtol=0, atol=1e-5)
    assert snr_db(LoadedModel(found.model).stream().run(x)[T - 1 :], exact) > 25.0


def test_positions_need_the_window_that_they_number(tmp_path):
    saved("a cell alone", tmp_path / "m.pt2", program=True)
    model = readers.read(tmp_path / "m.pt2", verify=False).model
    for window in (0, T - 1, T + 1):
        with pytest.raises(
            ConversionError, match=f"numbers the samples of a window of {T}: say --mode windowed --window {T}"
        ):
            Execution(window=window).apply(model)
