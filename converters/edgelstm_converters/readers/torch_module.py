"""A live PyTorch module: its recurrent and linear modules in the order they are defined, proved by running it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import Asked, Reading, proof
from edgelstm_converters.readers.modules import assemble
from edgelstm_converters.readers.torch_leaves import leaves


def read(module: Any, asked: Asked) -> Reading:
    """Read the layers of a module, and run it to prove that they are all there is to it.

    Raises ConversionError where the module is of another kind, or computes something else.
    """
    asked.only("activations", "order")
    try:
        import torch
    except ImportError:
        torch = None
    if torch is None or not isinstance(module, torch.nn.Module):
        raise ConversionError(
            f"a {type(module).__name__} is neither a path nor a torch module nor a FloatModel"
        )
    found = leaves(
        {
            name: type(leaf).__name__
            for name, leaf in module.named_modules()
            if next(leaf.children(), None) is None
        },
        {name: vars(leaf) for name, leaf in module.named_modules()},
    )
    weights = {name: as_numpy(tensor) for name, tensor in module.state_dict().items()}
    squashing = {
        name or "layer": leaf.nonlinearity
        for name, leaf in module.named_modules()
        if type(leaf).__name__ in ("RNN", "RNNCell")
    }
    names = asked.activations if asked.activations is not None else found
    model = assemble(weights, in_order=True, order=asked.order, activations=names, squashing=squashing)
    if not asked.verify:
        return Reading(model, proof.NOT_ASKED)
    x = proof.probe(model.inputs)
    y = _run(module, torch.from_numpy(x)[None])
    hint = (
        "its forward() does more than run its modules in the order of their definition; say what follows the linear "
        "ones with activations=[...], or export it to ONNX and convert that"
    )
    return Reading(model, proof.compare("torch", model, [(x, y)], hint))


def _run(module: Any, x: Any) -> Any:
    """Return what the module gives for (1, samples, inputs), as (samples, outputs) or (1, outputs)."""
    import torch

    sequence_first = any(not getattr(leaf, "batch_first", True) for leaf in module.modules())
    weight = next(module.parameters())
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kernels that torch does not use for it
            y = module((x.transpose(0, 1) if sequence_first else x).to(weight.device, weight.dtype))
    except Exception as exc:
        raise ConversionError(
            f"it cannot be run on input of shape {tuple(x.shape)}: {type(exc).__name__}: {proof.first_line(exc)}"
        ) from None
    finally:
        for part, was_training in modes:
            part.training = was_training
    while isinstance(y, tuple | list) and y:
        y = y[0]
    if not isinstance(y, torch.Tensor) or y.ndim == 0:
        raise ConversionError(
            f"its forward() gives a {type(y).__name__}, expected a tensor, or one in front of a tuple"
        )
    return np.ascontiguousarray(as_numpy(y).reshape(-1, y.shape[-1]))


def as_numpy(tensor: Any) -> Any:
    """Return a tensor as an array; one of another floating point type, such as bfloat16, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
