"""A layer as a model file holds it: its scalars in an entry of the document, its arrays as tensors.

Both follow from the fields of the layer's record, so a family writes nothing of its own. Positional fields are always
in the entry, those with a keyword only where they differ from their default.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ModelFileError
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct, RowProduct

Tensors = dict[str, NDArray[Any]]


def entry_of(layer: Layer) -> dict[str, Any]:
    """Return the layer's part of the document."""
    entry: dict[str, Any] = {"kind": layer.kind}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if _role(type(layer), field.name) == "layers":
            entry[field.name] = [entry_of(each) for each in value]
        elif _role(type(layer), field.name) == "scalar" and not (field.kw_only and value == field.default):
            entry[field.name] = value
    return entry


def tensors_of(layer: Layer, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield name and array of everything in the layer that is no scalar."""
    for field in dataclasses.fields(layer):
        value, name = getattr(layer, field.name), f"{prefix}.{field.name}"
        if isinstance(value, RowProduct | ElementProduct):
            for part in dataclasses.fields(value):
                yield f"{name}.{part.name}", np.ascontiguousarray(getattr(value, part.name))
        elif isinstance(value, np.ndarray):
            yield name, np.ascontiguousarray(value)
        elif _role(type(layer), field.name) == "layers":
            for number, inner in enumerate(value):
                yield from tensors_of(inner, f"{name}.{number}")


def layer_of(entry: dict[str, Any], prefix: str, tensors: Tensors, families: dict[str, type[Layer]]) -> Layer:
    """Make a layer of its entry, taking its arrays out of `tensors`.

    Raises ModelFileError for an unknown kind or field, a wrong type or a missing tensor.
    """
    family = families.get(str(entry.get("kind")))
    if family is None:
        known = ", ".join(families)
        raise ModelFileError(
            f'layer "{entry.get("name")}": kind is "{entry.get("kind")}", expected one of {known}'
        )
    try:
        scalars: Any = msgspec.convert(entry, _entry_type(family))
    except msgspec.ValidationError as exc:
        raise ModelFileError(f'its document is wrong: layer "{entry.get("name")}": {exc}') from None
    values: dict[str, Any] = {}
    for field in dataclasses.fields(family):
        role, name = _role(family, field.name), f"{prefix}.{field.name}"
        if role == "scalar":
            values[field.name] = getattr(scalars, field.name)
        elif role == "layers":
            inner = getattr(scalars, field.name)
            values[field.name] = tuple(
                layer_of(each, f"{name}.{number}", tensors, families) for number, each in enumerate(inner)
            )
        elif field.default is None and not any(key == name or key.startswith(f"{name}.") for key in tensors):
            values[field.name] = None
        elif role == "array":
            values[field.name] = _take(scalars.name, name, tensors)
        else:
            product = RowProduct if role == "rows" else ElementProduct
            parts = (
                _take(scalars.name, f"{name}.{part.name}", tensors) for part in dataclasses.fields(product)
            )
            values[field.name] = product(*parts)
    return family(**values)


def _take(layer: str, name: str, tensors: Tensors) -> NDArray[Any]:
    if name not in tensors:
        raise ModelFileError(f'layer "{layer}": tensor {name} is missing')
    tensor = tensors.pop(name)
    tensor.flags.writeable = False
    return tensor


@functools.cache
def _hints(family: type[Layer]) -> dict[str, Any]:
    return typing.get_type_hints(family)


def _role(family: type[Layer], name: str) -> str:
    """Return what a field holds: rows, elements, an array, layers or a scalar."""
    hint = _hints(family)[name]
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    kind = kinds[0] if type(None) in typing.get_args(hint) and len(kinds) == 1 else hint
    if kind is RowProduct:
        return "rows"
    if kind is ElementProduct:
        return "elements"
    if typing.get_origin(kind) is np.ndarray:
        return "array"
    return "layers" if kind == tuple[Layer, ...] else "scalar"


@functools.cache
def _entry_type(family: type[Layer]) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for field in dataclasses.fields(family):
        role = _role(family, field.name)
        if role == "layers":
            fields.append((field.name, list[dict[str, Any]]))
        elif role == "scalar" and field.kw_only:
            fields.append((field.name, _hints(family)[field.name], field.default))
        elif role == "scalar":
            fields.append((field.name, _hints(family)[field.name]))
    return msgspec.defstruct(
        family.__name__,
        fields,
        tag_field="kind",
        tag=family.kind,
        kw_only=True,
        frozen=True,
        forbid_unknown_fields=True,
    )
