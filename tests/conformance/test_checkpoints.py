"""What people save with torch.save: each form that it may have gives the network, or one line that names what was found."""

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402


class Network(nn.Module):
    def __init__(self, cell=nn.LSTM, **options):
        super().__init__()
        self.rnn, self.head = cell(3, 8, batch_first=True, **options), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class Squashed(Network):
    def __init__(self):
        super().__init__()
        self.middle, self.act = nn.Linear(2, 2), nn.ReLU()

    def forward(self, x):
        return self.middle(self.act(super().forward(x)))


class Hyper(collections.UserDict):
    """A class that only the program that saved the file knows."""


@pytest.fixture(scope="module")
def trained():
    """A network, and the optimizer that has made one step of it."""
    torch.manual_seed(0)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 4, 3)).sum().backward()
    optimizer.step()
    return network.eval(), optimizer


def lightning(network, optimizer):
    """Return what a trainer of Lightning writes: the module is an attribute of another, amid states of everything else."""
    return {
        "epoch": 2,
        "global_step": 300,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{name}": tensor for name, tensor in network.state_dict().items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': None}": {
                "best_model_score": torch.tensor(0.5),
                "dirpath": pathlib.Path("a"),
            }
        },
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"_step_count": 3}],
        "hparams_name": "kwargs",
        "hyper_parameters": Hyper(lr=0.1, options=argparse.Namespace(units=8)),
    }


