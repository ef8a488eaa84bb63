"""Attention of Keras (https://keras.io/api/layers/attention_layers), along time, of queries to keys and values of one source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm_converters.readers.keras_calls import Call, tensors
from edgelstm_converters.readers.keras_file import Scope, Stored
from edgelstm_converters.readers.keras_layers import Builder, Settings, parts, refused

PLACES = {
    "query": ("query", "query_dense", "_query_dense"),
    "key": ("key", "key_dense", "_key_dense"),
    "value": ("value", "value_dense", "_value_dense"),
    "output": ("attention_output", "output_dense", "_output_dense"),
}
"""What the parts of a MultiHeadAttention are called in files."""
IGNORED = ("training", "mask")
NOT_YET = {"return_attention_scores": "it gives its scores as an output", "attention_mask": "it is given a mask of its own",
           "query_mask": "it is given a mask of its own", "value_mask": "it is given a mask of its own",
           "key_mask": "it is given a mask of its own"}  # fmt: skip


def _read(name: str, kind: str, call: Call, given: list[Any]) -> tuple[str, str, bool]:
    """Return query, the source of keys and values, and whether the mask is causal; `given` are query, value and key."""
    for key, value in call.kwargs.items():
        if key in NOT_YET and value not in (None, False):
            raise refused(name, kind, NOT_YET[key])
    known = [tensor.name for value in given for tensor in tensors(value)]
    if len(known) not in (2, 3):
        raise refused(name, kind, f"it reads {len(known)} values, expected query, value and key")
    if len(known) == 3 and known[1] != known[2]:
        raise refused(name, kind, "its keys and values are of different layers, expected those of one")
    return known[0], known[1], bool(call.kwargs.get("use_causal_mask", False))


def _vectors(
    build: Builder, name: str, settings: Settings, call: Call, scope: Scope, *, additive: bool
) -> str:
    kind = "AdditiveAttention" if additive else "Attention"
    query, value, causal = _read(name, kind, call, [*call.args, call.kwargs.get("inputs")])
    scaled = settings.get("use_scale", additive)
    joined = settings.get("score_mode") == "concat"
    roles = (*(("scale",) if scaled else ()), *(("concat_score_weight",) if joined else ()))
    weights = parts(name, kind, scope.weights, True, roles) if roles else {}
    scale = np.asarray(weights.get("scale", np.ones(1, np.float32)))
    if not (additive or joined):
        return build.add(
            "AttentionOverTime", [query, value], name, name, heads=1, scale=scale.item(), causal=causal
        )
    inner, outer = (1.0, scale) if additive else (scale.item(), weights["concat_score_weight"])
    inputs = [query, value, *[""] * 6, build.constant(f"{name}/score", np.asarray(outer, np.float32))]
    return build.add("AttentionOverTime", inputs, name, name, heads=1, scale=inner, causal=causal)


def multi_head(build: Builder, name: str, settings: Settings, call: Call, scope: Scope) -> str:
    kind = "MultiHeadAttention"
    given = [*call.args, *(call.kwargs.get(key) for key in ("query", "value", "key"))]
    query, value, causal = _read(name, kind, call, given)
    if settings.get("attention_axes") not in (None, [1], 1, (1,)):
        raise refused(
            name, kind, f"its attention_axes are {settings['attention_axes']}, expected the samples, 1"
        )
    for key in ("use_gate", "sliding_window"):
        if settings.get(key):
            raise refused(name, kind, f"{key} is {settings[key]}, which cannot be converted")
    inputs = [query, value]
    for part in ("query", "key", "value"):
        kernel, bias = _projection(name, kind, settings, scope.weights, part)
        inputs.append(build.constant(f"{name}/{part}", kernel.reshape(len(kernel), -1).T))
        inputs.append("" if bias is None else build.constant(f"{name}/{part} bias", bias.reshape(-1)))
    heads, scale = int(settings["num_heads"]), 1.0 / float(np.sqrt(settings["key_dim"]))
    found = build.add(
        "AttentionOverTime", inputs, f"{name}/heads", f"{name}/heads", heads=heads, scale=scale, causal=causal
    )
    kernel, bias = _projection(name, kind, settings, scope.weights, "output")
    matrix = build.constant(f"{name}/output", kernel.reshape(-1, kernel.shape[-1]))
    if bias is None:
        return build.add("MatMul", [found, matrix], name, name)
    found = build.add("MatMul", [found, matrix], f"{name}/product", name)
    return build.add("Add", [found, build.constant(f"{name}/output bias", bias)], name, name)


def _projection(name: str, kind: str, settings: Settings, stored: Stored, part: str) -> tuple[Any, Any]:
    own = {path: values for path, values in stored.items() if set(path.split("/")) & set(PLACES[part])}
    found = parts(name, f"{kind}, {part}", own, bool(settings.get("use_bias", True)), ("kernel", "bias"))
    return found["kernel"], found.get("bias")


def _dot(build: Builder, name: str, settings: Settings, call: Call, scope: Scope) -> str:
    return _vectors(build, name, settings, call, scope, additive=False)


def _additive(build: Builder, name: str, settings: Settings, call: Call, scope: Scope) -> str:
    return _vectors(build, name, settings, call, scope, additive=True)


ATTENTION: dict[str, Callable[[Builder, str, Settings, Call, Scope], str]] = {
    "Attention": _dot,
    "AdditiveAttention": _additive,
    "MultiHeadAttention": multi_head,
}
