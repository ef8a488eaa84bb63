"""The model file: safetensors with one JSON document beside the tensors; nothing in it can execute."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import ModelFileError
from edgelstm.layers import FAMILIES
from edgelstm.layers.storage import Tensors, entry_of, layer_of, tensors_of
from edgelstm.model import Channel, Model, Output, Provenance
from edgelstm.model_check import check

FORMAT_VERSION = 1
ARITHMETIC_VERSION = 1
METADATA_KEY = "edgelstm"
MAX_FILE_BYTES = 1 << 30


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format_version: int
    arithmetic_version: int
    name: str
    channels: tuple[Channel, ...]
    outputs: tuple[Output, ...]
    layers: tuple[dict[str, Any], ...]
    provenance: Provenance
    detector: DetectorSettings | None = None
    digest: str = ""
    heads: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class _Versions(msgspec.Struct, frozen=True):
    format_version: int
    arithmetic_version: int


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, whole or not at all.

    Raises ModelFileError where the model is out of bounds or the file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    target = Path(path)
    try:
        check(model)
    except ModelFileError as exc:
        raise ModelFileError(f"{target}: {exc}") from None
    document = msgspec.structs.replace(_document(model), digest=digest(model))
    content = to_bytes(_tensors(model), {METADATA_KEY: msgspec.json.encode(document).decode()})
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o666 & ~_umask())
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as exc:
        raise ModelFileError(f"{target}: cannot be written: {exc.strerror}") from exc


def load(path: str | os.PathLike[str]) -> Model:
    """Read and check a model file.

    Raises ModelFileError: one line that names the file and what in it is missing, damaged or out of range.
    """
    try:
        return _read(Path(path))
    except ModelFileError as exc:
        raise ModelFileError(f"{path}: {exc}") from None
    except OSError as exc:
        raise ModelFileError(f"{path}: cannot be read: {exc.strerror or exc}") from exc


def is_model_file(path: str | os.PathLike[str]) -> bool:
    """Whether the header of a file is that of a model; what follows is not looked at."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return length <= MAX_FILE_BYTES and f'"{METADATA_KEY}":'.encode() in file.read(length)


def digest(model: Model) -> str:
    """Return the SHA-256, in hexadecimal, over the document and every tensor of the model."""
    total = hashlib.sha256(msgspec.json.encode(_document(model)))
    for name, tensor in sorted(_tensors(model).items()):
        total.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        total.update(np.ascontiguousarray(tensor).astype(tensor.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def _read(path: Path) -> Model:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise ModelFileError("no such file")
    if not path.is_file():
        raise ModelFileError("is a folder, expected a model file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ModelFileError(
            f"is {path.stat().st_size} bytes, more than the {MAX_FILE_BYTES} a model may have"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except (SafetensorError, ValueError, TypeError) as exc:
        raise ModelFileError(
            f"is damaged or no model file ({exc}); a trained model becomes one with: edgelstm convert"
        ) from None
    if METADATA_KEY not in metadata:
        raise ModelFileError("is a safetensors file but no edgelstm model; convert it with: edgelstm convert")
    document = _decode(metadata[METADATA_KEY])
    model = _assemble(document, tensors)
    check(model)
    if digest(model) != document.digest:
        raise ModelFileError("its contents do not match its digest: the file was damaged or edited")
    return model


def _decode(text: str) -> _Document:
    try:
        versions = msgspec.json.decode(text, type=_Versions)
        for what, found, known in (
            ("format", versions.format_version, FORMAT_VERSION),
            ("arithmetic", versions.arithmetic_version, ARITHMETIC_VERSION),
        ):
            if found != known:
                remedy = "update edgelstm" if found > known else "convert the trained model again"
                raise ModelFileError(f"has {what} version {found}; this edgelstm knows {known}: {remedy}")
        return msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise ModelFileError(f"its document is wrong: {exc}") from None


def _document(model: Model) -> _Document:
    return _Document(
        format_version=FORMAT_VERSION,
        arithmetic_version=ARITHMETIC_VERSION,
        name=model.name,
        channels=model.channels,
        outputs=model.outputs,
        layers=tuple(entry_of(layer) for layer in model.layers),
        provenance=model.provenance,
        detector=model.detector_settings,
        heads=model.heads or msgspec.UNSET,
    )


def _tensors(model: Model) -> Tensors:
    return {
        name: tensor
        for number, layer in enumerate(model.layers)
        for name, tensor in tensors_of(layer, str(number))
    }


def _assemble(document: _Document, tensors: Tensors) -> Model:
    remaining = dict(tensors)
    layers = tuple(
        layer_of(entry, str(number), remaining, FAMILIES) for number, entry in enumerate(document.layers)
    )
    if remaining:
        raise ModelFileError(f"holds tensors that no layer uses: {', '.join(sorted(remaining))}")
    return Model(
        channels=document.channels,
        outputs=document.outputs,
        layers=layers,
        name=document.name,
        provenance=document.provenance,
        detector_settings=document.detector,
        heads=document.heads or (),
    )


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
