"""Recurrent cells recognised by what they compute, however an exporter spelled them.

LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000)   c = f c' + i g,  h = o tanh(c)
GRU (Cho et al. 2014)                                      h = n + u (h' - n),  n = tanh(x part + r (h part)) or tanh(x part + U (r h'))
RNN (Elman 1990)                                           h = tanh(x part + h part)
where i, f, o, u, r are sigmoids, or hard sigmoids, of a linear combination of input and h', and g is a tanh or relu of one. Those
combinations may each be normalised over the units of an LSTM (Ba et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers.activation import CELL_ACTIVATIONS, GATE_ACTIVATIONS
from edgelstm_converters.float_model import FloatGru, FloatLayer, FloatLstm
from edgelstm_converters.layers import FloatNormalization, FloatRnn
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    Expressions,
    expression_of,
    is_constant,
    place_of,
    time_of,
)
from edgelstm_converters.trace.linear import Doubles, Linear, Linearizer, Term, earlier
from edgelstm_converters.trace.normalization import NormalizationReader
from edgelstm_converters.trace.run import WrongAxis

SQUASHING = ("tanh", "relu")


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A recurrent layer, and the elements that it reads, relative to the step of what it gives."""

    layer: FloatLayer
    reads: Codes


class CellReader:
    """Recognises the cell that a vector is the output of.

    carried  where the caller carries states: the code of a state's element, by that of the element it becomes
    """

    def __init__(self, expressions: Expressions, linear: Linearizer, carried: dict[int, int]) -> None:
        self.table, self.linear, self.carried = expressions.table, linear, carried
        self.norms = NormalizationReader(expressions, linear)

    def read(self, codes: Codes, name: str) -> Cell | None:
        """Return the cell whose output is `codes` (units,), relative codes of one expression, or None."""
        return self._lstm(codes, name) or self._gru(codes, name) or self._rnn(codes, name)

    def _rnn(self, codes: Codes, name: str) -> Cell | None:
        found = self._expression(codes)
        if found is None or found.kind != "function" or found.detail not in CELL_ACTIVATIONS:
            return None
        whole = self.linear.expand(found.arguments[0][place_of(codes)])
        past = whole.atoms[self._past(whole.atoms)]
        kinds = {self.table[int(n)].kind for n in np.unique(expression_of(past))}
        if not kinds or ("state" not in kinds and time_of(past).max() > 1):  # a window of samples
            return None
        previous = self._previous(codes, [whole], name)
        rest = whole.without(previous)
        layer = FloatRnn(
            name, _stack([rest.columns(rest.atoms)]), _stack([whole.columns(previous)]), _stack([whole.bias]), found.detail
        )  # fmt: skip
        return Cell(layer, rest.atoms)

    def _past(self, atoms: Codes) -> NDArray[np.bool_]:
        """Whether atoms are of an earlier step, or of a state that the caller carries."""
        states = [n for n in np.unique(expression_of(atoms)) if self.table[int(n)].kind == "state"]
        past: NDArray[np.bool_] = (time_of(atoms) > 0) | np.isin(expression_of(atoms), states)
        return past

    def _function(self, codes: Codes, *names: str) -> Codes | None:
        """Return the argument of a function, named from where `codes` are, or None where it is none of `names`."""
        found = self._expression(codes)
        if found is None or found.kind != "function" or found.detail not in names:
            return None
        return earlier(found.arguments[0][place_of(codes)], int(time_of(codes)[0]))

    def _expression(self, codes: Codes) -> Expression | None:
        if is_constant(codes).any() or (expression_of(codes) != expression_of(codes)[0]).any():
            return None
        return self.table[int(expression_of(codes)[0])]

    def _lstm(self, codes: Codes, name: str) -> Cell | None:
        terms = list(self.linear.polynomial(codes).values())
        if len(terms) != 1 or len(terms[0][1]) != 2 or not _is(terms[0][0], 1.0):
            return None
        factors = terms[0][1]
        for gate, squashed in (factors, factors[::-1]):
            o, cell = self._function(gate, *GATE_ACTIVATIONS), self._function(squashed, *SQUASHING)
            found = self._cell_update(cell) if o is not None and cell is not None else None
            if found is None or o is None or cell is None:
                continue
            parts, norms = zip(*(self._normalised(part, name) for part in (*found, o)), strict=True)
            if len({None if norm is None else norm.epsilon for norm in norms}) > 1:
                return None
            gates = [self.linear.expand(part) for part in parts]
            kinds = {"output_activation": self._word(squashed), "gate_activation": self._word(gate)}
            made = self._assemble_lstm(name, gates, self._previous(codes, gates, name), cell, kinds)
            return made and _with_norms(made, [norm for norm in norms if norm is not None])
        return None

    def _normalised(self, codes: Codes, name: str) -> tuple[Codes, FloatNormalization | None]:
        """Return what a layer normalisation that gives `codes` reads, and that; `codes` themselves where none does."""
        found = self._expression(codes)
        if (
            found is None
            or time_of(codes).any()
            or not np.array_equal(place_of(codes), np.arange(found.size))
        ):
            return codes, None
        if found.kind == "layer" and isinstance(found.detail, FloatNormalization):
            norm, read = found.detail, found.arguments[0]
        elif found.kind in ("sum", "product") and (spelled := self.norms.read(codes, name)) is not None:
            norm, read = spelled
        else:
            return codes, None
        return (read, norm) if norm.mode == "layer" else (codes, None)

    def _word(self, codes: Codes) -> str:
        return str(self.table[int(expression_of(codes)[0])].detail)

    def _cell_update(self, cell: Codes) -> tuple[Codes, Codes, Codes] | None:
        """Return the arguments of i, f and g in c = f c' + i g."""
        terms = list(self.linear.polynomial(cell).values())
        if len(terms) != 2 or any(len(factors) != 2 or not _is(k, 1.0) for k, factors in terms):
            return None
        for (_, new), (_, kept) in (terms, terms[::-1]):
            for (i, g), (f, before) in ((a, b) for a in (new, new[::-1]) for b in (kept, kept[::-1])):
                gate = [self._function(part, *GATE_ACTIVATIONS) for part in (i, f)]
                parts = [*gate, self._function(g, *SQUASHING)]
                known = [part for part in parts if part is not None]
                if len(known) == 3 and self._is_earlier(before) and self._becomes(cell, before):
                    return known[0], known[1], known[2]
        return None

    def _is_earlier(self, codes: Codes) -> bool:
        found = self._expression(codes)
        return found is not None and (bool((time_of(codes) > 0).all()) or found.kind == "state")

    def _becomes(self, now: Codes, before: Codes) -> bool:
        """Whether what the caller carries as `before` is what comes out as `now`; of earlier steps nothing is carried."""
        if self.table[int(expression_of(before)[0])].kind != "state":
            return True
        return bool([self.carried.get(int(code)) for code in now] == before.tolist())

    def _previous(self, codes: Codes, gates: list[Linear], name: str) -> Codes:
        """Return the output of the step before, in the order of `codes`, as the gates read it."""
        atoms = np.unique(np.concatenate([gate.atoms for gate in gates]))
        delayed = atoms[self._past(atoms)]
        sources = np.unique(delayed - place_of(delayed))
        read = [self.table[int(number)].detail for number in np.unique(expression_of(atoms))]
        if len(sources) == 0 and any(isinstance(detail, FloatNormalization) for detail in read):
            raise ConversionError(
                f'the cell "{name}" normalises several gates together, or their parts: a normalisation for each gate, of all that it '
                "reads, can be converted"
            )
        if len(sources) == 0:
            raise ConversionError(f'the cell "{name}" does not read its own output of the step before')
        if len(sources) > 1:
            raise ConversionError(f'the cell "{name}" reads more of the past than its own last output')
        if self.table[int(expression_of(delayed)[0])].kind == "state":
            known = [self.carried.get(int(code)) for code in codes]
            if None in known or not np.isin(delayed, np.array(known)).all():
                raise WrongAxis(f'what the cell "{name}" gives is not what its state becomes')
            return np.array(known, np.int64)
        return np.asarray(sources[0] + place_of(codes), np.int64)

    def _assemble_lstm(
        self, name: str, gates: list[Linear], previous: Codes, cell: Codes, kinds: dict[str, str]
    ) -> Cell | None:
        rests = [gate.without(previous) for gate in gates]
        reads = np.unique(np.concatenate([rest.atoms for rest in rests]))
        functions = [self._kinds_in(cell, names) for names in (GATE_ACTIVATIONS, SQUASHING)]
        if functions[0] != {kinds["gate_activation"]} or len(functions[1]) != 1:
            return None
        layer = FloatLstm(
            name,
            _stack([rest.columns(reads) for rest in rests]),
            _stack([gate.columns(previous) for gate in gates]),
            _stack([gate.bias for gate in gates]),
            cell_activation=functions[1].pop(),
            gate_activation=kinds["gate_activation"],
            output_activation=kinds["output_activation"],
        )
        return Cell(layer, reads)

    def _kinds_in(self, cell: Codes, names: Sequence[str]) -> set[str]:
        """Return which of `names` are factors of the cell's update at this step."""
        factors = [
            f for _, fs in self.linear.polynomial(cell).values() for f in fs if not self._is_earlier(f)
        ]
        return {self._word(factor) for factor in factors}.intersection(names)

    def _gru(self, codes: Codes, name: str) -> Cell | None:
        terms = list(self.linear.polynomial(codes).values())
        if len(terms) != 3:
            return None
        singles = [term for term in terms if len(term[1]) == 1]
        pairs = [term for term in terms if len(term[1]) == 2]
        if len(singles) != 1 or len(pairs) != 2 or not _is(singles[0][0], 1.0):
            return None
        alone = singles[0][1][0]
        for u in pairs[0][1]:
            update = self._function(u, "sigmoid")
            others = [_other(term, u) for term in pairs]
            if update is None or any(other is None for other in others):
                continue
            (k0, v0), (k1, v1) = others  # type: ignore[misc]
            same, mixed = ((k0, v0), (k1, v1)) if (v0 == alone).all() else ((k1, v1), (k0, v0))
            if not (same[1] == alone).all() or not _is(same[0], -1.0) or not _is(mixed[0], 1.0):
                continue
            gate = self.linear.expand(update)
            if self._function(alone, "tanh") is not None:
                new, hidden = alone, mixed[1]
            else:  # h' (1 - u) + u n: what we call the update gate is 1 - u, the sigmoid of the negative
                new, hidden = mixed[1], alone
                gate = Linear(-gate.matrix, gate.atoms, -gate.bias)
            argument = self._function(new, "tanh")
            if argument is None or not self._is_earlier(hidden) or not self._becomes(codes, hidden):
                continue
            return self._assemble_gru(name, gate, argument, hidden)
        return None

    def _assemble_gru(self, name: str, update: Linear, argument: Codes, hidden: Codes) -> Cell | None:
        """The new gate is tanh of a sum: a part of the input, and a part that the reset gate scales."""
        units = len(hidden)
        after = self._reset_after(argument, hidden)
        if after is None:
            found = self._reset_before(argument, hidden)
            if found is None:
                return None
            reset, plain, matrix = found
            hidden_part, hidden_bias = matrix, np.zeros(units)
        else:
            reset, plain, recurrent = after
            hidden_part, hidden_bias = recurrent.columns(hidden), recurrent.bias
            if len(recurrent.without(hidden).atoms):
                return None
        gates = [reset, update]
        rests = [*[gate.without(hidden) for gate in gates], plain]
        reads = np.unique(np.concatenate([rest.atoms for rest in rests]))
        layer = FloatGru(
            name,
            _stack([rest.columns(reads) for rest in rests]),
            _stack([*[gate.columns(hidden) for gate in gates], hidden_part]),
            _stack([rest.bias for rest in rests]),
            _stack([np.zeros(units), np.zeros(units), hidden_bias]),
            after is not None,
        )
        return Cell(layer, reads)

    def _reset_after(self, argument: Codes, hidden: Codes) -> tuple[Linear, Linear, Linear] | None:
        """Split `x part + r * (h part)`, summed element by element, into the gate r and the two parts."""
        terms = list(self.linear.polynomial(argument).values())
        factors = {f.tobytes(): f for _, fs in terms for f in fs if self._function(f, "sigmoid") is not None}
        if len(factors) != 1:
            return None
        r = next(iter(factors.values()))
        gate = self._function(r, "sigmoid")
        assert gate is not None
        plain: list[Term] = []
        scaled: list[Term] = []
        for coefficient, parts in terms:
            others = tuple(part for part in parts if part is not r and not np.array_equal(part, r))
            if len(others) > 1 or len(parts) - len(others) > 1:
                return None
            (plain if len(others) == len(parts) else scaled).append((coefficient, others))
        return self.linear.expand(gate), self._total(plain, len(argument)), self._total(scaled, len(argument))

    def _total(self, terms: list[Term], size: int) -> Linear:
        """Return a sum of scaled vectors as one linear combination."""
        total = Linear(np.zeros((size, 0)), np.zeros(0, np.int64), np.zeros(size))
        for coefficient, parts in terms:
            part = self.linear.expand(parts[0]) if parts else total
            if parts:
                atoms = np.unique(np.concatenate([total.atoms, part.atoms]))
                matrix = total.columns(atoms) + part.columns(atoms) * coefficient[:, None]
                total = Linear(matrix, atoms, total.bias + part.bias * coefficient)
            else:
                total = Linear(total.matrix, total.atoms, total.bias + coefficient)
        return total

    def _reset_before(self, argument: Codes, hidden: Codes) -> tuple[Linear, Linear, Doubles] | None:
        """Split `x part + U (r * h')` into the gate r, the x part and the matrix U."""
        whole = self.linear.expand(argument)
        products = [n for n in np.unique(expression_of(whole.atoms)) if self.table[int(n)].kind == "product"]
        if len(products) != 1:
            return None
        scaled = whole.atoms[expression_of(whole.atoms) == products[0]]
        one, other = (part[place_of(scaled)] for part in self.table[int(products[0])].arguments)
        if time_of(scaled).any():
            return None
        for r, h in ((one, other), (other, one)):
            gate = self._function(r, "sigmoid")
            if gate is None or not np.isin(h, hidden).all():
                continue
            order = np.array([int(np.flatnonzero(h == code)[0]) for code in hidden if code in h])
            if len(order) != len(hidden):
                return None
            return self.linear.expand(gate[order]), whole.without(scaled), whole.columns(scaled[order])
        return None


def _with_norms(cell: Cell, norms: Sequence[FloatNormalization]) -> Cell:
    """Return an LSTM with its gates, in our order, normalised; as it is where there are no norms."""
    if not norms:
        return cell
    factor, shift = (np.concatenate([getattr(norm, part) for norm in norms]) for part in ("factor", "shift"))
    held: Any = cell.layer
    layer = replace(held, norm_factor=factor, norm_shift=shift, norm_epsilon=norms[0].epsilon)
    return Cell(layer, cell.reads)


def _is(coefficient: Doubles, value: float) -> bool:
    return bool(np.allclose(coefficient, value, rtol=0, atol=1e-6))


def _other(term: Term, factor: Codes) -> tuple[Doubles, Codes] | None:
    """Return coefficient and other factor of a product of two, where `factor` is one of them."""
    coefficient, (one, other) = term
    if np.array_equal(one, factor):
        return coefficient, other
    return (coefficient, one) if np.array_equal(other, factor) else None


def _stack(parts: list[Doubles]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ascontiguousarray(np.concatenate(parts), np.float32)
