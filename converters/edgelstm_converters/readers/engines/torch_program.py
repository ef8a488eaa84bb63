"""PyTorch on a program of torch.export.save() at `path`; it gives the program as an ONNX model."""

from __future__ import annotations

import logging
from typing import Any


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    del content
    import onnx.inliner
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        program = torch.export.load(path)
    except Exception as exc:  # torch raises whatever the bytes make of its loader
        raise ValueError(f"is damaged or no program of torch.export.save(): {exc}") from None
    try:
        written = torch.onnx.export(program, dynamo=True, verbose=False)
        model = onnx.inliner.inline_local_functions(written.model_proto)
    except Exception as exc:
        raise ValueError(f"torch cannot write it as a graph: {exc}") from None
    module = program.module()

    def run(feeds: dict[str, Any]) -> list[Any]:
        with torch.no_grad():
            found = module(*[torch.from_numpy(x) for x in feeds.values()])
        return [y.numpy() for y in torch.utils._pytree.tree_leaves(found)]

    return "torch", run, model.SerializeToString()