FORMS = {
    "state_dict": lambda network, optimizer: network.state_dict(),
    "module.": lambda network, optimizer: nn.DataParallel(network).state_dict(),
    "_orig_mod.": lambda network, optimizer: torch.compile(network).state_dict(),
    "both": lambda network, optimizer: nn.DataParallel(torch.compile(network)).state_dict(),
    "averaged": lambda network, optimizer: torch.optim.swa_utils.AveragedModel(network).state_dict(),
    "epoch": lambda network, optimizer: {"epoch": 3, "state_dict": network.state_dict()},
    "tutorial": lambda network, optimizer: {
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": torch.tensor(0.25),
    },
    "model": lambda network, optimizer: {"model": network.state_dict(), "optimizer": {"lr": 0.1}},
    "other key": lambda network, optimizer: {"net": {"weights": network.state_dict()}, "seen": [1, 2]},
    "lightning": lightning,
    "module": lambda network, optimizer: network,
    "module in a checkpoint": lambda network, optimizer: {"model": network, "ema": None, "date": "today"},
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_network(form, zipped, trained, tmp_path):
    network, _ = trained
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forms that torch would rather not have any more
        torch.save(FORMS[form](*trained), tmp_path / "m.ckpt", _use_new_zipfile_serialization=zipped)
    reading = readers.read(tmp_path / "m.ckpt")
    why = (
        "a pickled module is read without running"
        if form.startswith("module") and form != "module."
        else "a state_dict has weights"
    )
    assert reading.proof.startswith(f"not proved: {why}") and "pooling, activations, skips" in reading.proof
    assert re.search(
        r"rnn \(lstm\), (model\.)?head \(linear\).*; torch gives the same for these layers, within",
        reading.proof,
    )
    names = [layer.name.removeprefix("model.") for layer in reading.model.layers]
    assert names == ["rnn", "head"]
    x = np.random.default_rng(0).normal(0, 1, (50, 3)).astype(np.float32)
    with torch.no_grad():
        exact = network(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(reading.model.run(x), exact, rtol=0, atol=1e-6)


def test_without_torch_too(trained, tmp_path):
    torch.save(lightning(*trained), tmp_path / "m.ckpt")
    code = (
        "import sys; sys.modules['torch'] = None; from edgelstm_converters import readers\n"
        "print(readers.read(sys.argv[1]).proof)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.ckpt"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("not proved: a state_dict") and done.stdout.endswith(
        "; torch is not installed\n"
    )


def test_which_of_two_networks_has_to_be_said(trained, tmp_path):
    network, other = trained[0], Network()
    torch.save({"state_dict": network.state_dict(), "ema": {"shadow": other.state_dict()}}, tmp_path / "m.pt")
    with pytest.raises(
        ConversionError, match=r"2 networks, state_dict and ema\.shadow: say which with --weights"
    ):
        readers.read(tmp_path / "m.pt")
    with pytest.raises(
        ConversionError, match=r'--weights names "em"; the networks are state_dict, ema\.shadow'
    ):
        readers.read(tmp_path / "m.pt", weights="em")
    for key, meant in (("state_dict", network), ("ema.shadow", other)):
        found = readers.read(tmp_path / "m.pt", weights=key).model.layers[1].weights
        np.testing.assert_array_equal(found, meant.head.weight.detach().numpy())


def test_a_loss_beside_the_network_is_left_out_by_name(trained, tmp_path):
    content = lightning(*trained)
    content["state_dict"] |= {"criterion.weight": torch.ones(2), "accuracy.total": torch.tensor(3)}
    torch.save(content, tmp_path / "m.ckpt")
    with pytest.raises(
        ConversionError, match=r'"criterion.weight" .*naming the modules that are with --order'
    ):
        readers.read(tmp_path / "m.ckpt")
    reading = readers.read(tmp_path / "m.ckpt", order=["model.rnn", "model.head"])
    assert reading.proof.endswith("left out: criterion.weight, accuracy.total")
    with pytest.raises(
        ConversionError, match=r"the modules are model\.rnn, model\.head, criterion, accuracy"
    ):
        readers.read(tmp_path / "m.ckpt", order=["rnn", "head"])


@pytest.mark.parametrize("squashing", ["tanh", "relu"])
def test_a_pickled_module_says_what_its_weights_do_not(squashing, tmp_path):
    torch.save(Network(nn.RNN, nonlinearity=squashing), tmp_path / "m.pt")
    reading = readers.read(tmp_path / "m.pt")
    assert reading.model.layers[0].activation == squashing and "torch gives the same" in reading.proof
    torch.save(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), tmp_path / "m.pt")
    reading = readers.read(tmp_path / "m.pt")
    assert [layer.activation for layer in reading.model.layers] == ["tanh", "linear"]
    assert reading.proof.startswith("torch: within")  # all of it is torch's own, and runs in that order


class LSTM(nn.LSTM):
    """A class of one's own, with a name of torch."""

    def forward(self, x):
        return super().forward(x)[0].clamp(0)


class Pooled(Network):
    def forward(self, x):
        return torch.relu(self.head(self.rnn(x)[0].mean(1)))


def test_a_class_of_somebody_else_is_not_taken_for_torchs(tmp_path):
    torch.save(nn.Sequential(LSTM(3, 4)), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r'module "0" is a \S+\.LSTM; LSTM, GRU, RNN, Linear'):
        readers.read(tmp_path / "m.pt")


@pytest.mark.parametrize("whole", [True, False])
def test_what_weights_do_not_show_is_never_proved(whole, tmp_path):
    """The mean and the relu of this network are nowhere in the file."""
    torch.save(Pooled() if whole else Pooled().state_dict(), tmp_path / "m.pt")
    proof = readers.read(tmp_path / "m.pt").proof
    assert (
        proof.startswith("not proved: ") and "(read as rnn (lstm), head (linear); a graph says them" in proof
    )


def test_where_a_pickled_module_runs_its_activation_has_to_be_said(tmp_path):
    torch.save(Squashed(), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r'"act" is a ReLU, and where it is run is code.*--activations'):
        readers.read(tmp_path / "m.pt")
    model = readers.read(tmp_path / "m.pt", activations=["relu", "linear"]).model
    assert [getattr(layer, "activation", "") for layer in model.layers] == ["", "relu", "linear"]


class Waiting:
    """Unpickled, it makes a folder."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_that_a_pickle_names_is_run(zipped, tmp_path):
    content = {"model": Network(), "more": Waiting(str(tmp_path / "ran"))}
    torch.save(content, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    assert readers.read(tmp_path / "m.pt").model.inputs == 3
    assert not (tmp_path / "ran").exists()
    torch.save(content["more"], tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ConversionError, match=r"m\.pt: holds no weights: it is a \w+\.mkdir;"):
        readers.read(tmp_path / "m.pt")
    assert not (tmp_path / "ran").exists()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(
            nn.Sequential(nn.Linear(3, 2)), {nn.Linear}, torch.qint8
        )


REFUSED = {
    "an optimizer": (lambda: {"state": {0: {"step": torch.zeros(1)}}, "param_groups": []}, "it has state, param_groups"),
    "an object": (lambda: argparse.Namespace(a=1), r"it is a argparse\.Namespace"),
    "arrays of numpy": (
        lambda: {"rnn.weight_ih_l0": np.zeros((4, 3))}, r'"rnn.weight_ih_l0" is a numpy\.\S+, expected a tensor'
    ),
    "without numbers": (
        lambda: nn.LSTM(2, 3, device="meta").state_dict(), '"weight_ih_l0" is a meta_tensor_no_storage, expected a tensor'
    ),
    "quantised": (lambda: quantised().state_dict(), "it is quantised: save it as it was before that"),
    "an embedding": (lambda: nn.Sequential(nn.Embedding(8, 3), nn.Linear(3, 2)), 'module "0" is a Embedding'),
    "a batch norm": (lambda: nn.BatchNorm1d(3).state_dict(), '"weight" has shape'),
    "a sparse matrix": (lambda: {"a.weight": torch.eye(3).to_sparse()}, '"a.weight" is a sparse_tensor, expected a tensor'),
    "complex": (lambda: {"a.weight": torch.zeros(2, 2, dtype=torch.complex64)}, '"a.weight" is complexfloat of shape'),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_network_is_refused_by_what_it_holds(name, tmp_path):
    made, message = REFUSED[name]
    torch.save(made(), tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=rf"m\.pt: .*{message}") as refused:
        readers.read(tmp_path / "m.pt")
    assert "\n" not in str(refused.value)


def test_a_program_under_another_name_is_told(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(Network(), (torch.zeros(1, 4, 3),)), tmp_path / "m.pt2")
    (tmp_path / "m.pt2").rename(tmp_path / "m.pt")
    with pytest.raises(ConversionError, match=r"is a program of torch\.export\.save\(\): .* ends in \.pt2"):
        readers.read(tmp_path / "m.pt")


def test_a_package_is_code(tmp_path):
    with torch.package.PackageExporter(tmp_path / "m.pt") as exporter:
        exporter.save_pickle("weights", "weights.pkl", {"a": 1})
    with pytest.raises(ConversionError, match=r"m\.pt: is a package of torch\.package, which is code"):
        readers.read(tmp_path / "m.pt")


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rnn = nn.Embedding(20, 6), nn.LSTM(6, 8, batch_first=True, bidirectional=True)
        self.head, self.transitions = nn.Linear(16, 4), nn.Parameter(torch.zeros(4, 4))

    def forward(self, x):
        return self.head(self.rnn(self.table(x))[0])


def test_a_table_in_front_is_known_by_its_shape(tmp_path):
    """As a matrix it would not fit what comes after it; what scores sequences behind the network is left out by name."""
    torch.manual_seed(0)
    network = Words().eval()
    torch.save({"model_state_dict": network.state_dict(), "char2id": {"a": 1}}, tmp_path / "m.pt")
    reading = readers.read(tmp_path / "m.pt", order=["table", "rnn", "head"])
    assert [layer.kind for layer in reading.model.layers] == ["embedding", "lstm", "lstm", "concat", "dense"]
    assert reading.proof.startswith("not proved") and reading.proof.endswith("left out: transitions")
    words = np.random.default_rng(0).integers(0, 20, (30, 1))
    with torch.no_grad():
        exact = network(torch.from_numpy(words.T))[0].numpy()
    np.testing.assert_allclose(reading.model.run(words.astype(np.float32)), exact, rtol=0, atol=1e-6)
