"""The weights of a PyTorch module, from `torch.save` (.pt, .pth, .ckpt, .bin) or safetensors; neither needs PyTorch.

A whole module that was pickled gives its weights and the classes of its modules; its code is not run, as nothing in a pickle is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.readers import Asked, Reading, checkpoint, named_layers, proof, torch_script
from edgelstm_converters.readers.modules import Activation, Weights, assemble, owner
from edgelstm_converters.readers.pickled import Made
from edgelstm_converters.readers.torch_file import NO_FILE, load, mapping_of
from edgelstm_converters.readers.torch_leaves import ACTIVATIONS, CURVES, leaves

FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_SEQUENTIAL = "torch.nn.modules.container.Sequential"
NOT_RUN = "a pickled module is read without running its code, so pooling, activations, skips and an order of its own in forward() are not seen"
WEIGHTS_ALONE = "a state_dict has weights alone, so pooling, activations, skips and an order of its own in forward() are not seen"
GRAPH = "a graph says them, .pt2 or ONNX, or an architecture file"
MOST_NAMED = 8


def read(path: Path, asked: Asked) -> Reading:
    """Read the weights and make a chain of layers of them."""
    if path.suffix.lower() == ".safetensors":
        asked.only("activations", "order", "architecture")
        return _made(_from_safetensors(path), {}, asked, in_order=False)
    file = load(path)
    if "constants.pkl" in file.members:
        return torch_script.read(path, asked)
    if file.content is None and "data.pkl" not in file.members and file.members:
        raise ConversionError(NO_FILE)
    asked.only("activations", "order", "architecture", "weights")
    network = checkpoint.network(file.content, asked.weights)
    return _made(checkpoint.arrays(file, network.tensors), network.modules, asked, in_order=True)


def _made(weights: Weights, modules: Mapping[str, Made], asked: Asked, *, in_order: bool) -> Reading:
    if asked.architecture is not None:
        return named_layers.read(weights, asked.architecture, named_layers.AS_SAID)
    names = checkpoint.unwrapped(weights)
    weights = {name: weights[key] for key, name in names.items()}
    activations: Sequence[Activation] | None = asked.activations
    squashing: dict[str, str] = {}
    if modules:
        activations, squashing = _of_classes(modules, asked)
    model = assemble(
        weights, in_order=in_order, order=asked.order, activations=activations, inputs=asked.inputs,
        squashing=squashing,
    )  # fmt: skip
    told = [_proof(model, asked, modules)]
    left_out = [name for name in weights if asked.order is not None and owner(name) not in asked.order]
    told += [f"left out: {', '.join(left_out)}"] if left_out else []
    return Reading(model, "; ".join(told))


def _proof(model: FloatModel, asked: Asked, modules: Mapping[str, Made]) -> str:
    """Return the line of proof. PyTorch can confirm the layers, but what else is run only where all of a pickled module is its own."""
    compared = proof.against_torch_layers(model) if asked.verify else proof.NOT_ASKED
    if (
        modules
        and {modules[name].by for name in _around(modules)} <= {_SEQUENTIAL}
        and not (asked.activations or asked.order)
    ):
        return compared
    chain = [
        f"{layer.name} ({getattr(layer, 'activation', '') if layer.kind == 'dense' else layer.kind})"
        for layer in model.layers
        if layer.kind != "concat" and layer.name not in model.backward
    ]
    named = ", ".join([*chain[:MOST_NAMED], *(["..."] if len(chain) > MOST_NAMED else [])])
    confirmed = (
        compared
        if compared.startswith("not")
        else f"torch gives the same for these layers, {compared.partition(': ')[2]}"
    )
    return f"not proved: {NOT_RUN if modules else WEIGHTS_ALONE} (read as {named}; {GRAPH}); {confirmed.removeprefix('not proved: ')}"


def _of_classes(
    modules: Mapping[str, Made], asked: Asked
) -> tuple[Sequence[Activation] | None, dict[str, str]]:
    """Return what follows the linear modules of a pickled one, and tanh or relu by the name of a plain recurrent one.

    Raises ConversionError for a module of a class that cannot be converted, and for one of which only code says where it is run.
    """
    around = _around(modules)
    inner = {name: made for name, made in modules.items() if name not in around}
    if asked.order is not None:
        inner = {name: made for name, made in inner.items() if (name or "layer") in asked.order}
    kinds = {
        name: made.by.rpartition(".")[2] if made.by.startswith("torch.nn.") else made.by
        for name, made in inner.items()
    }
    said = {name: kind for name, kind in kinds.items() if kind in ACTIVATIONS or kind in CURVES}
    settings = {name: mapping_of(made.state) for name, made in inner.items()}
    activations: Sequence[Activation] | None = asked.activations
    if activations is not None:
        leaves({name: kind for name, kind in kinds.items() if name not in said}, settings)
    elif {modules[name].by for name in around} <= {_SEQUENTIAL}:
        activations = leaves(kinds, settings)
    elif said:
        name, kind = next(iter(said.items()))
        raise ConversionError(
            f'module "{name}" is a {kind}, and where it is run is code, which is not read: say what follows the '
            "linear modules with --activations, or save it with torch.export (.pt2) or as ONNX"
        )
    else:
        leaves(kinds, settings)
    modes = {
        name: str(made.state.get("nonlinearity") or made.state.get("mode")) for name, made in inner.items()
    }
    return activations, {
        name or "layer": mode.removeprefix("RNN_").lower() for name, mode in modes.items()
        if mode in ("RNN_TANH", "RNN_RELU", "tanh", "relu")
    }  # fmt: skip


def _around(modules: Mapping[str, Made]) -> set[str]:
    """Return the names of modules that hold others."""
    return {name.rpartition(".")[0] for name in modules if name}


def _from_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (SafetensorError, OSError) as exc:
        raise ConversionError(f"is damaged or no safetensors file: {exc}") from None
    return {name: _decode(name, tensor) for name, tensor in tensors}


def _decode(name: str, tensor: Any) -> NDArray[np.float32]:
    """Return the floats of one tensor; NumPy has no bfloat16, which is the upper half of a float32."""
    kind, shape = tensor["dtype"], tensor["shape"]
    if kind == "BF16":
        halves = np.frombuffer(tensor["data"], "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    if kind not in FLOATS:
        raise ConversionError(f'"{name}" is {kind} of shape {tuple(shape)}, expected floating point')
    return np.frombuffer(tensor["data"], FLOATS[kind]).reshape(shape).astype(np.float32)
