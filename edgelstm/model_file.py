"""The model file: safetensors with one JSON document beside the tensors; nothing in it can execute."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import ModelFileError
from edgelstm.model import Channel, Dense, Gru, Layer, Lstm, Model, Output, Provenance, RowProduct
from edgelstm.model_check import check

FORMAT_VERSION = 1
ARITHMETIC_VERSION = 0
METADATA_KEY = "edgelstm"
MAX_FILE_BYTES = 1 << 30

Tensors = dict[str, NDArray[Any]]


class _LstmEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="lstm", forbid_unknown_fields=True):
    name: str


class _GruEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="gru", forbid_unknown_fields=True):
    name: str
    reset_after: bool


class _DenseEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="dense", forbid_unknown_fields=True):
    name: str
    activation: str
    exponent: int


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format_version: int
    arithmetic_version: int
    name: str
    channels: tuple[Channel, ...]
    outputs: tuple[Output, ...]
    layers: tuple[_LstmEntry | _GruEntry | _DenseEntry, ...]
    provenance: Provenance
    detector: DetectorSettings | None = None
    digest: str = ""


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
        raise ModelFileError(f"{path}: cannot be read: {exc.strerror}") from exc


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
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ModelFileError(
            f"is {path.stat().st_size} bytes, more than the {MAX_FILE_BYTES} a model may have"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except (SafetensorError, ValueError, TypeError) as exc:
        raise ModelFileError(f"is damaged or no model file: {exc}") from None
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
                raise ModelFileError(
                    f"has {what} version {found}; this edgelstm knows {known}: update edgelstm"
                )
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
        layers=tuple(_entry(layer) for layer in model.layers),
        provenance=model.provenance,
        detector=model.detector_settings,
    )


def _entry(layer: Layer) -> _LstmEntry | _GruEntry | _DenseEntry:
    if isinstance(layer, Lstm):
        return _LstmEntry(layer.name)
    if isinstance(layer, Gru):
        return _GruEntry(layer.name, layer.reset_after)
    return _DenseEntry(layer.name, layer.activation, layer.exponent)


def _products(layer: Layer) -> dict[str, RowProduct]:
    if isinstance(layer, Dense):
        return {"product": layer.product}
    return {"inputs": layer.inputs, "hidden": layer.hidden}


_PARTS = ("weights", "multipliers", "shifts", "bias")


def _tensors(model: Model) -> Tensors:
    return dict(_named_tensors(model))


def _named_tensors(model: Model) -> Iterator[tuple[str, NDArray[Any]]]:
    for number, layer in enumerate(model.layers):
        for name, product in _products(layer).items():
            for part in _PARTS:
                yield f"{number}.{name}.{part}", np.ascontiguousarray(getattr(product, part))


def _assemble(document: _Document, tensors: Tensors) -> Model:
    remaining = dict(tensors)

    def product(number: int, layer: str, name: str) -> RowProduct:
        parts = []
        for part in _PARTS:
            key = f"{number}.{name}.{part}"
            if key not in remaining:
                raise ModelFileError(f'layer "{layer}": tensor {key} is missing')
            tensor = remaining.pop(key)
            tensor.flags.writeable = False
            parts.append(tensor)
        return RowProduct(*parts)

    layers: list[Layer] = []
    for number, entry in enumerate(document.layers):
        if isinstance(entry, _DenseEntry):
            only = product(number, entry.name, "product")
            layers.append(Dense(entry.name, only, entry.activation, entry.exponent))
            continue
        inputs, hidden = (product(number, entry.name, name) for name in ("inputs", "hidden"))
        if hidden.weights.ndim != 2 or inputs.weights.ndim != 2:
            raise ModelFileError(f'layer "{entry.name}": weights are not matrices')
        if isinstance(entry, _LstmEntry):
            layers.append(Lstm(entry.name, inputs, hidden))
        else:
            layers.append(Gru(entry.name, inputs, hidden, entry.reset_after))
    if remaining:
        raise ModelFileError(f"holds tensors that no layer uses: {', '.join(sorted(remaining))}")
    return Model(
        channels=document.channels,
        outputs=document.outputs,
        layers=tuple(layers),
        name=document.name,
        provenance=document.provenance,
        detector_settings=document.detector,
    )


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
