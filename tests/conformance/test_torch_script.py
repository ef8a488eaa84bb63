"""Programs of torch.jit: scripted and traced networks convert, proved by PyTorch; what would do more than compute is not run."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402

H = 8


class Network(nn.Module):
    def __init__(self, cell=nn.LSTM, batch_first=True, last=False):
        super().__init__()
        self.rnn, self.head, self.last = cell(3, H, 2, batch_first=batch_first), nn.Linear(H, 2), last

    def forward(self, x):
        y = self.rnn(x)[0]
        return torch.tanh(self.head(y[:, -1] if self.last else y))


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTMCell(3, H), nn.Linear(H, 2)

    def forward(self, x):
        h = torch.zeros(len(x), H)
        c, rows = h, []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            rows.append(self.head(h))
        return torch.stack(rows, 1)


class Appending(nn.Module):
    """Keeps its rows in a list, which is a sequence of ONNX when it is scripted."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 8)

    def forward(self, x):
        h = torch.zeros(x.shape[0], 8)
        c, rows = h, []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            rows.append(h)
        return torch.stack(rows, 1)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rnn = nn.Embedding(20, 6), nn.GRU(6, H, batch_first=True)

    def forward(self, x):
        return self.rnn(self.table(x))[0]


class Stated(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, H)

    def forward(self, x, h):
        return self.rnn(x, h)


class Saving(nn.Module):
    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def forward(self, x):
        torch.save(x, self.path)
        return x


class Loading(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(x)

    @torch.jit.export
    def __getstate__(self):
        return self.head.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        self.training = state[1]


def program(network, path, *sample):
    """Write the network, scripted, or traced on `sample`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and files of it are there
        made = torch.jit.trace(network.eval(), sample) if sample else torch.jit.script(network.eval())
        made.save(path)
    return path


NETWORKS = {
    "lstm": (Network, torch.zeros(1, 5, 3), ["lstm", "lstm", "dense"]),
    "gru": (lambda: Network(nn.GRU), torch.zeros(1, 5, 3), ["gru", "gru", "dense"]),
    "rnn": (lambda: Network(nn.RNN), torch.zeros(1, 5, 3), ["rnn", "rnn", "dense"]),
    "time first": (lambda: Network(batch_first=False), torch.zeros(5, 1, 3), ["lstm", "lstm", "dense"]),
    "last step": (lambda: Network(last=True), torch.zeros(1, 5, 3), ["lstm", "lstm", "dense"]),
    "words": (Words, torch.zeros(1, 5, dtype=torch.long), ["embedding", "gru"]),
}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network(name, traced, tmp_path):
    torch.manual_seed(0)
    made, sample, kinds = NETWORKS[name]
    path = program(made(), tmp_path / "m.pt", *[sample] * traced)
    reading = readers.read(path)
    assert [layer.kind for layer in reading.model.layers] == kinds
    assert reading.proof.startswith("torch: within")


def test_steps_that_were_written_out(tmp_path):
    reading = readers.read(program(Loop(), tmp_path / "m.pt", torch.zeros(1, 5, 3)))
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense"]
    assert reading.proof.startswith("torch: within") and reading.proof.endswith("over 5 samples")


def test_a_loop_over_a_cell_converts_traced_and_scripted_says_so(tmp_path):
    reading = readers.read(program(Appending(), tmp_path / "m.pt", torch.zeros(1, 5, 3)))
    assert [layer.kind for layer in reading.model.layers] == ["lstm"]
    with pytest.raises(ConversionError, match=r"initial_h is computed .* save it with torch\.jit\.trace"):
        readers.read(program(Appending(), tmp_path / "m.pt"), inputs=3)


def test_it_gives_what_the_module_gives(tmp_path):
    network = Network(nn.GRU)
    model = readers.read(program(network, tmp_path / "m.pth"), inputs=3).model
    x = np.random.default_rng(0).normal(0, 1, (60, 3)).astype(np.float32)
    with torch.no_grad():
        exact = network(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(model.run(x), exact, rtol=0, atol=1e-6)


def test_what_touches_files_is_not_run(tmp_path):
    program(Saving(str(tmp_path / "written")), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r"m\.pt: it uses aten::save, which is not run here"):
        readers.read(tmp_path / "m.pt")
    assert not (tmp_path / "written").exists()


def test_what_would_run_while_it_is_loaded_is_not_loaded(tmp_path):
    program(Loading(), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match="has code that is run when the file is loaded"):
        readers.read(tmp_path / "m.pt")


def test_states_as_inputs_are_for_a_graph(tmp_path):
    program(Stated(), tmp_path / "m.pt")
    with pytest.raises(
        ConversionError, match=r"its forward\(\) takes x, h, expected one tensor: .*\.pt2\) or as ONNX"
    ):
        readers.read(tmp_path / "m.pt")


def test_an_option_of_weights_does_not_go_with_a_program(tmp_path):
    program(Network(), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match="without --order"):
        readers.read(tmp_path / "m.pt", order=["rnn", "head"])


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_program_that_was_cut_off(kept, tmp_path):
    content = program(Network(), tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ConversionError, match=r"m\.pt: is damaged"):
        readers.read(tmp_path / "m.pt")
