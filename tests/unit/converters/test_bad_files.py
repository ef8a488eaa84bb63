"""The same faults in every kind of file: numbers that are none, a file cut off, an unknown version; one line that names it."""

import contextlib

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm_converters import readers

SHAPES = {"rnn.weight_ih_l0": (20, 3), "rnn.weight_hh_l0": (20, 5), "head.weight": (2, 5)}
ARCHITECTURE = '[[layers]]\nkind = "dense"\nname = "d"\nweights = "head.weight"\n'


def arrays(fault):
    found = {name: np.full(shape, 0.1, np.float32) for name, shape in SHAPES.items()}
    found["head.weight"][1, 2] = fault
    return found


def safetensors(path, fault):
    from safetensors.numpy import save_file

    save_file(arrays(fault), path)


def torch(path, fault):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.from_numpy(values) for name, values in arrays(fault).items()}, path)


def npz(path, fault):
    np.savez(path, **arrays(fault))


def onnx(path, fault):
    pytest.importorskip("onnx")
    from onnx_cases import AXIS, TAIL, H, constant, recurrent, weights, write

    bad = np.full((1, 20, 3), 0.1, np.float32)
    bad[0, 1, 2] = fault
    write(
        path, [recurrent(), TAIL], [constant("W", 1, 20, 3, value=bad), *weights(4)[1:], AXIS], y=("t", 1, H)
    )


def tflite(path, fault):
    tflite_cases = pytest.importorskip("tflite_cases")
    kept = tflite_cases.random

    def with_fault(*shape, spread=0.5):
        values = kept(*shape, spread=spread)
        values.reshape(-1)[0] = fault
        return values

    tflite_cases.random = with_fault
    try:
        tflite_cases.fused_lstm(path)
    finally:
        tflite_cases.random = kept


def keras(path, fault):
    pytest.importorskip("h5py")
    from keras_cases import DENSE, LSTM, dense_weights, lstm_weights, sequential, write_keras

    bad = [np.array(values) for values in dense_weights()]
    bad[0].reshape(-1)[0] = fault
    write_keras(path, sequential(LSTM, DENSE), {("lstm/cell", "rnn"): lstm_weights(), ("dense", "head"): bad})


def h5(path, fault):
    pytest.importorskip("h5py")
    from keras_cases import LSTM, lstm_weights, sequential, write_h5

    bad = [np.array(values) for values in lstm_weights()]
    bad[0].reshape(-1)[0] = fault
    names = ("kernel", "recurrent_kernel", "bias")
    write_h5(path, sequential(LSTM), {"rnn": dict(zip(names, bad, strict=True))})


KINDS = [
    (".safetensors", safetensors),
    pytest.param(".pt", torch, marks=pytest.mark.torch),
    (".npz", npz),
    (".onnx", onnx),
    (".tflite", tflite),
    (".keras", keras),
    (".h5", h5),
]


def read(path, folder):
    (folder / "net.toml").write_text(ARCHITECTURE)
    asked = {"architecture": folder / "net.toml"} if path.suffix == ".npz" else {}
    return readers.read(path, verify=False, **asked)


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("suffix", "make"), KINDS)
def test_weights_that_are_no_numbers(suffix, make, fault, tmp_path):
    path = tmp_path / f"m{suffix}"
    make(path, fault)
    with pytest.raises(ConversionError, match=rf"m\{suffix}: .*not finite") as refused:
        read(path, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("suffix", "make"), KINDS)
def test_a_file_that_was_cut_off(suffix, make, tmp_path):
    """Anywhere: what is left is refused; a graph that lost nothing but what it does not need may be read."""
    path = tmp_path / f"m{suffix}"
    make(path, 0.25)
    assert read(path, tmp_path).model.layers
    content = path.read_bytes()
    for kept in (0, 1, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        if kept < len(content) - 1:
            with pytest.raises(ConversionError, match=rf"m\{suffix}: ") as refused:
                read(path, tmp_path)
            assert "\n" not in str(refused.value)
        else:
            with contextlib.suppress(ConversionError):
                read(path, tmp_path)


@pytest.mark.parametrize(
    ("opset", "message"),
    [(0, "is damaged or no ONNX model: "), (5, "is damaged or no"), (999, "is of opset 999, ")],
)
def test_an_opset_that_is_unknown(opset, message, tmp_path):
    pytest.importorskip("onnx")
    from onnx_cases import AXIS, TAIL, H, recurrent, weights, write

    write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H), opset=opset)
    with pytest.raises(ConversionError, match=rf"m\.onnx: {message}") as refused:
        readers.read(tmp_path / "m.onnx", verify=False)
    assert "\n" not in str(refused.value)
