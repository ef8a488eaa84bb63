"""A PyTorch state_dict, from `torch.save` (.pt, .pth; needs torch) or safetensors (needs nothing)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.readers import Asked, Reading, named_layers, proof
from edgelstm_converters.readers.modules import Weights, assemble

FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def read(path: Path, asked: Asked) -> Reading:
    """Read the weights and make a chain of layers of them."""
    asked.only("activations", "order", "architecture")
    in_order = path.suffix.lower() != ".safetensors"
    weights = _from_torch(path) if in_order else _from_safetensors(path)
    if asked.architecture is not None:
        return named_layers.read(weights, asked.architecture, named_layers.AS_SAID)
    model = assemble(
        weights, in_order=in_order, order=asked.order, activations=asked.activations, inputs=asked.inputs
    )
    return Reading(model, proof.against_torch_layers(model) if asked.verify else proof.NOT_ASKED)


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


def _from_torch(path: Path) -> Weights:
    try:
        import torch
    except ImportError:
        raise UnavailableError(
            f"{path}: reading it needs torch: pip install 'edgelstm[torch]', or save the state_dict as .safetensors"
        ) from None
    import pickle
    import warnings

    _check_sums(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats of old; what cannot be read is an error below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if zipfile.is_zipfile(path):  # PyTorch's container is sound; what is in it is no tensor
            raise ConversionError(
                "holds a whole pickled module, which may run code when opened: "
                "save its weights instead, torch.save(model.state_dict(), path)"
            ) from None
        raise ConversionError("is damaged or no PyTorch file") from None
    except Exception as exc:  # torch raises whatever the bytes make of its unpickler
        if "TorchScript" in str(exc):
            raise ConversionError(
                "is a TorchScript archive: save the weights of the module instead, torch.save(model.state_dict(), path)"
            ) from None
        raise ConversionError("is damaged or no PyTorch file") from None
    return _weights(found)


def _check_sums(path: Path) -> None:
    """Raise ConversionError where a part of PyTorch's container is not what was written: torch does not look."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as container:
            wrong = container.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as exc:
        raise ConversionError(f"is damaged: {exc}") from None
    if wrong is not None:
        raise ConversionError(f'is damaged: the check sum of "{wrong}" is wrong')


def _weights(found: Any) -> Weights:
    for key in ("state_dict", "model_state_dict", "model"):  # a training checkpoint
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(hasattr(value, "detach") for value in found.values()):
        raise ConversionError(
            "holds no state_dict: expected names and tensors, from torch.save(model.state_dict(), path)"
        )
    return {str(name): as_numpy(tensor) for name, tensor in found.items()}


def as_numpy(tensor: Any) -> Any:
    """Return a tensor as an array; one of another floating point type, such as bfloat16, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
