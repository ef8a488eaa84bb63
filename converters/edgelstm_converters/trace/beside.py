"""Inputs of a graph beside its signal: how many samples count, a mask, a rate. Of these the caller says the value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.trace.graph import Graph, Input


def spread(inputs: Sequence[Input], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of inputs in their shapes: one number is that of every element, and an axis of any length has one."""
    shapes = {value.name: tuple(size or 1 for size in value.shape) for value in inputs}
    return {
        name: np.full(shapes[name], value) if np.size(value) == 1 else np.asarray(value)
        for name, value in fixed.items()
    }


def no_state(graph: Graph, free: Sequence[Input], exc: ConversionError) -> ConversionError:
    """Return the error of a graph that could not be read, naming the inputs that no output can be the next value of."""
    beside = [value for value in free[1:] if value.is_float]
    if len(beside) < len(graph.outputs) or not beside:
        return exc
    names = ", ".join(f'"{value.name}"' for value in beside)
    are = f"inputs {names} are" if len(beside) > 1 else f"input {names} is"
    return ConversionError(
        f'{are} beside the signal "{free[0].name}", and the graph has no outputs that such states would become: say the value of all of it '
        f"with --fix {beside[0].name}=NUMBER, or export the network without it; taken as a state: {exc}"
    )
