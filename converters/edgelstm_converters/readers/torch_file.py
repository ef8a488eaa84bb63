"""What `torch.save` writes, read without PyTorch: a pickle, as data, and the numbers of its tensors beside it.

Since PyTorch 1.6 that is a zip container, before it a row of pickles with the numbers behind them.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import pickled
from edgelstm_converters.readers.pickled import Made, Named

MAX_BYTES = 1 << 30
"""Of the tensors that are read, and of a file of the old kind."""
NO_FILE = "is damaged or no PyTorch file"
_MAGIC = 0x1950A86A20F9469CFC6C
_NUMBERS = {
    "Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "u2", "Long": "i8", "Int": "i4", "Short": "i2",
    "Char": "i1", "Byte": "u1", "Bool": "?",
}  # fmt: skip
_REBUILD = {"torch._utils._rebuild_tensor_v2": 4, "torch._utils._rebuild_tensor": 4}
_PARAMETER = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the numbers of tensors are: so many, of a kind such as "Float"."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; its numbers are read when they are asked for."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What was saved: dictionaries, lists, `Tensor`, and `Made` for everything else.

    members  of the container, without the folder that they are all in; none of a file of the old kind
    """

    content: Any
    members: frozenset[str]
    _bytes_of: Callable[[Storage, int], bytes]
    _order: str

    def array(self, name: str, tensor: Tensor) -> NDArray[np.generic]:
        """Return the numbers of a tensor, float32 where there are more bits or fewer; raises ConversionError naming it."""
        storage = tensor.storage
        if storage.kind not in _NUMBERS:
            raise ConversionError(
                f'"{name}" is {storage.kind.lower()} of shape {tensor.shape}, expected floating point'
            )
        dtype = np.dtype(self._order + _NUMBERS[storage.kind])
        size = math.prod(tensor.shape)
        last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
        if size and not (0 <= tensor.offset <= last < storage.count and size <= storage.count):
            raise ConversionError(f'is damaged: "{name}" reaches beyond its {storage.count:,} numbers')
        if size * dtype.itemsize > MAX_BYTES:
            raise ConversionError(
                f'"{name}" is {size * dtype.itemsize:,} bytes, more than the {MAX_BYTES:,} that are read'
            )
        numbers = np.frombuffer(self._bytes_of(storage, dtype.itemsize), dtype)[tensor.offset :]
        if storage.kind == "BFloat16":  # the upper half of a float32
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        steps = [stride * numbers.itemsize for stride in tensor.strides]
        found: NDArray[np.generic] = np.lib.stride_tricks.as_strided(
            numbers, tensor.shape, steps, writeable=False
        )
        return np.array(found, np.float32 if found.dtype.kind == "f" else found.dtype.newbyteorder("="))


