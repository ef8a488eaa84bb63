"""Small trained models in every format that a reader reads, as what their fuzz targets begin with.

A container of zip has check sums, and nothing behind them is reached by changing its bytes: its seed is the contents of its
members, one after another, and `packed` makes the container of what becomes of them.
"""

import io
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

BETWEEN = b"\n=====\n"
ARCHITECTURE = """
[[layers]]
kind = "lstm"
name = "rnn"
input_weights = "w"
hidden_weights = "u"
bias = "b"
gates = "ifgo"

[[layers]]
kind = "dense"
name = "head"
weights = "v"
"""


def _arrays():
    rng = np.random.default_rng(0)
    shapes = {"w": (20, 3), "u": (20, 5), "b": (20,), "v": (2, 5)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def _onnx(path):
    from onnx_cases import AXIS, TAIL, H, recurrent, weights, write

    write(
        path,
        [recurrent(direction="bidirectional"), TAIL],
        [*map(_twice, weights(4)), AXIS],
        x=(4, 1, 3),
        y=(4, 2, 1, H),
    )


def _twice(tensor):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.concatenate([numpy_helper.to_array(tensor)] * 2), tensor.name)


def _keras(path):
    from keras_cases import DENSE, LSTM, dense_weights, lstm_weights, sequential, write_keras

    stored = {("lstm/cell", "rnn"): lstm_weights(), ("dense", "head"): dense_weights()}
    write_keras(path, sequential(LSTM, DENSE), stored)


def _h5(path):
    from keras_cases import LSTM, lstm_weights, sequential, write_h5

    names = ("kernel", "recurrent_kernel", "bias")
    write_h5(path, sequential(LSTM), {"rnn": dict(zip(names, lstm_weights(), strict=True))})


def _tflite(path):
    import tflite_cases

    tflite_cases.while_lstm(path)


def _safetensors(path):
    from safetensors.numpy import save_file

    w = _arrays()
    save_file(
        {
            "rnn.weight_ih_l0": w["w"],
            "rnn.weight_hh_l0": w["u"],
            "head.weight": w["v"],
            "head.bias": w["v"][:, 0].copy(),
        },
        path,
    )


def _npz(path):
    np.savez(path, **_arrays())


def _network():
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = torch.nn.LSTM(3, 5, batch_first=True), torch.nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.rnn(x)[0])

    return torch, Network().eval()


def _pt(path):
    torch, network = _network()
    torch.save(network.state_dict(), path)


def _script(path):
    torch, network = _network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchScript, that there is something newer
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 4, 3)), path)


def _pt2(path):
    torch, network = _network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about weights that it lists twice
        torch.export.save(torch.export.export(network, (torch.zeros(1, 4, 3),)), path)


MADE = {
    ".onnx": _onnx, ".keras": _keras, ".h5": _h5, ".tflite": _tflite, ".safetensors": _safetensors, ".npz": _npz,
    ".pt": _pt, ".script.pt": _script, ".pt2": _pt2,
}  # fmt: skip
_members: dict[str, list[str]] = {}


def seeds(suffix):
    """Return a valid file, and the contents of its members where it is a container."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"m{suffix}"
        MADE[suffix](path)
        content = path.read_bytes()
    found = [b"\0" + content]
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _members[suffix] = archive.namelist()
            found.append(b"\1" + BETWEEN.join(archive.read(name) for name in archive.namelist()))
    return found


def packed(suffix, data):
    """Return the file that fuzz input stands for: its bytes, or a container of what are the contents of its members."""
    if data[:1] != b"\1" or suffix not in _members:
        return data[1:]
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in zip(_members[suffix], data[1:].split(BETWEEN), strict=False):
            archive.writestr(name, content)
    return stored.getvalue()
