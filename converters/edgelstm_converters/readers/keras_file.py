"""What Keras writes: .keras (a zip of JSON and HDF5) and .h5 of Keras 2 and 3, read with h5py alone."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.readers.engines import Engine, EngineDied, EngineError
from edgelstm_converters.trace.graph import Array, finite

MAX_BYTES = 1 << 30
MAX_DEPTH = 24
LIMIT_S = 60.0
Stored = dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The weights of a model or of a layer, by their path below it.

    names  of the layers in it by their path, where a .keras file says them
    """

    weights: Stored
    names: dict[str, str]
    top: bool = False

    def inside(self, name: str, class_name: str, number: int) -> Scope:
        """Return what belongs to the layer `name`; `number` counts the layers of its class."""
        place = counted(class_name, number)
        named = (path for path, each in self.names.items() if each == name and path.count("/") == 1)
        counted_places = (f"layers/{place}", f"_layer_checkpoint_dependencies/{place}")
        by_name = f"model_weights/{name}"
        of_names = any(path.startswith("model_weights/") for path in self.weights)
        for root in (by_name,) if of_names else (*named, *counted_places):
            found = self._below(root)
            if found.weights:
                return found
        if self.top or self.names:
            return Scope({}, {})
        within = {path: values for path, values in self.weights.items() if name in path.split("/")[:-1]}
        return Scope(within, {})

    def wrapped(self) -> Scope:
        """Return what belongs to the layer that this one wraps."""
        found = self._below("layer")
        return found if found.weights else self

    def _below(self, root: str) -> Scope:
        start = f"{root}/"
        weights = {path.removeprefix(start): v for path, v in self.weights.items() if path.startswith(start)}
        names = {
            path.removeprefix(start): name for path, name in self.names.items() if path.startswith(start)
        }
        return Scope(weights, names)


@dataclass(frozen=True, slots=True, eq=False)
class KerasFile:
    """The configuration of a model, the version of Keras that wrote it, and its weights by path in the file."""

    config: dict[str, Any]
    version: str
    weights: Stored
    names: dict[str, str]
    """Of the layers of a .keras file, by their path; empty for .h5."""

    @property
    def scope(self) -> Scope:
        return Scope(self.weights, self.names, top=True)


def counted(class_name: str, number: int) -> str:
    """Return how Keras names the weights of an object: its class in snake case, and a number from the second on."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
    return f"{snake}_{number}" if number else snake


def load(path: Path) -> KerasFile:
    """Read a file; raises ConversionError for what is damaged, or no Keras model with its weights.

    HDF5 runs for ever on some damaged files: it reads in a process of its own.
    """
    found, weights = _apart(path, "model")
    return KerasFile(found["config"], found["version"], weights, found["names"])


def weights_alone(path: Path) -> Stored:
    """Read the arrays of a .h5 file by their path in it, whatever model they belong to."""
    if path.suffix.lower() == ".keras":
        raise ConversionError("says itself what its layers are, without --architecture")
    return _apart(path, "weights")[1]


def _apart(path: Path, what: str) -> tuple[dict[str, Any], Stored]:
    if find_spec("h5py") is None:
        raise UnavailableError(f"{path}: reading it needs h5py: pip install 'edgelstm[keras]'")
    if path.stat().st_size > MAX_BYTES:
        raise ConversionError(f"is {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    try:
        engine = Engine("hdf5", path, what.encode(), limit_s=LIMIT_S)
        found: dict[str, Any] = json.loads(engine.given)
        return found, dict(zip(found.pop("paths"), engine.run({}), strict=True))
    except EngineError as exc:
        raise ConversionError(str(exc)) from None
    except EngineDied as exc:
        raise ConversionError(f"is damaged: {exc}") from None


def parse(path: Path, what: str) -> KerasFile:
    """Read a file in this process: a "model", or "weights" alone; raises ConversionError."""
    import h5py

    try:
        if path.suffix.lower() == ".keras":
            return _from_zip(path, h5py)
        with h5py.File(path, "r") as file:
            if what == "weights":
                return KerasFile({}, "", _weights(file, h5py, {}), {})
            return _from_h5(file, h5py)
    except ConversionError:
        raise
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        RuntimeError,
        AttributeError,
        zipfile.BadZipFile,
        RecursionError,
        EOFError,
        NotImplementedError,
    ) as exc:
        reason = next(iter(str(exc).strip().splitlines()), type(exc).__name__)
        raise ConversionError(f"is damaged or no Keras model: {reason}") from None


def _from_zip(path: Path, h5py: Any) -> KerasFile:
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            if name not in archive.namelist():
                raise ConversionError(f"has no {name} in it, as a file of model.save() has")
            if archive.getinfo(name).file_size > MAX_BYTES:
                raise ConversionError(f"its {name} unpacks to more than {MAX_BYTES:,} bytes")
        config = json.loads(archive.read("config.json"))
        version = str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
        content = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(content), "r") as file:
        names: dict[str, str] = {}
        weights = _weights(file, h5py, names)
    return KerasFile(config, version, weights, names)


def _from_h5(file: Any, h5py: Any) -> KerasFile:
    text = file.attrs.get("model_config")
    if text is None:
        raise ConversionError(
            "holds weights without the model they belong to: save the whole model, with model.save(), or say with "
            "--architecture which of them are what"
        )
    text = text.decode() if isinstance(text, bytes) else text
    version = file.attrs.get("keras_version", "")
    version = version.decode() if isinstance(version, bytes) else str(version)
    return KerasFile(json.loads(text), version, _weights(file, h5py, {}), {})


def _weights(file: Any, h5py: Any, names: dict[str, str]) -> Stored:
    """Read every dataset, from this file and no other; put the paths of layers into `names`."""
    found: Stored = {}
    left = MAX_BYTES

    def walk(group: Any, path: str, depth: int) -> None:
        nonlocal left
        if depth > MAX_DEPTH:
            raise ConversionError(f'its groups are nested more than {MAX_DEPTH} deep, at "{path}"')
        if path.endswith("/vars") and "name" in group.attrs:
            names[path.removesuffix("/vars")] = str(group.attrs["name"])
        for key in group:
            inner = f"{path}/{key}" if path else key
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ConversionError(f'"{inner}" is a link to somewhere else')
            item = group[key]
            if isinstance(item, h5py.Group):
                walk(item, inner, depth + 1)
                continue
            if item.external or item.is_virtual:
                raise ConversionError(f'"{inner}" stands in another file')
            if item.dtype.kind != "f":
                continue
            left -= item.size * item.dtype.itemsize
            if left < 0:
                raise ConversionError(
                    f'"{inner}": the weights are more than the {MAX_BYTES:,} bytes that are read'
                )
            found[inner] = finite(inner, np.asarray(item[()], np.float32))

    walk(file, "", 0)
    return found
