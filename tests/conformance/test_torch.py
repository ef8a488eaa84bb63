"""Random networks through every route from PyTorch: the same layers, and the numbers that PyTorch gives."""

import contextlib
import logging
import warnings
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402
from torch_cases import HIDDEN, INPUTS, export  # noqa: E402

import edgelstm_converters  # noqa: E402
from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import readers  # noqa: E402


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


@pytest.mark.parametrize("two_heads", [False, True])
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
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


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 nearly"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(ConversionError, match=r"m\.pt: is (damaged or no PyTorch file|empty)"):
        readers.read(tmp_path / "m.pt")


def test_a_flipped_bit_is_found(tmp_path):
    """torch.load takes such a file without a word."""
    torch.save(Network(nn.GRU, 1, False, False).state_dict(), tmp_path / "m.pt")
    content = bytearray((tmp_path / "m.pt").read_bytes())
    with zipfile.ZipFile(tmp_path / "m.pt") as container:
        first = next(info for info in container.infolist() if info.filename.endswith("data/0"))
    assert first.file_size > 100
    content[first.header_offset + 150] ^= 1
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(ConversionError, match=r"m\.pt: is damaged: the check sum of .*data/0"):
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
        (nn.Sequential(nn.Linear(3, 4), nn.GLU()), "is a GLU; LSTM"),
        (nn.Sequential(nn.GELU(), nn.Linear(3, 4)), r"\(GELU\) follows no linear"),
        (nn.Sequential(nn.Linear(3, 4), nn.Softplus(2.0)), r"is a Softplus of beta 2\.0; with 1 it can be"),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 4)), "follows no linear"),
    ],
)
def test_modules_that_cannot_be_converted(module, message):
    with pytest.raises(ConversionError, match=message):
        readers.read(module)


