"""Where in what somebody saved the network is: a state_dict, alone or in a checkpoint of training, or a whole module.

What training wraps a module in (`module.` of DataParallel and averages, `_orig_mod.` of torch.compile) is taken off the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.pickled import Made
from edgelstm_converters.readers.torch_file import MAX_BYTES, TorchFile, mapping_of, tensor_of

DEEPEST, MOST_MODULES = 4, 10_000
_WEIGHT = re.compile(r"(.*[._])?(weight|bias|kernel)(_.*)?")
_USUAL = ("", "state_dict", "model_state_dict", "model")
"""Where dictionaries of tensors are weights, whatever their names."""
_PARALLEL, _COMPILED, _COUNTER = "module.", "_orig_mod", "n_averaged"
SAVE_IT = "torch.save(model.state_dict(), path)"


@dataclass(frozen=True, slots=True)
class Network:
    """Weights by name, still unread; `modules` are the classes of a whole module by name, with their attributes.

    place  where in the file: "state_dict", or "" for all of it
    """

    place: str
    tensors: Mapping[str, Any]
    modules: Mapping[str, Made] = field(default_factory=dict)


def network(content: Any, asked: str | None) -> Network:
    """Return the one network of a file, or the one at the place that is asked for; raises ConversionError naming what there is."""
    found = {part.place: part for part in _networks(content, "", 0)}
    if asked is not None:
        if asked not in found:
            raise ConversionError(f'--weights names "{asked}"; {_what_is(content, found)}')
        return found[asked]
    if not found:
        raise ConversionError(
            f"holds no weights: {_what_is(content, found)}; expected names and tensors, from {SAVE_IT}"
        )
    if len(found) > 1:
        raise ConversionError(
            f"holds the weights of {len(found)} networks, {' and '.join(found)}: say which with --weights"
        )
    return next(iter(found.values()))


def _networks(value: Any, place: str, depth: int) -> Iterator[Network]:
    if depth > DEEPEST:
        return
    if isinstance(value, Made) and isinstance(value.state, dict):
        tensors, modules = dict[str, Any](), dict[str, Made]()
        _walk(value, "", tensors, modules)
        if tensors:
            yield Network(place, tensors, modules)
            return
    inner = mapping_of(value)
    if "param_groups" in inner:  # of an optimizer, which keeps tensors for every weight
        return
    if inner and _is_state_dict(inner, place):
        yield Network(place, inner)
        return
    for key, part in inner.items():
        if isinstance(key, str):
            yield from _networks(part, f"{place}.{key}" if place else key, depth + 1)


def _is_state_dict(found: Mapping[Any, Any], place: str) -> bool:
    if not all(isinstance(key, str) and not isinstance(value, dict) for key, value in found.items()):
        return False
    if any(_WEIGHT.fullmatch(key) and isinstance(value, Made) for key, value in found.items()):
        return True
    return place in _USUAL and all(tensor_of(value) is not None for value in found.values())


def _walk(top: Made, name: str, tensors: dict[str, Any], modules: dict[str, Made]) -> None:
    """Gather the parameters of a module and of those in it, and the modules themselves, in their order."""
    open_ = [(top, name)]
    while open_:
        module, name = open_.pop()
        if len(modules) > MOST_MODULES:
            raise ConversionError(f"has more than {MOST_MODULES:,} modules")
        modules[name] = module
        start = f"{name}." if name else ""
        given = module.state
        own = {**mapping_of(given.get("_parameters")), **mapping_of(given.get("_buffers"))}
        hidden = _names(given.get("_non_persistent_buffers_set"))
        tensors.update(
            {f"{start}{key}": value for key, value in own.items() if value is not None and key not in hidden}
        )
        inner = mapping_of(given.get("_modules"))
        open_ += [
            (part, f"{start}{key}") for key, part in inner.items()
            if isinstance(part, Made) and isinstance(part.state, dict)
        ][::-1]  # fmt: skip


def _names(found: Any) -> list[Any]:
    """Return what a set holds, which a pickle may make of a list."""
    inside = found.given[0] if isinstance(found, Made) and found.given else found
    return inside if isinstance(inside, list) else []


def _what_is(content: Any, found: Mapping[str, Network]) -> str:
    """Say what a file has in it, for somebody who looks for weights there."""
    if list(found) == [""]:
        return "the whole file is one network"
    if found:
        return f"the networks are {', '.join(found)}"
    inner = mapping_of(content)
    if inner:
        names = [str(key)[:40] for key in list(inner)[:8]]
        if any("_packed_params" in str(key) for key in inner):
            return "it is quantised: save it as it was before that"
        return f"it has {', '.join(names)}{', ...' if len(inner) > len(names) else ''}"
    if isinstance(content, Made):
        tensor = tensor_of(content)
        return f"it is a tensor of shape {tensor.shape}" if tensor else f"it is a {content.by}"
    return f"it is a {type(content).__name__}"


def arrays(file: TorchFile, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Read the numbers of tensors; raises ConversionError naming one that has none, or where there are too many."""
    found = dict[str, Any]()
    left = MAX_BYTES
    for name, value in tensors.items():
        tensor = tensor_of(value)
        if tensor is None:
            kind = value.by.rpartition("._rebuild_")[2] if isinstance(value, Made) else type(value).__name__
            raise ConversionError(f'"{name}" is a {kind}, expected a tensor of floating point from {SAVE_IT}')
        found[name] = file.array(name, tensor)
        left -= found[name].nbytes
        if left < 0:
            raise ConversionError(f"its weights are more than the {MAX_BYTES:,} bytes that are read")
    return found


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Return each name as the module itself has it, by the name in the file."""
    found = {name: name.replace(f"{_COMPILED}.", "") for name in names if name != _COUNTER}
    while found and all(name.startswith(_PARALLEL) for name in found.values()):
        found = {key: name.removeprefix(_PARALLEL) for key, name in found.items()}
    return found if len(set(found.values())) == len(found) else {name: name for name in found}
