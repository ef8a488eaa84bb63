"""PyTorch on a program of torch.jit.save() at `path`; it gives the program as an ONNX model of sequences of any length.

`content` says how many channels there are, in decimal, if that is known. What a program would do is looked at before it is run.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

SAMPLES = 97
"""Tried; what gives another number of results has that number of steps written out."""
_TOUCHES_MORE = (
    "save",
    "load",
    "file",
    "rpc",
    "fork",
    "wait",
    "print",
    "python",
    "call",
    "profile",
    "enter",
    "exit",
)
"""In the names of operations that do more than compute: files, other machines, threads, code that is not in sight."""


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        module = torch.jit.load(path, map_location="cpu").eval()
        graph, schema = module.forward.inlined_graph, module.forward.schema
    except Exception as exc:  # torch raises whatever the bytes make of its loader
        raise ValueError(f"is damaged or no program of torch.jit.save(): {_short(exc)}") from None
    for kind in sorted(set(_operations(graph))):
        space, _, name = kind.partition("::")
        if space not in ("aten", "prim") or any(word in name.lower() for word in _TOUCHES_MORE):
            raise ValueError(
                f"it uses {kind}, which is not run here: save it with torch.export (.pt2) or as ONNX"
            )
    given = [argument for argument in schema.arguments[1:] if not argument.has_default_value()]
    if len(given) != 1:
        names = ", ".join(argument.name for argument in given) or "nothing"
        raise ValueError(
            f"its forward() takes {names}, expected one tensor: save it with torch.export (.pt2) or as ONNX"
        )
    sample, free = _sample(torch, module, int(content) if content else None)
    written = io.BytesIO()
    axes = {number: f"axis{number}" for number in range(max(1, sample.ndim - 1))} if free else {}
    try:
        torch.onnx.export(
            module, (sample,), written, dynamo=False, input_names=["x"], dynamic_axes={"x": axes}, opset_version=17
        )  # fmt: skip
    except Exception as exc:
        raise ValueError(f"torch cannot write it as a graph: {_short(exc)}") from None

    def run(feeds: dict[str, Any]) -> list[Any]:
        with torch.no_grad():
            found = module(*[torch.from_numpy(x).to(sample.dtype) for x in feeds.values()])
        return [y.numpy() for y in torch.utils._pytree.tree_leaves(found)]

    return "torch", run, _with_width(written.getvalue(), sample)


def _operations(block: Any) -> Iterator[str]:
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _operations(inner)


def _with_width(content: bytes, sample: Any) -> bytes:
    """Return the ONNX model with the number of channels, which TorchScript does not say."""
    import onnx

    model = onnx.load_from_string(content)
    if sample.is_floating_point():
        model.graph.input[0].type.tensor_type.shape.dim[sample.ndim - 1].dim_value = sample.shape[-1]
    written: bytes = model.SerializeToString()
    return written


def _sample(torch: Any, module: Any, channels: int | None) -> tuple[Any, bool]:
    """Return an input that the program takes: samples of a batch, samples, or numbers that choose rows of a table.

    Beside it, whether there may be more samples or fewer: what was traced has the steps of a loop of Python written out.
    """
    widths = [channels] if channels else []
    widths += [weight.shape[1] for weight in module.state_dict().values() if weight.ndim > 1]
    samples = [torch.zeros(shape) for width in widths for shape in ((1, SAMPLES, width), (SAMPLES, width))]
    why = ""
    for sample in [*samples, torch.zeros((1, SAMPLES), dtype=torch.long)]:
        try:
            with torch.no_grad():
                y = torch.utils._pytree.tree_leaves(module(sample))[0]
            written_out = sample.ndim == y.ndim == 3 and len(y) == 1 and y.shape[1] not in (1, SAMPLES)
            return (sample[:, : y.shape[1]], False) if written_out else (sample, True)
        except Exception as exc:  # torch raises whatever its operators raise
            why = why or _short(exc)
    raise ValueError(f"it runs on no sequence of samples that was tried: {why}")


def _short(exc: Exception) -> str:
    """Return what torch says went wrong: behind the traceback of the program, if there is one."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return (
        (lines[-1] if lines and lines[0].startswith("The following operation failed") else lines[0])
        if lines
        else type(exc).__name__
    )