FUNCTIONS = [
    nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.ELU(0.7), nn.CELU(1.3), nn.SELU(), nn.LeakyReLU(0.2), nn.ReLU6(), nn.Hardtanh(-0.5, 0.8),
    nn.Softplus(), nn.Softsign(), nn.LogSigmoid(), nn.Tanhshrink(), nn.Hardshrink(0.3), nn.Softshrink(0.3), nn.Hardswish(),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_a_module_that_is_a_function_is_one_curve(function, tmp_path):
    """PyTorch says of a live module that it is the right one; a pickled one is read as the same, without a proof."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), function, nn.Linear(4, 2))
    torch.save(network, tmp_path / "m.pt")
    live, pickled = readers.read(network), readers.read(tmp_path / "m.pt")
    assert [layer.kind for layer in live.model.layers] == ["dense", "curve", "dense"]
    assert live.proof.startswith("torch: within")
    assert pickled.proof.startswith('not proved: the function of layer "0_curve" is known by its name')
    x = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    np.testing.assert_array_equal(pickled.model.run(x), live.model.run(x))


def test_a_hard_sigmoid_belongs_to_its_dense_layer():
    reading = readers.read(nn.Sequential(nn.Linear(3, 4), nn.Hardsigmoid()))
    assert [layer.activation for layer in reading.model.layers] == ["hard_sigmoid_6"]
    assert reading.proof.startswith("torch: within")


def test_all_routes_read_the_same_numbers(tmp_path):
    """Not only close: the layers of a state_dict, of safetensors and of the module are equal to the bit."""
    from safetensors.torch import save_file

    network = Network(nn.GRU, 2, False, False)
    torch.save(network.state_dict(), tmp_path / "m.pt")
    save_file(network.state_dict(), tmp_path / "m.safetensors")
    first, *others = (readers.read(s).model for s in (tmp_path / "m.pt", tmp_path / "m.safetensors", network))
    x = np.random.default_rng(2).normal(size=(50, INPUTS)).astype(np.float32)
    for other in others:
        assert [layer.name for layer in other.layers] == [layer.name for layer in first.layers]
        np.testing.assert_array_equal(other.run(x), first.run(x))


def test_one_sample_and_its_state_exported_for_a_caller_that_carries_it(tmp_path):
    class Step(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(INPUTS, HIDDEN, 2)
            self.head = nn.Linear(HIDDEN, 3)

        def forward(self, x, h, c):
            y, (h, c) = self.rnn(x, (h, c))
            return self.head(y), h, c

    network = Step().eval()
    sample = torch.zeros(1, 1, INPUTS), torch.zeros(2, 1, HIDDEN), torch.zeros(2, 1, HIDDEN)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    for dynamo in (False, True):
        path = tmp_path / f"{dynamo}.onnx"
        with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            warnings.simplefilter("ignore")
            torch.onnx.export(network, sample, path, dynamo=dynamo)
        reading = readers.read(path)
        assert [layer.kind for layer in reading.model.layers] == ["lstm", "lstm", "dense"]
        assert reading.proof.endswith("over 1000 samples")


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], torch.zeros(3)])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(
        ConversionError, match=r"c\.pt: holds no weights: it (has epoch|is a list|is a tensor of shape)"
    ):
        readers.read(tmp_path / "c.pt")


def test_a_file_that_counts_further_than_it_goes_is_refused(tmp_path):
    """Of the old kind: the count stands in front of the numbers of a tensor."""
    weight = torch.zeros(3, 4)
    torch.save({"weight": weight}, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    content = bytearray((tmp_path / "m.pt").read_bytes())
    place = len(content) - 4 * weight.numel() - 8
    assert int.from_bytes(content[place : place + 8], "little") == weight.numel()
    content[place : place + 8] = b"\xff" * 8
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(ConversionError, match="is damaged: the numbers of its tensors are cut off"):
        readers.read(tmp_path / "m.pt")


@pytest.mark.parametrize("kept", [10, 1000, 3000, -30])
def test_a_file_that_was_cut_off_is_refused(tmp_path, kept):
    torch.save(Network(nn.GRU, 1, False, False).state_dict(), tmp_path / "m.pt")
    (tmp_path / "m.pt").write_bytes((tmp_path / "m.pt").read_bytes()[:kept])
    with pytest.raises(ConversionError, match=r"m\.pt: is (damaged or no PyTorch file|empty)"):
        readers.read(tmp_path / "m.pt")


def test_bytes_changed_anywhere_never_end_in_a_traceback(tmp_path):
    torch.save(nn.LSTM(2, 3).state_dict(), tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    content, rng = (tmp_path / "m.pt").read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "m.pt").write_bytes(damaged)
        with contextlib.suppress(ConversionError):
            readers.read(tmp_path / "m.pt")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_width(tmp_path, dtype):
    from safetensors.torch import save_file

    state = {name: tensor.to(dtype) for name, tensor in Network(nn.GRU, 1, False, False).state_dict().items()}
    torch.save(state, tmp_path / "m.pt")
    save_file(state, tmp_path / "m.safetensors")
    for path in (tmp_path / "m.pt", tmp_path / "m.safetensors"):
        matrix = readers.read(path).model.layers[0].input_weights
        np.testing.assert_array_equal(matrix, state["rnn.weight_ih_l0"].float().numpy())
        assert matrix.dtype == np.float32


def test_quantised_weights_are_refused(tmp_path):
    torch.save({"head.weight": torch.ones((2, 3), dtype=torch.int8)}, tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r'"head.weight" is int8 .* expected floating point'):
        readers.read(tmp_path / "m.pt")


def test_a_live_module_in_double_precision():
    assert "within" in readers.read(Network(nn.LSTM, 1, False, False).double()).proof


def test_dropout_of_a_live_module_is_off_and_its_modes_come_back():
    network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.9), nn.ReLU(), nn.Linear(8, 2))
    network[1].eval()
    reading = readers.read(network)
    assert [layer.activation for layer in reading.model.layers] == ["relu", "linear"]
    assert [part.training for part in network.modules()] == [True, True, False, True, True]
    stacked = nn.LSTM(3, 8, 2, dropout=0.9)
    assert "within" in readers.read(stacked).proof
    assert stacked.training


def test_an_activation_that_the_module_does_not_show_is_asked_for():
    network = Network(nn.GRU, 1, False, True)
    with pytest.raises(ConversionError, match=r"forward\(\) does more .* activations=\[\.\.\.\]"):
        readers.read(network)
    assert readers.read(network, activations=["relu", "linear"]).model.layers[1].activation == "relu"


def test_modules_that_run_in_another_order_than_they_are_defined():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(8, 3)
            self.rnn = nn.GRU(3, 8, batch_first=True)

        def forward(self, x):
            return self.head(self.rnn(x)[0])

    with pytest.raises(ConversionError, match=r"do not give what torch gives|output has shape|cannot be run"):
        readers.read(Backwards())
    reading = readers.read(Backwards(), order=["rnn", "head"])
    assert [layer.kind for layer in reading.model.layers] == ["gru", "dense"]


@pytest.mark.parametrize("result", [{"y": 1}, None, ()])
def test_a_forward_that_gives_no_tensor_is_refused(result):
    class Odd(Network):
        def forward(self, x):
            return result

    with pytest.raises(ConversionError, match=r"its forward\(\) gives a \w+, expected a tensor"):
        readers.read(Odd(nn.LSTM, 1, False, False))


def test_a_forward_that_fails_is_one_line():
    class Failing(Network):
        def forward(self, x):
            raise ValueError("first\nsecond")

    with pytest.raises(ConversionError, match=r"cannot be run on input of shape .*: ValueError: first$"):
        readers.read(Failing(nn.LSTM, 1, False, False))


VARIANTS = {
    "rnn": lambda: nn.RNN(INPUTS, HIDDEN, 2, batch_first=True),
    "rnn, relu": lambda: nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", batch_first=True),
    "lstm, projected": lambda: nn.LSTM(INPUTS, 32, 2, batch_first=True, proj_size=HIDDEN),
    "gru, no bias": lambda: nn.GRU(INPUTS, HIDDEN, bias=False, batch_first=True),
}


def with_head(recurrent):
    network = Network(nn.LSTM, 1, False, False)
    network.rnn = recurrent
    return network.eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_recurrent_modules(name, tmp_path):
    network = with_head(VARIANTS[name]())
    assert readers.read(network).proof.startswith("torch: within")
    torch.save(network.state_dict(), tmp_path / "m.pt")
    if name.startswith("rnn"):
        with pytest.raises(ConversionError, match="does not say whether with tanh or relu"):
            readers.read(tmp_path / "m.pt")
    else:
        assert "; torch gives the same for these layers, within" in readers.read(tmp_path / "m.pt").proof


@pytest.mark.parametrize("name", ["rnn", "gru, no bias"])
def test_a_program_of_torch_export(name, tmp_path):
    pytest.importorskip("onnxscript")
    network = with_head(VARIANTS[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(network, (torch.zeros(1, 9, INPUTS),)), tmp_path / "m.pt2")
    reading = readers.read(tmp_path / "m.pt2")
    assert reading.proof.startswith("torch: within") and reading.proof.endswith("over 9 samples")
    content = (tmp_path / "m.pt2").read_bytes()
    for damaged in (b"", content[: len(content) // 2]):
        (tmp_path / "m.pt2").write_bytes(damaged)
        with pytest.raises(ConversionError, match=r"m\.pt2: is (damaged|empty)"):
            readers.read(tmp_path / "m.pt2")


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def test_a_program_with_a_projection_has_its_weights(options, tmp_path):
    pytest.importorskip("onnxscript")
    rnn = nn.LSTM(INPUTS, 7, proj_size=3, batch_first=True, **options)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = rnn

        def forward(self, x):
            return self.rnn(x)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(Last(), (torch.zeros(1, 9, INPUTS),)), tmp_path / "m.pt2")
    reading = readers.read(tmp_path / "m.pt2")
    assert reading.proof.startswith("torch: within") and reading.model.outputs == (
        6 if "num_layers" in options else 3
    )


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_in_a_loop_of_python(cell, dynamo, tmp_path):
    """The exporter writes every step out; the steps are rolled up again."""

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = cell(INPUTS, HIDDEN), nn.Linear(HIDDEN, 3)

        def forward(self, x):
            h, rows = torch.zeros(x.shape[0], HIDDEN), []
            c = h
            for t in range(x.shape[1]):
                if cell is nn.LSTMCell:
                    h, c = self.cell(x[:, t], (h, c))
                else:
                    h = self.cell(x[:, t], h)
                rows.append(h)
            return self.head(torch.stack(rows, 1))

    pytest.importorskip("onnxscript")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        warnings.simplefilter("ignore")
        torch.onnx.export(Loop().eval(), (torch.zeros(1, 8, INPUTS),), tmp_path / "m.onnx", dynamo=dynamo)
    reading = readers.read(tmp_path / "m.onnx")
    assert [layer.kind for layer in reading.model.layers] == [cell.__name__[:-4].lower(), "dense"]
    assert "within" in reading.proof