def load(path: Path) -> TorchFile:
    """Read a file of `torch.save`; raises ConversionError for what is none."""
    try:
        with zipfile.ZipFile(path) as container:
            return _of_container(container, path)
    except zipfile.BadZipFile:
        pass  # then it may be of the old kind
    except (OSError, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError) as exc:
        raise ConversionError(f"is damaged: {exc}") from None
    if path.stat().st_size > MAX_BYTES:
        raise ConversionError(f"is {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    return _of_row(path.read_bytes())


def _of_container(container: zipfile.ZipFile, path: Path) -> TorchFile:
    names = {name.partition("/")[2]: name for name in container.namelist()}
    members = frozenset(names)
    if "data.pkl" not in names:
        return TorchFile(None, members, lambda storage, itemsize: b"", "<")
    order = ">" if "byteorder" in names and _member(container, names["byteorder"]) == b"big" else "<"
    content = pickled.read(io.BytesIO(_member(container, names["data.pkl"])), _storage)

    def bytes_of(storage: Storage, itemsize: int) -> bytes:
        member = names.get(f"data/{storage.key}")
        if member is None:
            raise ConversionError(f'is damaged: its tensor data "{storage.key}" is missing')
        with zipfile.ZipFile(path) as again:
            found = _member(again, member)
        if len(found) < storage.count * itemsize:
            raise ConversionError(
                f'is damaged: "{member}" has {len(found):,} bytes, expected {storage.count * itemsize:,}'
            )
        return found[: storage.count * itemsize]

    return TorchFile(content, members, bytes_of, order)


def _member(container: zipfile.ZipFile, name: str) -> bytes:
    """Return a part of the container, which is stored as it is and has a check sum."""
    entry = container.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ConversionError(f'is no PyTorch file: "{name}" is compressed')
    if entry.file_size > MAX_BYTES:
        raise ConversionError(
            f'"{name}" is {entry.file_size:,} bytes, more than the {MAX_BYTES:,} that are read'
        )
    try:
        return container.read(name)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as exc:
        if "CRC" in str(exc):
            raise ConversionError(f'is damaged: the check sum of "{name}" is wrong') from None
        raise ConversionError(f"is damaged: {exc}") from None


def _of_row(content: bytes) -> TorchFile:
    """Read the old kind: four pickles, a list of keys, then for each key a count and so many numbers."""
    stream = io.BytesIO(content)
    try:
        if pickled.read(stream, _storage) != _MAGIC:
            raise ConversionError(NO_FILE)
    except ConversionError:
        raise ConversionError(NO_FILE) from None
    version, system = pickled.read(stream, _storage), pickled.read(stream, _storage)
    if version != 1001 or not isinstance(system, dict):
        raise ConversionError(NO_FILE)
    order = "<" if system.get("little_endian", True) else ">"
    storages: dict[str, Storage] = {}

    def persistent(asked: Any) -> Any:
        found = _storage(asked)
        if isinstance(found, Storage):
            storages[found.key] = found
        return found

    saved, keys = pickled.read(stream, persistent), pickled.read(stream, _storage)
    places: dict[str, tuple[int, int]] = {}
    for key in keys if isinstance(keys, list) else []:
        count = int.from_bytes(stream.read(8), "little" if order == "<" else "big")
        kind = storages[key].kind if isinstance(key, str) and key in storages else ""
        width = np.dtype(_NUMBERS[kind]).itemsize if kind in _NUMBERS else 0
        if not width:
            raise ConversionError("is damaged, or holds numbers of a kind that is not read")
        if count * width > len(content):
            raise ConversionError("is damaged: the numbers of its tensors are cut off")
        places[key] = stream.tell(), count * width
        stream.seek(count * width, io.SEEK_CUR)

    def bytes_of(storage: Storage, itemsize: int) -> bytes:
        start, size = places.get(storage.key, (0, 0))
        if size < storage.count * itemsize or start + size > len(content):
            raise ConversionError("is damaged: the numbers of its tensors are cut off")
        return content[start : start + storage.count * itemsize]

    return TorchFile(saved, frozenset(), bytes_of, order)


def _storage(asked: Any) -> Any:
    """Return what a pickle says is outside of it: the storage of tensors, or the class of a module with its source text."""
    if isinstance(asked, tuple) and len(asked) >= 5 and asked[0] == "storage" and isinstance(asked[1], Named):
        _, kind, key, _, count = asked[:5]
        if not isinstance(count, int) or not isinstance(key, str) or count < 0 or any(asked[5:]):
            raise ConversionError("is damaged: the place of a tensor is none")
        return Storage(kind.name.removeprefix("torch.").removesuffix("Storage"), key, count)
    if isinstance(asked, tuple) and len(asked) >= 2 and asked[0] == "module" and isinstance(asked[1], Named):
        return asked[1]
    raise ConversionError("is damaged: it refers to something that is neither tensor nor class")


def tensor_of(value: Any) -> Tensor | None:
    """Return the tensor that a value is, or a parameter holds; None where it is something else, a quantised tensor for one."""
    if isinstance(value, Made) and value.by in _PARAMETER and value.given:
        value = value.given[0]
    if not isinstance(value, Made) or value.by not in _REBUILD or len(value.given) < _REBUILD[value.by]:
        return None
    storage, offset, shape, strides = value.given[:4]
    sizes = (*shape, *strides, offset) if isinstance(shape, tuple) and isinstance(strides, tuple) else (None,)
    whole = all(isinstance(size, int) and 0 <= size < 1 << 40 for size in sizes)
    if not isinstance(storage, Storage) or not whole or len(shape) != len(strides):
        raise ConversionError("is damaged: the shape of a tensor is none")
    return Tensor(storage, offset, shape, strides)


def mapping_of(value: Any) -> Mapping[Any, Any]:
    """Return what a value holds by name: a dictionary, or one of a class of its own."""
    if isinstance(value, dict):
        return value
    return value.items if isinstance(value, Made) else {}
