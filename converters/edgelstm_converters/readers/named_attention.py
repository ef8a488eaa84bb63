"""Attention of named arrays: queries, keys and values packed in one matrix, each by itself, or not projected at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgelstm_converters.layers import FloatAttention, FloatDense, FloatLayer
from edgelstm_converters.readers.architecture import AttentionEntry
from edgelstm_converters.readers.named_arrays import Floats, NamedArrays

PARTS = ("query", "key", "value")


def attention(arrays: NamedArrays, entry: AttentionEntry, widths: Sequence[int]) -> Sequence[FloatLayer]:
    """Return the attention, and the projection behind its heads where there is one."""
    weights = _weights(arrays, entry)
    biases = _biases(arrays, entry, weights)
    read = (widths[0], widths[-1], widths[-1])
    for part, matrix, width in zip(PARTS, weights, read, strict=True):
        if matrix is not None and width and matrix.shape[1] != width:
            raise arrays.wrong(
                f"its {part} weights read {matrix.shape[1]} values, but its source gives {width}"
            )
    queries, keys, values = (
        arrays.width(width) if matrix is None else len(matrix)
        for matrix, width in zip(weights, read, strict=True)
    )
    if queries != keys:
        raise arrays.wrong(f"its queries have {queries} values, its keys {keys}: expected as many")
    for what, count in (("keys", keys), ("values", values)):
        if count % entry.heads:
            raise arrays.wrong(f"{count} values of its {what} are no {entry.heads} heads")
    score_weights = _score_weights(arrays, entry, weights, keys)
    scale = 1.0 / math.sqrt(keys // entry.heads) if entry.scale is None else entry.scale
    named: dict[str, Any] = {f"{part}_weights": matrix for part, matrix in zip(PARTS, weights, strict=True)}
    named |= {f"{part}_bias": bias for part, bias in zip(PARTS, biases, strict=True)}
    projected = entry.output_weights is not None
    found = FloatAttention(
        f"{entry.name} heads" if projected else entry.name,
        widths[-1] if weights[2] is None else weights[2].shape[1],
        entry.heads,
        entry.window,
        1.0 if score_weights is not None else scale,
        score_weights=score_weights,
        **named,
    )
    if not projected:
        if entry.output_bias is not None:
            raise arrays.wrong("output_bias belongs to output_weights, which is missing")
        return (found,)
    output = _matrix(arrays, "output_weights", entry.transposed)
    if output.shape[1] != values:
        raise arrays.wrong(f"output_weights read {output.shape[1]} values, but its heads give {values}")
    return found, FloatDense(entry.name, output, arrays.vector("output_bias", len(output)), "linear")


def _weights(arrays: NamedArrays, entry: AttentionEntry) -> list[Floats | None]:
    apart = [f"{part}_weights" for part in PARTS]
    if entry.weights is None:
        return [_matrix(arrays, key, entry.transposed) if arrays.has(key) else None for key in apart]
    if any(map(arrays.has, apart)):
        raise arrays.wrong(
            f"weights are those of queries, keys and values together: leave {', '.join(apart)} out"
        )
    packed = _matrix(arrays, "weights", entry.transposed)
    if len(packed) % 3:
        raise arrays.wrong(f"weights have {len(packed)} rows, expected as many of queries, keys and values")
    return list(np.split(packed, 3))


def _biases(
    arrays: NamedArrays, entry: AttentionEntry, weights: Sequence[Floats | None]
) -> list[Floats | None]:
    apart = [f"{part}_bias" for part in PARTS]
    for key, matrix in zip(apart, weights, strict=True):
        if matrix is None and arrays.has(key):
            raise arrays.wrong(f"{key} belongs to weights, which are missing")
    rows = [0 if matrix is None else len(matrix) for matrix in weights]
    if entry.bias is not None:
        if any(map(arrays.has, apart)):
            raise arrays.wrong(
                f"bias is that of queries, keys and values together: leave {', '.join(apart)} out"
            )
        found = np.split(arrays.vector("bias", sum(rows)), np.cumsum(rows)[:-1])
    else:
        found = [arrays.vector(key, count) for key, count in zip(apart, rows, strict=True)]
    return [bias if matrix is not None else None for bias, matrix in zip(found, weights, strict=True)]


def _score_weights(
    arrays: NamedArrays, entry: AttentionEntry, weights: Sequence[Floats | None], keys: int
) -> Floats | None:
    if entry.score_weights is None:
        return None
    if entry.heads != 1 or entry.scale is not None:
        raise arrays.wrong("score_weights make it additive, which has one head and no scale")
    if weights[0] is None or weights[1] is None:
        raise arrays.wrong("score_weights make it additive, which needs query_weights and key_weights")
    return arrays.vector("score_weights", keys)


def _matrix(arrays: NamedArrays, key: str, transposed: bool) -> Floats:
    """Return a matrix (outputs, inputs); Keras keeps heads on an axis of their own."""
    if not transposed:
        return arrays.matrix(key)
    values = arrays.array(key, None, "")
    if values.ndim == 3:
        rest = (-1, values.shape[2]) if key == "output_weights" else (values.shape[0], -1)
        return np.ascontiguousarray(values.reshape(rest).T)
    return arrays.matrix(key, transposed=True)
