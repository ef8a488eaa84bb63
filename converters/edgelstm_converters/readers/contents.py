"""What a file is, by its content: names are changed, and a wrong one should not read as damage."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

HEAD = 4096
MOST_FIELDS = 10_000
_MODEL_OF_OURS = b'"edgelstm"'


@dataclass(frozen=True, slots=True)
class Contents:
    """A kind of file.

    what      it is, with an article
    suffixes  of the files that its reader takes, the usual one first; none where there is no reader
    todo      what can be done with it, where that is not to give it another name
    """

    what: str
    suffixes: tuple[str, ...] = ()
    todo: str = ""

    def told(self) -> str:
        return f"is {self.what}: {self.todo or f'give it a name that ends in {self.suffixes[0]}'}"


TORCH = Contents("what torch.save writes", (".pt", ".pth", ".ckpt", ".bin"))
SCRIPT = Contents("a program of torch.jit.save()", (".pt", ".pth", ".ckpt", ".bin"))
PROGRAM = Contents("a program of torch.export.save()", (".pt2",))
PACKAGE = Contents(
    "a package of torch.package, which is code",
    todo="load it where it is trusted, and save the weights, torch.save(model.state_dict(), path), or a graph",
)
SAFETENSORS = Contents("a safetensors file", (".safetensors",))
ARRAYS = Contents("an archive of NumPy's arrays", (".npz",))
ONNX = Contents("an ONNX model", (".onnx",))
TFLITE = Contents("a TFLite model", (".tflite",))
KERAS = Contents("what model.save() of Keras 3 writes", (".keras",))
HDF5 = Contents("an HDF5 file, as Keras writes them", (".h5", ".hdf5"))
OURS = Contents(
    "a model of edgelstm, converted already",
    todo="run it as it is (`edgelstm inspect` shows it), or convert the network that it was made from",
)
ARRAY = Contents(
    "one array of NumPy",
    todo="save those of the network with numpy.savez, and say with --architecture what they are",
)
PICKLE = Contents(
    "a pickle of Python objects, which is a program",
    todo="load it where it is trusted, and save the weights with torch.save(model.state_dict(), path) or numpy.savez",
)
SAVED_MODEL = Contents(
    "a SavedModel or a graph of TensorFlow",
    todo="save the model as .keras, or make float TFLite or ONNX (tf2onnx) of it",
)
POINTER = Contents("a pointer of Git LFS, not the file itself", todo="fetch it with git lfs pull")
PAGE = Contents("a web page", todo="download the file itself")
COMPRESSED = Contents("compressed", todo="unpack it first")
EMPTY = Contents("empty", todo="copy or download it again")
RUNTIME = Contents("ONNX Runtime's own form of a model", todo="convert the .onnx file that it was made from")
_ZIPPED = Contents(
    "a zip of other files",
    (".keras", ".npz", ".pt2", *TORCH.suffixes),
    todo="unpack it, and convert the model in it",
)  # those readers say themselves what is missing in it
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"\x93NUMPY", ARRAY),
    (b"version https://git-lfs", POINTER),
    (b"\x1f\x8b", COMPRESSED),
    (b"\xfd7zXZ\0", COMPRESSED),
    (b"BZh", COMPRESSED),
    (b"\x28\xb5\x2f\xfd", COMPRESSED),
)  # fmt: skip
_FLATBUFFERS = {b"TFL3": TFLITE, b"ORTM": RUNTIME}
_PICKLES = (b"\x02", b"\x03", b"\x04", b"\x05")
_TORCH_ROW = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")
_FIXED = {1: 8, 5: 4}
_FOLDER_OF = {"saved_model.pb": SAVED_MODEL, "keras_metadata.pb": SAVED_MODEL, "checkpoint": SAVED_MODEL}


def of(path: Path) -> Contents | None:
    """Return what a file or a folder holds, or None where it looks like nothing that is known."""
    if path.is_dir():
        return next((kind for name, kind in _FOLDER_OF.items() if (path / name).is_file()), None)
    with open(path, "rb") as file:
        head = file.read(HEAD)
        if not head:
            return EMPTY
        for start, kind in _STARTS:
            if head.startswith(start):
                return kind
        if head[4:8] in _FLATBUFFERS:
            return _FLATBUFFERS[head[4:8]]
        if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
            return PAGE
        if head[:2] == b"PK":
            return _of_zip(path)
        if head[:1] == b"\x80" and head[1:2] in _PICKLES:
            return TORCH if _TORCH_ROW in head[:32] else PICKLE
        return _of_safetensors(head) or _of_messages(file, path)


def _of_zip(path: Path) -> Contents | None:
    try:
        with zipfile.ZipFile(path) as container:
            names = container.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return None
    inner = {name.partition("/")[2] for name in names}
    if "model.weights.h5" in names:
        return KERAS
    if "constants.pkl" in inner:
        return SCRIPT
    if ".data/extern_modules" in inner:
        return PACKAGE
    if "archive_format" in inner or {"serialized_exported_program.json", "version"} <= set(names):
        return PROGRAM
    if "data.pkl" in inner:
        return TORCH
    if names and all(name.endswith(".npy") for name in names):
        return ARRAYS
    return None if not names else _ZIPPED


def _of_safetensors(head: bytes) -> Contents | None:
    """Its header is JSON behind its length, a number of 8 bytes; a model of ours says so in the metadata, which come first."""
    if len(head) < 10 or head[8:9] != b"{":
        return None
    return OURS if head.find(_MODEL_OF_OURS, 0, 128) >= 0 else SAFETENSORS


def _of_messages(file: io.BufferedReader, path: Path) -> Contents | None:
    """Read a file as protocol buffers are laid out: fields, each with a number and a type, one behind the other to the end."""
    size, types = path.stat().st_size, dict[int, int]()
    file.seek(0)
    for _ in range(MOST_FIELDS):
        if file.tell() == size:
            break
        tag = _varint(file)
        if tag is None or not 0 < tag >> 3 < 1 << 8:
            return None
        kind = tag & 7
        found = _varint(file) if kind in (0, 2) else _FIXED.get(kind)
        if found is None:
            return None
        length = 0 if kind == 0 else found
        if file.tell() + length > size:
            return None
        types.setdefault(tag >> 3, kind)
        file.seek(length, io.SEEK_CUR)
    if types.get(1) == 0 and types.get(7) == 2:  # ir_version and graph
        return ONNX
    return SAVED_MODEL if path.suffix.lower() == ".pb" and 2 in types.values() else None


def _varint(file: io.BufferedReader) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
