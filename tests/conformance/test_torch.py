"""Random networks through every route from PyTorch: the same layers, and the numbers that PyTorch gives."""

import contextlib
import logging
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402

import edgelstm_converters  # noqa: E402
from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import readers  # noqa: E402

INPUTS, HIDDEN = 4, 16


class Network(nn.Module):
    """A recurrent network and its head, the way people write it."""

    def __init__(self, cell, layers, last_only, two_heads):
        super().__init__()
        self.rnn = cell(INPUTS, HIDDEN, layers, batch_first=True)
        self.middle = nn.Linear(HIDDEN, 8) if two_heads else None
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8 if two_heads else HIDDEN, 3)
        self.last_only = last_only

    def forward(self, x):
        y, _ = self.rnn(x)
        if self.last_only:
            y = y[:, -1]
        if self.middle is not None:
            y = torch.relu(self.middle(y))
        return self.head(self.drop(y))


def export(network, path, dynamo):
    """Write ONNX; what the exporters say about themselves is not ours."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    sample, options = torch.zeros(1, 12, INPUTS), {}
    if not dynamo:
        options = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch", 1: "time"}}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (sample,), path, dynamo=dynamo, **options)
    return path


@pytest.mark.parametrize("two_heads", [False, True])
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
def test_every_route_gives_the_same_model(cell, layers, last_only, two_heads, tmp_path):
    onnxscript = pytest.importorskip("onnxscript")
    assert onnxscript
    from safetensors.torch import save_file

    torch.manual_seed(layers)
    network = Network(cell, layers, last_only, two_heads).eval()
    activations = ["relu", "linear"] if two_heads else None
    torch.save(network.state_dict(), tmp_path / "m.pt")
    save_file(network.state_dict(), tmp_path / "m.safetensors")
    found = [
        readers.read(tmp_path / "m.pt", activations=activations),
        readers.read(tmp_path / "m.safetensors", activations=activations),
        readers.read(network, activations=activations),
        readers.read(export(network, tmp_path / "old.onnx", dynamo=False)),
        readers.read(export(network, tmp_path / "new.onnx", dynamo=True)),
    ]
    assert all("within" in reading.proof for reading in found)
    x = np.random.default_rng(0).normal(size=(1000, INPUTS)).astype(np.float32)
    network.last_only = False
    with torch.no_grad():
        exact = network(torch.from_numpy(x)[None])[0].numpy()
    for reading in found:
        y = reading.model.run(x)
        np.testing.assert_allclose(y[:200], exact[:200], rtol=0, atol=1e-5)
        np.testing.assert_allclose(y, exact, rtol=0, atol=1e-4)


def test_a_trained_network_survives_int8():
    torch.manual_seed(0)
    x = np.cumsum(np.random.default_rng(1).normal(size=(3000, INPUTS)), axis=0).astype(np.float32)
    x /= x.std(axis=0)
    network = Network(nn.LSTM, 2, False, False)
    model = edgelstm_converters.convert(network, calibration=x)
    assert model.provenance.output_snr_db > 30
    assert network.training  # as it was
    assert np.isfinite(LoadedModel(model).stream().run(x)).all()


def test_a_checkpoint_with_a_state_dict_in_it(tmp_path):
    network = Network(nn.GRU, 1, False, False)
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, tmp_path / "c.pt")
    assert readers.read(tmp_path / "c.pt").model.layers[0].kind == "gru"


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(Network(nn.GRU, 1, False, False), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r"m\.pt: holds a whole pickled module.*state_dict\(\)"):
        readers.read(tmp_path / "m.pt")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 nearly"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(ConversionError, match=r"m\.pt: is damaged or no PyTorch file"):
        readers.read(tmp_path / "m.pt")


def test_what_a_forward_does_besides_is_found_out():
    class Skip(Network):
        def forward(self, x):
            return super().forward(x) + x[..., :3]

    with pytest.raises(ConversionError, match="do not give what torch gives"):
        readers.read(Skip(nn.LSTM, 1, False, False))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.LSTM(3, 4, bidirectional=True), "bidirectional"),
        (nn.Sequential(nn.Linear(3, 4), nn.GELU()), "is a GELU"),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 4)), "follows no linear"),
    ],
)
def test_modules_that_cannot_be_converted(module, message):
    with pytest.raises(ConversionError, match=message):
        readers.read(module)
