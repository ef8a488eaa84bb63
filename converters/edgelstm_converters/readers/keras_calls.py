"""How layers of a functional model are called: what of which layer they read, in the configurations of Keras 2 and 3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]
Value = Callable[[str, int, int], str | None]
"""Returns the name of an output of a layer's call, None where that was not made yet: layer, number of the call, of the output."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph that a call is given; `rank` is 0 where the file does not say it."""

    name: str
    rank: int = 0


class Unknown(Exception):
    """What a call reads is not computed yet."""


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of a call: tensors, and what else there is."""

    args: list[Any] = field(default_factory=list)
    kwargs: Settings = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """The names of all tensors among the arguments without a name."""
        return [tensor.name for tensor in tensors(self.args)]


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors(inner)


def calls_of(entry: Settings) -> list[Any]:
    """Return how a layer of a functional model is called, one for each time, as its file has them."""
    return list(entry.get("inbound_nodes") or [])


def read_call(call: Any, value: Value) -> Call:
    """Return a call of either version of Keras; raises Unknown where what it reads is not there yet."""
    if isinstance(call, dict):  # Keras 3
        kwargs = {key: _of_keras_3(given, value) for key, given in call.get("kwargs", {}).items()}
        return Call([_of_keras_3(given, value) for given in call["args"]], kwargs)
    entries = [call] if call and isinstance(call[0], str) else call
    given = [_of_keras_2(entry, value) for entry in entries]
    kwargs = {
        key: _argument(each, value) for key, each in (entries[0][3] if len(entries[0]) > 3 else {}).items()
    }
    return Call([given] if len(given) > 1 else given, kwargs)


def _of_keras_3(given: Any, value: Value) -> Any:
    if isinstance(given, list):
        return [_of_keras_3(inner, value) for inner in given]
    if not isinstance(given, dict):
        return given
    kind, config = given.get("class_name"), given.get("config") or {}
    if kind == "__keras_tensor__":
        layer, call, number = config["keras_history"]
        return Tensor(_known(value(layer, call, number)), len(config.get("shape") or ()))
    if kind == "__slice__":
        return slice(config["start"], config["stop"], config["step"])
    if kind == "__ellipsis__":
        return Ellipsis
    return {key: _of_keras_3(inner, value) for key, inner in given.items()}


def _of_keras_2(entry: list[Any], value: Value) -> Any:
    if entry[0] == "_CONSTANT_VALUE":
        return entry[2]
    return Tensor(_known(value(entry[0], entry[1], entry[2])))


def _argument(given: Any, value: Value) -> Any:
    """Return an argument with a name of Keras 2, where a tensor is its layer, call and number."""
    if isinstance(given, list) and [type(part) for part in given] == [str, int, int]:
        return _of_keras_2(given, value)
    if isinstance(given, dict) and set(given) == {"start", "stop", "step"}:
        return slice(given["start"], given["stop"], given["step"])
    if isinstance(given, list):
        return [_argument(inner, value) for inner in given]
    return given


def _known(name: str | None) -> str:
    if name is None:
        raise Unknown
    return name
