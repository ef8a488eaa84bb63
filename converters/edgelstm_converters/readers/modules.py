"""From named weights, as PyTorch names them, to layers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, repeat

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import (
    ACTIVATIONS,
    FloatDense,
    FloatGru,
    FloatLayer,
    FloatLstm,
    FloatModel,
    Floats,
)
from edgelstm_converters.gate_order import GRU, LSTM, TORCH_GRU, TORCH_LSTM, reorder
from edgelstm_converters.layers import FloatConcat, FloatCurve, FloatEmbedding, FloatRnn
from edgelstm_converters.layers.pointwise import Pointwise

Weights = Mapping[str, NDArray[np.float32]]
Activation = str | Pointwise
"""What follows a linear module: a function that a layer has of its own, by name, or any other."""
_MODULE = r"(?:(?P<module>.+)\.)?"
_RECURRENT = re.compile(
    _MODULE + r"(?P<part>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(?P<layer>\d+)(?P<reverse>_reverse)?"
)
_CELL = re.compile(_MODULE + r"(?P<part>weight_ih|weight_hh|bias_ih|bias_hh)")
_LINEAR = re.compile(_MODULE + r"(?P<part>weight|bias)")
_MOST_TO_ORDER = 7
EXPORT_IT = "; more converts out of a graph: save it with torch.export (.pt2) or as ONNX"
SAY_IT = "; of a file, --architecture says which layer it belongs to"
LEAVE_OUT = "; what is no part of the network, such as a loss, is left out by naming the modules that are with --order"
_REVERSE = "_reverse"


@dataclass(slots=True, eq=False)
class _Module:
    """The weights of one module, by part: "weight", "bias", or ("weight_ih", layer) and so on."""

    name: str
    parts: dict[tuple[str, int], NDArray[np.float32]] = field(default_factory=dict)

    is_table: bool = False

    @property
    def is_linear(self) -> bool:
        return ("weight", 0) in self.parts and not self.is_table

    @property
    def sizes(self) -> tuple[int, int]:
        """Return how many values go in and how many come out."""
        if self.is_table:
            return 1, self.parts["weight", 0].shape[1]
        if self.is_linear:
            return self.parts["weight", 0].shape[1], self.parts["weight", 0].shape[0]
        last = max(layer for _, layer in self.parts)
        directions = 2 if self.is_bidirectional else 1
        return self.parts["weight_ih", 0].shape[1], directions * self.parts["weight_hh", last].shape[1]

    @property
    def is_bidirectional(self) -> bool:
        return any(part.endswith(_REVERSE) for part, _ in self.parts)


def assemble(
    weights: Weights,
    *,
    in_order: bool,
    order: Sequence[str] | None,
    activations: Sequence[Activation] | None,
    inputs: int | None = None,
    squashing: Mapping[str, str] | None = None,
) -> FloatModel:
    """Make a chain of layers of the weights of a state_dict.

    in_order     whether `weights` are in the order of the modules
    order        names of the modules, first to last, where that has to be said; others are left out
    activations  of the linear modules, in order, by their names or as functions; a single linear module at the end is linear unless said otherwise
    inputs       how many channels there are, which may decide the order
    squashing    tanh or relu, by the name of a plain recurrent module, which its weights do not tell

    Raises ConversionError naming the key, or asking for what cannot be known.
    """
    if order is not None:
        weights = _only(weights, order)
    chain = _order(_modules(weights), in_order, order, inputs)
    linear = [module for module in chain if module.is_linear]
    names = _activations([module.name for module in linear], activations, chain[-1:] == linear)
    layers: list[FloatLayer] = []
    backward: list[str] = []
    for module in chain:
        if module.is_table:
            layers.append(FloatEmbedding(module.name, module.parts["weight", 0]))
        elif module.is_linear:
            matrix = module.parts["weight", 0]
            bias = module.parts.get(("bias", 0), np.zeros(len(matrix), np.float32))
            layers += _linear(module.name, matrix, bias, names.pop(0))
        else:
            layers.extend(
                _recurrent(module, layers[-1].name if layers else INPUT, (squashing or {}).get(module.name))
            )
            backward.extend(layer.name for layer in layers if layer.name.endswith(_REVERSE))
    return FloatModel(chain[0].sizes[0], tuple(layers), backward=tuple(dict.fromkeys(backward)))


def _linear(name: str, matrix: Floats, bias: Floats, activation: Activation) -> list[FloatLayer]:
    """Return the layers of a linear module; a function that no layer has of its own is a table behind it."""
    if isinstance(activation, str):
        return [FloatDense(name, matrix, bias, activation)]
    one, none = np.ones(len(matrix), np.float32), np.zeros(len(matrix), np.float32)
    return [FloatDense(name, matrix, bias, "linear"), FloatCurve(f"{name}_curve", activation, one, none)]


def owner(key: str) -> str:
    """Return the name of the module that a weight belongs to."""
    return key.rpartition(".")[0] or "layer"


def _only(weights: Weights, order: Sequence[str]) -> Weights:
    names = dict.fromkeys(map(owner, weights))
    if len(set(order)) < len(order) or not set(order) <= set(names):
        raise ConversionError(f"--order names {', '.join(order)}; the modules are {', '.join(names)}")
    return {key: tensor for key, tensor in weights.items() if owner(key) in order}


def _modules(weights: Weights) -> list[_Module]:
    modules: dict[str, _Module] = {}
    for key, tensor in weights.items():
        found = _RECURRENT.fullmatch(key) or _CELL.fullmatch(key) or _LINEAR.fullmatch(key)
        if found is None:
            raise ConversionError(
                f'"{key}" of shape {tensor.shape} belongs to no LSTM, GRU or linear module{LEAVE_OUT}{SAY_IT}{EXPORT_IT}'
            )
        groups = found.groupdict()
        if tensor.ndim != (1 if groups["part"].startswith("bias") else 2):
            raise ConversionError(_other_shape(key, tensor.shape, f"{owner(key)}.running_mean" in weights))
        if not np.isfinite(tensor).all():
            raise ConversionError(f'"{key}" holds numbers that are not finite')
        if tensor.size == 0 or tensor.dtype.kind != "f":
            raise ConversionError(
                f'"{key}" is {tensor.dtype} of shape {tensor.shape}, expected floating point'
            )
        name = groups["module"] or "layer"
        module = modules.setdefault(name, _Module(name))
        part = groups["part"] + (groups.get("reverse") or "")
        module.parts[part, int(groups.get("layer") or 0)] = np.asarray(tensor, np.float32)
    if not modules:
        raise ConversionError("holds no weights")
    for module in modules.values():
        _check_parts(module)
    return list(modules.values())


def _other_shape(key: str, shape: tuple[int, ...], has_mean: bool) -> str:
    """Say what module a weight is likely of, and how its network can be converted."""
    said = f'"{key}" has shape {shape}'
    if len(shape) == 3:
        return (
            f"{said}, as of a Conv1d of {shape[2]} taps: a state_dict does not say its stride, padding and dilation. Where it is "
            f'causal, an architecture file does (kind = "conv1d", --architecture){EXPORT_IT}'
        )
    if len(shape) > 3:
        return f"{said}, as of a convolution along {len(shape) - 2} axes, which is not found in a state_dict{EXPORT_IT}"
    if has_mean:
        return f"{said}, as of a batch normalisation, which is not found in a state_dict{EXPORT_IT}"
    return (
        f"{said}: only LSTM, GRU and linear modules are found in a state_dict; a layer normalisation is said in an architecture "
        f'file (kind = "normalization", --architecture){LEAVE_OUT}{EXPORT_IT}'
    )


def _check_parts(module: _Module) -> None:
    """Raise ConversionError where a part is missing, or has another shape than the others ask for."""
    kinds = {part for part, _ in module.parts}
    layers, needed = 1, ["weight"]
    if not kinds <= {"weight", "bias"}:
        layers, needed = max(layer for _, layer in module.parts) + 1, ["weight_ih", "weight_hh"]
        if kinds.intersection({"bias_ih", "bias_hh"}):  # a recurrent module has both of them or none
            needed += ["bias_ih", "bias_hh"]
        if module.is_bidirectional:
            needed += [kind + _REVERSE for kind in needed]
    for layer in range(layers):
        for kind in needed:
            if (kind, layer) not in module.parts:
                raise ConversionError(f'module "{module.name}": its {kind} of layer {layer} is missing')
        rows = len(module.parts[needed[0], layer])
        for end in ("", _REVERSE):
            projection = module.parts.get(("weight_hr" + end, layer))
            hidden = module.parts.get(("weight_hh" + end, layer))
            if (
                projection is not None
                and hidden is not None
                and projection.shape != (hidden.shape[1], rows // 4)
            ):
                raise ConversionError(
                    f'module "{module.name}": its weight_hr has shape {projection.shape}, which does not fit the others'
                )
        for kind in ("bias", "bias_ih", "bias_hh"):
            bias = module.parts.get((kind, layer))
            if bias is not None and bias.shape != (rows,):
                raise ConversionError(
                    f'module "{module.name}": its {kind} has shape {bias.shape}, expected ({rows},)'
                )


def _order(
    modules: list[_Module], in_order: bool, order: Sequence[str] | None, inputs: int | None
) -> list[_Module]:
    names = [module.name for module in modules]
    if order is not None:
        modules = [modules[names.index(name)] for name in order]
    elif not in_order:
        modules = _only_chain(modules, names, inputs)
    if order is not None or in_order:
        _see_a_table(modules)
    for before, after in zip(modules[:-1], modules[1:], strict=True):
        if before.sizes[1] != after.sizes[0]:
            raise ConversionError(
                f'module "{before.name}" gives {before.sizes[1]} values but "{after.name}" after it takes '
                f"{after.sizes[0]}; if that is not their order, say --order"
            )
    return modules


def _see_a_table(modules: list[_Module]) -> None:
    """Take the first module as an embedding where its matrix has no bias and fits what comes after it as a table only."""
    if len(modules) > 1 and set(modules[0].parts) == {("weight", 0)}:
        rows, columns = modules[0].parts["weight", 0].shape
        wanted = modules[1].sizes[0]
        modules[0].is_table = columns == wanted != rows


def _fits(modules: Sequence[_Module]) -> bool:
    return all(a.sizes[1] == b.sizes[0] for a, b in zip(modules[:-1], modules[1:], strict=True))


def _only_chain(modules: list[_Module], names: list[str], inputs: int | None) -> list[_Module]:
    """Return the one order in which sizes fit; nothing is guessed where there are several."""
    say = f"say --order {','.join(names)}, with the first to see a sample in front"
    if len(modules) > _MOST_TO_ORDER:
        raise ConversionError(f"the file does not keep the order of its {len(names)} modules: {say}")
    chains = [list(chain) for chain in permutations(modules) if _fits(chain)]
    if not chains:
        raise ConversionError(f"the sizes of its modules {', '.join(names)} fit together in no order")
    fed = [chain for chain in chains if inputs in (None, chain[0].sizes[0])]
    if not fed:
        sizes = " or ".join(str(size) for size in sorted({chain[0].sizes[0] for chain in chains}))
        raise ConversionError(
            f"the model has {sizes} inputs but the calibration has {inputs} channels; "
            "choose and order them with --channels a,b,c"
        )
    if len(fed) > 1:
        raise ConversionError(
            f"the file does not keep the order of its modules, and {len(fed)} orders fit: {say}"
        )
    return fed[0]


def _activations(
    linear: list[str], activations: Sequence[Activation] | None, only_head: bool
) -> list[Activation]:
    if activations is None:
        if (len(linear) <= 1 and only_head) or not linear:
            return list(repeat("linear", len(linear)))
        raise ConversionError(
            f"the file does not say what follows the linear modules {', '.join(linear)}: say --activations, "
            f"{len(linear)} of {', '.join(ACTIVATIONS)}{EXPORT_IT}"
        )
    if len(activations) != len(linear):
        raise ConversionError(
            f"{len(activations)} activations for {len(linear)} linear modules: {', '.join(linear)}"
        )
    for name in activations:
        if isinstance(name, str) and name not in ACTIVATIONS:
            raise ConversionError(f'activation "{name}", expected one of {", ".join(ACTIVATIONS)}{EXPORT_IT}')
    return list(activations)


def _recurrent(module: _Module, before: str, squashing: str | None) -> list[FloatLayer]:
    """Return the stacked layers of a module that reads the layer `before`; of both directions, put together, where it has two."""
    layers: list[FloatLayer] = []
    count, read = max(layer for _, layer in module.parts) + 1, before
    for number in range(count):
        name = module.name if count == 1 else f"{module.name}_{number}"
        w_ih = module.parts["weight_ih", number]
        if number and w_ih.shape[1] != layers[-1].units:
            raise ConversionError(
                f'module "{name}" takes {w_ih.shape[1]} values but the layer before it gives {layers[-1].units}'
            )
        if not module.is_bidirectional:
            layers.append(_cell(module, number, name, "", squashing))
            continue
        directions = (
            _cell(module, number, name, "", squashing),
            _cell(module, number, name + _REVERSE, _REVERSE, squashing),
        )
        names = tuple(direction.name for direction in directions)
        layers.extend(replace(direction, sources=(read,)) for direction in directions)
        widths = tuple(direction.units for direction in directions)
        layers.append(FloatConcat(f"{name}_both", widths, sources=names))
        read = layers[-1].name
    return layers


def _cell(module: _Module, number: int, name: str, direction: str, squashing: str | None) -> FloatLayer:
    found = [(part + direction, number) for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    w_ih, w_hh = (module.parts[key] for key in found[:2])
    none = np.zeros(len(w_ih), np.float32)
    b_ih, b_hh = (module.parts.get(key, none) for key in found[2:])
    projection = module.parts.get(("weight_hr" + direction, number))
    units = w_hh.shape[1] if projection is None else projection.shape[1]
    gates = len(w_hh) // units if len(w_hh) % units == 0 else 0
    if len(w_ih) != len(w_hh) or gates not in (1, 3, 4):
        raise ConversionError(
            f'module "{name}": weights of shape {w_ih.shape} and {w_hh.shape} belong to no LSTM (4 gates), GRU (3) or RNN (1)'
        )
    if gates == 4:
        w, r, bias = (reorder(part, TORCH_LSTM, LSTM) for part in (w_ih, w_hh, b_ih + b_hh))
        return FloatLstm(name, w, r, bias, projection_weights=projection)
    if gates == 1 and squashing is None:
        raise ConversionError(
            f'module "{name}" is a plain RNN, and the file does not say whether with tanh or relu: say it in an '
            "architecture file (--architecture), or export it to ONNX"
        )
    if gates == 1:
        return FloatRnn(name, w_ih, w_hh, b_ih + b_hh, squashing or "")
    w, r, bx, bh = (reorder(part, TORCH_GRU, GRU) for part in (w_ih, w_hh, b_ih, b_hh))
    return FloatGru(name, w, r, bx, bh)
