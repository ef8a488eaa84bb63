"""A PyTorch state_dict, from `torch.save` (.pt, .pth; needs torch) or safetensors (needs nothing)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.readers import Reading, proof
from edgelstm_converters.readers.modules import Weights, assemble


def read(path: Path, activations: Sequence[str] | None, order: Sequence[str] | None) -> Reading:
    """Read the weights and make a chain of layers of them."""
    in_order = path.suffix.lower() != ".safetensors"
    weights = _from_torch(path) if in_order else _from_safetensors(path)
    model = assemble(weights, in_order=in_order, order=order, activations=activations)
    return Reading(model, proof.against_torch_layers(model))


def _from_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, ValueError, TypeError, KeyError) as exc:
        raise ConversionError(f"is damaged or no safetensors file: {exc}") from None
    return {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}


def _from_torch(path: Path) -> Weights:
    try:
        import torch
    except ImportError:
        raise UnavailableError(
            f"{path}: reading it needs torch: pip install 'edgelstm[torch]', or save the state_dict as .safetensors"
        ) from None
    import pickle
    import warnings
    import zipfile

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
    except (RuntimeError, EOFError, ValueError, KeyError, OSError):
        raise ConversionError("is damaged or no PyTorch file") from None
    return _weights(found)


def _weights(found: Any) -> Weights:
    for key in ("state_dict", "model_state_dict", "model"):  # a training checkpoint
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(hasattr(value, "detach") for value in found.values()):
        raise ConversionError(
            "holds no state_dict: expected names and tensors, from torch.save(model.state_dict(), path)"
        )
    return {str(name): tensor.detach().float().numpy() for name, tensor in found.items()}
