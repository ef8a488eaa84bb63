"""LiteRT on a file at `path`; inputs go by the number of their tensor."""

from __future__ import annotations

from typing import Any

import numpy as np


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    del content
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(feeds: dict[str, Any]) -> list[Any]:
        for given in inputs:
            x = feeds[str(given["index"])]
            if list(x.shape) != list(given["shape"]):
                interpreter.resize_tensor_input(given["index"], x.shape)
        interpreter.allocate_tensors()
        for given in inputs:
            interpreter.set_tensor(given["index"], _quantised(feeds[str(given["index"])], given))
        interpreter.invoke()
        return [_real(interpreter.get_tensor(wanted["index"]), wanted) for wanted in outputs]

    return "litert", run, b""


def _quantised(x: Any, details: dict[str, Any]) -> Any:
    scale, zero = details["quantization"]
    if not scale:
        return x.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(x / scale) + zero, limits.min, limits.max).astype(details["dtype"])


def _real(y: Any, details: dict[str, Any]) -> Any:
    scale, zero = details["quantization"]
    return ((y.astype(np.float32) - zero) * scale).astype(np.float32) if scale else y
