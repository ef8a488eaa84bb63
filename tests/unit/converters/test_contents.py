"""A file under a wrong name is called what it is, not damaged; one under its own goes to its reader."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from importlib.resources import files

import numpy as np
import pytest
from safetensors.numpy import save

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters import readers
from edgelstm_converters.readers import READERS, contents, torch_program


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return stream.getvalue()


def arrays():
    stream = io.BytesIO()
    np.savez(stream, w=np.ones((2, 3), np.float32))
    return stream.getvalue()


def message(*fields):
    """Return protocol buffers: numbers by a number, bytes by a field of bytes."""
    made = b""
    for number, value in fields:
        head = bytes([number << 3 | (0 if isinstance(value, int) else 2)])
        made += head + (bytes([value]) if isinstance(value, int) else bytes([len(value)]) + value)
    return made


ONNX = message((1, 8), (2, b"pytorch"), (7, message((2, b"main"))), (8, message((2, 17))))
KINDS = {
    "onnx": (ONNX, "is an ONNX model: give it a name that ends in .onnx"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "is a TFLite model: give it a name that ends in .tflite"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "is an HDF5 file, .* ends in .h5"),
    "keras": (zipped("config.json", "metadata.json", "model.weights.h5"), "Keras 3 writes: .* ends in .keras"),
    "npz": (arrays(), "NumPy's arrays: give it a name that ends in .npz"),
    "safetensors": (save({"w": np.ones(3, np.float32)}), "is a safetensors file: .* ends in .safetensors"),
    "torch": (zipped("m/data.pkl", "m/version"), "is what torch.save writes: .* ends in .pt$"),
    "script": (zipped("m/constants.pkl"), r"is a program of torch.jit.save\(\): .* ends in .pt$"),
    "export": (zipped("m/archive_format", "m/models/model.json"), r"torch.export.save\(\): .* ends in .pt2"),
    "package": (zipped("m/.data/extern_modules"), "is a package of torch.package, which is code: load it where"),
    "pickle": (pickle.dumps({"w": [1.0]}), "is a pickle of Python objects, which is a program: .*numpy.savez"),
    "array": (b"\x93NUMPY\x01\0" + bytes(40), "is one array of NumPy: .*numpy.savez"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS, not the file itself"),
    "page": (b"\n<!DOCTYPE html><html>", "is a web page: download the file itself"),
    "gzip": (gzip.compress(b"model"), "is compressed: unpack it first"),
    "runtime": (b"\x1c\0\0\0ORTM" + bytes(40), "ONNX Runtime's own form of a model: convert the .onnx file"),
    "zip": (zipped("net.onnx"), "is a zip of other files: unpack it, and convert the model in it"),
    "empty": (b"", "is empty: copy or download it again"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_name_is_told(kind, tmp_path):
    content, told = KINDS[kind]
    for suffix in (*READERS, ".model"):
        path = tmp_path / f"net{suffix}"
        path.write_bytes(content)
        if suffix in contents.of(path).suffixes:
            continue
        with pytest.raises(ConversionError, match=told) as refused:
            readers.read(path)
        assert str(refused.value).startswith(f"{path}: is ")


@pytest.mark.parametrize("suffix", READERS)
def test_a_model_that_is_converted_already_is_no_damage(suffix, tmp_path):
    path = tmp_path / f"pump{suffix}"
    path.write_bytes((files("edgelstm") / "models" / "pump.elstm").read_bytes())
    with pytest.raises(ConversionError, match="is a model of edgelstm, converted already: run it as it is"):
        readers.read(path)


def test_what_says_nothing_goes_to_the_reader_of_its_name(tmp_path):
    for content in (
        b"text",
        b"\x80",
        b"PK",
        b"PK\3\4" + bytes(30),
        struct.pack("<Q", 2),
        b"\x08\x08\x3a\x7f",
        b"\xff" * 80,
    ):
        for suffix in READERS:
            path = tmp_path / f"net{suffix}"
            path.write_bytes(content)
            assert contents.of(path) is None
    path = tmp_path / "net.unknown"
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(ConversionError, match=r"unknown kind of model; expected \.pt"):
        readers.read(path)


def test_a_folder_of_tensorflow(tmp_path):
    folder = tmp_path / "saved"
    folder.mkdir()
    with pytest.raises(ConversionError, match="saved: unknown kind of model"):
        readers.read(folder)
    (folder / "saved_model.pb").write_bytes(message((1, 1), (2, b"graph")))
    for path in (folder, folder / "saved_model.pb"):
        with pytest.raises(
            ConversionError, match=r"is a SavedModel or a graph of TensorFlow: save the model as \.keras"
        ):
            readers.read(path)


@pytest.mark.parametrize("suffix", [".pt2", ".pt"])
def test_what_a_program_needs_is_said_with_how_to_get_it(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(KINDS["export" if suffix == ".pt2" else "script"][0])
    monkeypatch.setattr(torch_program, "find_spec", lambda name: None if name.startswith("onnx") else True)
    with pytest.raises(UnavailableError, match=r"missing: onnx.*: pip install 'edgelstm\[graph\]'"):
        readers.read(path)
