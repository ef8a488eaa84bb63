"""From traced outputs to layers: what each vector is computed by, back to the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import FloatDense, FloatLayer, FloatModel
from edgelstm_converters.layers import (
    FloatAdd,
    FloatAffine,
    FloatAttention,
    FloatConcat,
    FloatEmbedding,
    FloatMultiply,
    FloatRepeat,
    FloatSelect,
)
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatRecurrent
from edgelstm_converters.trace.absorbed import behind, over_window
from edgelstm_converters.trace.ahead import check_ahead
from edgelstm_converters.trace.assembled import STATE, Assembled, added, in_line
from edgelstm_converters.trace.atoms import check_atoms, plain
from edgelstm_converters.trace.attention import DOT, plainest, refused_product
from edgelstm_converters.trace.cells import CellReader
from edgelstm_converters.trace.clocks import Clock, clocks, strided, with_clocks
from edgelstm_converters.trace.curves import CurveReader
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    Expressions,
    Newest,
    expression_of,
    is_constant,
    newest,
    numbers,
    place_of,
    time_of,
    vector,
)
from edgelstm_converters.trace.linear import Doubles, Linear, Linearizer, scalar_of
from edgelstm_converters.trace.normalization import NormalizationReader, refusal_of
from edgelstm_converters.trace.positions import position_layers
from edgelstm_converters.trace.reversal import BACKWARD, directions


def assemble(expressions: Expressions, outputs: Sequence[Codes], carried: dict[int, int]) -> Assembled:
    """Return the model whose newest outputs are among the codes `outputs`, each of any shape.

    carried  the code of a state's element, by that of the element it becomes, both relative to the last step
    Raises ConversionError, by name, where what the first of them computes is no graph of layers.
    """
    first, *others = (newest(codes) for codes in outputs)
    if not first.step:
        raise ConversionError("the output does not depend on the input")
    return _Assembly(expressions, carried).model(first, others)


class _Assembly:
    """Makes the layers of vectors, each once, those that a layer reads before it."""

    def __init__(self, expressions: Expressions, carried: dict[int, int]) -> None:
        self.table = expressions.table
        self.linear = Linearizer(expressions)
        self.cells = CellReader(expressions, self.linear, carried)
        self.norms = NormalizationReader(expressions, self.linear)
        self.curves = CurveReader(self.table)
        self.layers: list[FloatLayer] = []
        self.made: dict[bytes, str] = {}
        self.inputs = 0
        self.ways = directions(expressions)
        self.way_of: dict[str, frozenset[int]] = {}
        self.clocks, self.clock_of = clocks(expressions), dict[str, Clock]()
        self.ahead: set[str] = set()
        self.making, self.one_row = set[bytes](), False

    def model(self, first: Newest, others: Sequence[Newest]) -> Assembled:
        """Return the layers that end in `first`, and in those of `others` that can be outputs beside it."""
        self.one_row = first.one_row
        heads, codes = [self._made_by(first.codes)], [first.codes]
        if not self.layers:
            raise ConversionError("the output is the input: there is no layer in between")
        left_out: dict[int, str] = {}
        for number, other in enumerate(others, 1):
            layers, made = list(self.layers), dict(self.made)
            try:
                heads.append(self._beside(first, other, heads))
                codes.append(other.codes)
            except ConversionError as exc:
                self.layers, self.made = layers, made
                left_out[number] = str(exc)
        check_ahead(self.layers, frozenset(self.ahead), heads, first.one_row)
        backward = tuple(name for name, way in self.way_of.items() if way == {BACKWARD})
        after = self._after(np.concatenate(codes), first.one_row)
        once = frozenset([*(after or ()), *(heads if first.one_row else ())])
        layers = in_line(with_clocks(self.layers, self.clock_of, frozenset(backward), once, self.inputs))
        named = () if heads == [layers[-1].name] else tuple(heads)
        model = FloatModel(self.inputs, tuple(layers), named, backward, after)
        kept = tuple(n for n in range(len(others) + 1) if n not in left_out)
        return Assembled(model, kept, left_out, self._clock(first.codes))

    def _beside(self, first: Newest, other: Newest, heads: Sequence[str]) -> str:
        """Return the layer of another output. Raises ConversionError where it cannot be one beside the first."""
        if not other.step:
            raise ConversionError("it does not depend on the signal")
        sources = np.unique(expression_of(other.codes[~is_constant(other.codes)]))
        if other.one_row and all(isinstance(self.table[int(n)].detail, FloatRecurrent) for n in sources):
            raise ConversionError(STATE)
        name = self._made_by(other.codes)
        recurrent = {layer.name for layer in self.layers if isinstance(layer, FloatRecurrent)}
        if other.one_row and name in recurrent:
            raise ConversionError(STATE)
        if (other.step, other.one_row) != (first.step, first.one_row):
            raise ConversionError("it has not as many rows as the first")
        if name in heads or name == INPUT:
            raise ConversionError("it is what another one or the input is")
        return name

    def _after(self, codes: Codes, one_row: bool) -> tuple[str, ...] | None:
        """Return the layers behind the ends of both directions, None where there is an output for every sample."""
        both = [layer for layer in self.layers if len(self.way_of[layer.name]) > 1]
        if not both and self._ways(codes) != {BACKWARD}:
            return () if one_row and any(way == {BACKWARD} for way in self.way_of.values()) else None
        if not one_row:
            raise ConversionError(
                "its output comes in the reverse order of the samples, in part at least: turn it around, as Bidirectional does"
            )
        for layer in both:
            if isinstance(layer, FloatRecurrent):
                raise ConversionError(
                    f'layer "{layer.name}" reads one sequence in the order of the samples and another one in reverse'
                )
        return tuple(layer.name for layer in both)

    def _ways(self, codes: Codes) -> frozenset[int]:
        numbers = np.unique(expression_of(codes[~is_constant(codes)]))
        return frozenset().union(*(self.ways[int(number)] for number in numbers))

    def _made_by(self, codes: Codes) -> str:
        """Return the name of the layer that gives the vector `codes`, made now if it is not there yet."""
        key = codes.tobytes()
        if key not in self.made:
            if key in self.making:
                name = plain(self.table[int(expression_of(codes).max())].name)
                raise ConversionError(f'what "{name}" computes is no cell known here: it reads its own past')
            self.making.add(key)
            self.made[key] = self._make(codes)
            self.making.remove(key)
            for layer in self.layers:  # those that it was made of have theirs already
                self.way_of.setdefault(layer.name, self._ways(codes))
                self.clock_of.setdefault(layer.name, self._clock(codes))
        return self.made[key]

    def _make(self, codes: Codes) -> str:
        sources = np.unique(expression_of(codes[~is_constant(codes)]))
        for memory in (self.table[int(number)] for number in sources):
            if memory.kind in ("cell state", "state"):
                raise ConversionError(
                    f'the output depends on the {memory.kind} of "{plain(memory.name)}" by itself'
                )
        alone = len(sources) == 1 and not is_constant(codes).any() and not time_of(codes).any()
        if not alone:
            name = self.table[int(sources[-1])].name if len(sources) else "constant"
            return self._combined(self.linear.product_name(codes, name), codes, "linear")
        found, places = self.table[int(sources[0])], place_of(codes)
        whole = np.array_equal(places, np.arange(found.size))
        if found.kind == "input" and whole:
            self.inputs = found.size
            return INPUT
        if found.kind == "reversed" and whole:
            return self._made_by(found.arguments[0])
        if found.kind == "every" and whole:
            return self._taken(self._made_by(found.arguments[0]), Clock(*map(int, found.detail.split())))
        if found.kind == "position" and whole:
            source = INPUT
            for layer in position_layers(found, self.table):
                source = self._add(replace(layer, sources=(source,)))
            return source
        if found.kind == DOT:
            raise refused_product(found)
        if found.kind == "attention" and whole:
            return self._attention(found)
        if found.kind in ("layer", "ahead") and whole:
            name = self._layer(found.detail, *found.arguments)
            self.ahead.update([name] if found.kind == "ahead" else [])
            return name
        if found.kind == "repeated" and whole:
            return self._repeat(found)
        name = found.name
        if found.kind in ("sum", "product", "function"):
            cell = self.cells.read(vector(int(sources[0]), found.size, 0), plain(name))
            if cell is not None and whole:
                return self._reads(cell.layer, cell.reads)
            if cell is not None:
                return self._combined(f"{name}.part", codes, "linear")
            curve = self.curves.read(codes, name)
            if curve is not None:
                return self._behind(*curve)
        if found.kind == "function":
            if found.detail not in ACTIVATIONS:
                raise ConversionError(refusal_of(found.name, str(found.detail)))
            argument = found.arguments[0][places]
            return self._combined(self.linear.product_name(argument, name), argument, found.detail)
        if self.linear.mixes(int(sources[0])):
            norm = self.norms.read(vector(int(sources[0]), found.size, 0), name)
            if norm is not None and not whole:
                return self._combined(f"{name}.part", codes, "linear")
            if norm is not None:
                return self._behind(*norm)
            return self._mixed(found, places)
        return self._combined(self.linear.product_name(codes, name), codes, "linear")

    def _clock(self, codes: Codes) -> Clock:
        known = {self.clocks[int(number)] for number in np.unique(expression_of(codes[~is_constant(codes)]))}
        return known.pop() if len(known) == 1 else Clock()

    def _taken(self, name: str, clock: Clock) -> str:
        """Let the layer of a sequence of which some rows are taken compute no others."""
        self.layers = [strided(layer, clock) if layer.name == name else layer for layer in self.layers]
        return name

    def _repeat(self, found: Expression) -> str:
        source, count = self._made_by(found.arguments[0]), int(found.detail.split()[0])
        name = self._add(FloatRepeat(found.name, found.size, count, sources=(source,)))
        self.way_of[name] = self._ways(found.arguments[0])  # it has what that ends with
        return name

    def _layer(self, layer: FloatLayer, read: Codes, *beside: Codes) -> str:
        """Add the layer of an operator; what is linear in front becomes part of it where it has a matrix for that."""
        if isinstance(layer, FloatEmbedding):
            number, place = int(expression_of(read)[0]), int(place_of(read)[0])
            source, width = self._vector(number), self.table[number].size
            if time_of(read).any():
                raise ConversionError(f'layer "{plain(layer.name)}" is chosen by an earlier sample')
            if width > 1:
                source = self._add(FloatSelect(f"{layer.name}.channel", place, 1, width, sources=(source,)))
            return self._add(replace(layer, sources=(source,)))
        whole = self.linear.expand(read)
        if isinstance(layer, FloatDense):
            if self.one_row and time_of(whole.atoms).any():
                return self._over_window(layer.name, whole, layer.activation)
            return self._read_by(replace(layer, bias=whole.bias.astype(np.float32)), whole)
        if isinstance(layer, FloatRecurrent):
            return self._read_by(layer, whole)
        return self._add(replace(layer, sources=tuple(map(self._made_by, (read, *beside)))))

    def _mixed(self, found: Expression, places: Codes) -> str:
        """Make a sum or product of two vectors of which one, at least, is itself a product of what varies."""
        one, other = (argument[places] for argument in found.arguments)
        varied = not is_constant(one).any() and not is_constant(other).any()
        for part, rest in ((one, other), (other, one)):
            if is_constant(part).all() and not is_constant(rest).any():
                neutral = np.full(len(places), float(found.kind == "sum"), np.float32)
                factor, shift = (neutral, numbers(part)) if neutral.any() else (numbers(part), neutral)
                return self._behind(FloatAffine(found.name, factor, shift), rest)
        if found.kind == "sum":
            parts = [np.unique(expression_of(part)) for part in (one, other)]
            if varied and all(len(part) == 1 for part in parts):
                sources = (self._made_by(one), self._made_by(other))
                return self._add(FloatAdd(found.name, len(places), (1.0, 1.0), sources=sources))
        elif varied:
            if time_of(one).any() or time_of(other).any():
                raise ConversionError(
                    f'what "{plain(found.name)}" computes is no cell known here: it multiplies with its own past'
                )
            return self._add(
                FloatMultiply(found.name, len(places), sources=(self._made_by(one), self._made_by(other)))
            )
        if self.norms.inverses(np.concatenate([one, other])):
            raise ConversionError(refusal_of(found.name, "reciprocal"))
        raise ConversionError(
            f'what "{plain(found.name)}" computes is no layer known here: values that both depend on the signal are multiplied'
        )

    def _combined(self, name: str, codes: Codes, activation: str) -> str:
        """Make `activation` of linear combinations: by element, of whole vectors, or with a matrix."""
        whole = self.linear.expand(codes)
        if self.one_row and time_of(whole.atoms).any():
            return self._over_window(name, whole, activation)
        check_atoms(self.table, name, whole.atoms)
        parts = self._whole_vectors(whole)
        size = len(codes)
        if len(parts) == 1:
            (source, matrix), *_ = parts.items()
            factor = np.diagonal(matrix)
            if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.diag(factor)):
                read = self._vector(source)
                if activation == "linear" and (factor == 1.0).all() and not whole.bias.any():
                    return read
                shift = whole.bias.astype(np.float32)
                return self._add(
                    FloatAffine(name, factor.astype(np.float32), shift, activation, sources=(read,))
                )
        added = self._added(name, parts, whole.bias, activation)
        if added is not None:
            return added
        if len(parts) > 1 and activation == "linear" and not whole.bias.any():
            joined = np.concatenate(list(parts.values()), axis=1)
            if joined.shape == (size, size) and np.array_equal(joined, np.eye(size)):
                return self._joined(name, parts)
        layer = FloatDense(name, np.zeros((size, 0), np.float32), whole.bias.astype(np.float32), activation)
        return self._read_by(layer, whole)

    def _added(self, name: str, parts: dict[int, Doubles], bias: Doubles, activation: str) -> str | None:
        """Add the sum of whole vectors, each times a number, where that is what the matrices are; None where not."""
        factors = [scalar_of(matrix) for matrix in parts.values()]
        if len(parts) < 2 or bias.any() or None in factors:
            return None
        sources = tuple(map(self._vector, parts))
        known = tuple(float(factor) for factor in factors if factor is not None)
        return self._add(FloatAdd(name, len(bias), known, activation, sources=sources))

    def _whole_vectors(self, linear: Linear) -> dict[int, Doubles]:
        """Return the matrix on each whole vector that the atoms are elements of."""
        parts = {}
        for number in np.unique(expression_of(linear.atoms)):
            size = self.table[int(number)].size
            parts[int(number)] = linear.columns(vector(int(number), size, 0))
        return parts

    def _behind(self, layer: FloatLayer, read: Codes) -> str:
        return self._add(replace(layer, sources=(self._made_by(read),)))

    def _vector(self, number: int) -> str:
        return self._made_by(vector(number, self.table[number].size, 0))

    def _joined(self, name: str, parts: dict[int, Doubles]) -> str:
        """Add the layer that puts whole vectors one after another, where there are several of them."""
        sources = tuple(map(self._vector, parts))
        if len(parts) == 1:
            return sources[0]
        widths = tuple(matrix.shape[1] for matrix in parts.values())
        return self._add(FloatConcat(name, widths, sources=sources))

    def _read_by(self, layer: FloatLayer, read: Linear) -> str:
        """Add a layer that reads linear combinations: they become part of its matrix, or, where that grows, a layer."""
        check_atoms(self.table, layer.name, read.atoms)
        parts = self._whole_vectors(read)
        columns = sum(matrix.shape[1] for matrix in parts.values())
        if isinstance(layer, FloatRecurrent):
            added = self._added(f"{layer.name}.before", parts, read.bias, "linear")
            if added is not None:
                return self._add(replace(layer, sources=(added,)))
        joined = np.concatenate(list(parts.values()), axis=1)
        sources = (self._joined(f"{layer.name}.inputs", parts),)
        if isinstance(layer, FloatDense):
            return self._add(replace(layer, weights=joined.astype(np.float32), sources=sources))
        if len(read.bias) < columns and not np.array_equal(read.matrix, np.eye(*read.matrix.shape)):
            bottleneck = FloatDense(
                f"{layer.name}.before",
                joined.astype(np.float32),
                read.bias.astype(np.float32),
                sources=sources,
            )
            return self._add(replace(layer, sources=(self._add(bottleneck),)))
        return self._add(replace(behind(layer, joined, read.bias), sources=sources))

    def _over_window(self, name: str, read: Linear, activation: str) -> str:
        """Add the convolution that computes one row of many, as a matrix on a whole window does."""
        check_atoms(self.table, name, read.atoms, delayed=True)
        layer, newest = over_window(name, read, self.table)
        made = self._add(replace(layer, sources=(self._joined(f"{name}.inputs", newest),)))
        one, none = np.ones(layer.units, np.float32), np.zeros(layer.units, np.float32)
        behind_it = FloatAffine(f"{name}.{activation}", one, none, activation, sources=(made,))
        return made if activation == "linear" else self._add(behind_it)

    def _reads(self, layer: FloatLayer, atoms: Codes) -> str:
        """Add a layer whose columns belong to `atoms`."""
        unit = Linear(np.eye(len(atoms)), atoms, np.zeros(len(atoms)))
        check_atoms(self.table, layer.name, atoms)
        parts = self._whole_vectors(unit)
        joined = np.concatenate(list(parts.values()), axis=1)
        sources = (self._joined(f"{layer.name}.inputs", parts),)
        return self._add(replace(behind(layer, joined, np.zeros(len(atoms))), sources=sources))

    def _attention(self, found: Expression) -> str:
        """Add attention, whose queries, and whose keys and values, read one vector each, which is put together where needed."""
        layer: FloatAttention = found.detail
        columns: list[Doubles] = []
        sources = []
        for what, atoms in zip(("queries", "keys"), found.arguments, strict=True):
            check_atoms(self.table, layer.name, atoms)
            if columns and np.array_equal(atoms, found.arguments[0]):
                columns.append(columns[0])
                continue
            parts = self._whole_vectors(Linear(np.eye(len(atoms)), atoms, np.zeros(len(atoms))))
            columns.append(np.concatenate(list(parts.values()), axis=1))
            sources.append(self._joined(f"{layer.name}.{what}", parts))
        return self._add(replace(plainest(layer, *columns), sources=tuple(dict.fromkeys(sources))))

    def _add(self, layer: FloatLayer) -> str:
        return added(self.layers, layer)
