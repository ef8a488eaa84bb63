"""From traced outputs to layers: what each vector is computed by, back to the input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatDense, FloatLayer, FloatModel
from edgelstm_converters.trace.cells import CellReader
from edgelstm_converters.trace.expressions import (
    Codes,
    Expressions,
    expression_of,
    is_constant,
    place_of,
    relative,
    time_of,
    vector,
)
from edgelstm_converters.trace.linear import Linearizer


def assemble(expressions: Expressions, output: Codes, carried: dict[int, int]) -> FloatModel:
    """Return the model whose newest output is among the codes `output`, of any shape.

    carried  the code of a state's element, by that of the element it becomes, both relative to the last step
    Raises ConversionError, by name, where what is computed is no chain of layers.
    """
    flat = output.reshape(-1)
    times = time_of(flat)
    if not times.any():
        raise ConversionError("the output does not depend on the input")
    last = int(times.max())
    newest = flat[times == last]
    _, first = np.unique(newest, return_index=True)
    newest = (
        newest[np.sort(first)] if len(first) * 2 <= len(newest) else newest
    )  # each of a batch is the same
    return _Assembly(expressions, carried).model(relative(newest, last))


class _Assembly:
    def __init__(self, expressions: Expressions, carried: dict[int, int]) -> None:
        self.table = expressions.table
        self.linear = Linearizer(expressions)
        self.cells = CellReader(expressions, self.linear, carried)
        self.layers: list[FloatLayer] = []

    def model(self, codes: Codes) -> FloatModel:
        """Return the chain that ends in `codes`."""
        wanted: Codes | None = codes
        while wanted is not None:
            wanted = self._step_back(wanted)
        if not self.layers:
            raise ConversionError("the output is the input: there is no layer in between")
        names: set[str] = set()
        chain = []
        for layer in reversed(self.layers):
            name = _name(layer.name)
            name = name if name not in names else f"{name}_{len(names)}"
            names.add(name)
            chain.append(replace(layer, name=name))
        return FloatModel(chain[0].inputs, tuple(chain))

    def _step_back(self, codes: Codes) -> Codes | None:
        """Put the layer that gives `codes` in front of the others; return what it reads, None for the input itself."""
        sources = np.unique(expression_of(codes[~is_constant(codes)]))
        for number in sources:
            if self.table[int(number)].kind in ("cell state", "state"):
                memory = self.table[int(number)]
                raise ConversionError(
                    f'the output depends on the {memory.kind} of "{_name(memory.name)}" by itself'
                )
        found = self.table[int(sources[0])] if len(sources) == 1 and not is_constant(codes).any() else None
        if found is not None and not time_of(codes).any():
            in_order = len(codes) == found.size and np.array_equal(place_of(codes), np.arange(found.size))
            if found.kind == "input" and in_order:
                return None
            if found.kind == "layer" and in_order:
                self.layers.append(found.detail)
                return found.arguments[0]
            name = _name(found.name)
            if found.kind != "input":
                cell = self.cells.read(vector(int(sources[0]), found.size, 0), name)
                if cell is not None and in_order:
                    return self._read_by(cell.layer, cell.reads)
                if cell is not None:
                    return self._dense(name, codes, "linear")
            if found.kind == "function":
                argument = found.arguments[0][place_of(codes)]
                return self._dense(self._dense_name(argument, name), argument, found.detail)
        name = _name(self.table[int(sources[-1])].name) if len(sources) else "constant"
        if found is not None and found.kind in ("product", "sum") and self.linear.mixes(int(sources[0])):
            raise ConversionError(
                f'what "{name}" computes is no layer known here: values that both depend on the signal are multiplied'
            )
        return self._dense(self._dense_name(codes, name), codes, "linear")

    def _dense_name(self, codes: Codes, otherwise: str) -> str:
        """Return the name of the matrix product that `codes` come from, through sums."""
        while len(codes := codes[~is_constant(codes)]):
            found = self.table[int(expression_of(codes)[0])]
            if found.kind == "matmul":
                return _name(found.name)
            if found.kind not in ("sum", "product"):
                break
            codes = np.concatenate(found.arguments)
        return otherwise

    def _dense(self, name: str, codes: Codes, activation: str) -> Codes | None:
        """Put a dense layer of the elements `codes` in front."""
        whole = self.linear.expand(codes)
        bias = whole.bias.astype(np.float32)
        layer = FloatDense(name, whole.matrix.astype(np.float32), bias, activation)
        return self._read_by(layer, whole.atoms)

    def _read_by(self, layer: FloatLayer, atoms: Codes) -> Codes | None:
        """Put a layer in front whose columns belong to `atoms`; they are brought to whole vectors."""
        sources = np.unique(expression_of(atoms))
        if len(sources) == 0:
            raise ConversionError(f'layer "{layer.name}" reads nothing that depends on the input')
        kinds = {self.table[int(n)].kind: self.table[int(n)].name for n in sources}
        if "state" in kinds:
            raise ConversionError(
                f'layer "{layer.name}" reads the state "{kinds["state"]}", and is no cell whose output that state becomes'
            )
        if time_of(atoms).any():
            raise ConversionError(
                f'layer "{layer.name}" reads earlier samples, a window of them; a layer reads one sample'
            )
        if len(sources) > 1:
            names = ", ".join(f'"{_name(self.table[int(n)].name)}"' for n in sources)
            raise ConversionError(
                f'layer "{layer.name}" reads the outputs of several layers, {names}; a chain of layers is expected'
            )
        number = int(sources[0])
        size = self.table[number].size
        key = "weights" if isinstance(layer, FloatDense) else "input_weights"
        matrix = np.zeros((len(getattr(layer, key)), size), np.float32)
        matrix[:, place_of(atoms)] = getattr(layer, key)
        changed: dict[str, Any] = {key: matrix}
        self.layers.append(replace(layer, **changed))
        return vector(number, size, 0) if self.table[number].kind != "input" else None


def _name(text: str) -> str:
    return text.strip("/").replace("/", ".") or "layer"
