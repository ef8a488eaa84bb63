"""The fused LSTM of TFLite (lstm_eval.cc of LiteRT): its inputs, as those of ONNX's LSTM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgelstm_converters.trace.graph import Array

I, F, C, O = range(4)  # noqa: E741  the order of TFLite
OF_ONNX = (I, O, F, C)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One direction. `parts`: matrices of the input and of the hidden vector (each i, f, c, o), peepholes (i, f, o), biases
    (i, f, c, o), the projection and its bias; None where one is left out.
    """

    parts: list[Array | None]
    norms: list[Array | None]
    activation: int
    cell_clip: float
    projection_clip: float
    diagonal: bool = False

    @property
    def coupled(self) -> bool:
        """Whether i = 1 - f: our coupled cell has f = 1 - i, which is the same with f's rows negated as those of i."""
        return self.parts[I] is None

    @property
    def units(self) -> int:
        hidden = self.parts[4 + F]
        return 0 if hidden is None else int(hidden.shape[1])

    def refusal(self) -> str | None:
        """Return why it cannot be converted, None where it can."""
        missing = [n for n in range(8) if self.parts[n] is None and not (self.coupled and n in (I, 4 + I))]
        cases = {
            "diagonal matrices": self.diagonal,
            f"activation number {self.activation}": self.activation not in (0, 1, 4),
        }
        found = [what for what, present in cases.items() if present]
        if found:
            return f"it has {found[0]}, which cannot be converted"
        if len(given := [part for part in self.norms if part is not None]) not in (
            0,
            3 if self.coupled else 4,
        ):
            return f"it has {len(given)} of the vectors that normalise its gates, expected one for each"
        return "one of its matrices is left out" if missing else None

    def inputs(self) -> dict[str, Array | None]:
        """Return the inputs of ONNX's LSTM behind its sequence, and the projection behind those."""
        parts = list(self.parts)
        if self.coupled:
            for to, source in ((I, F), (4 + I, 4 + F), (8, 9), (11 + I, 11 + F)):
                parts[to] = None if parts[source] is None else -np.asarray(parts[source])
        cells = len(np.asarray(parts[F]))
        w, r = (np.concatenate([np.asarray(parts[first + n]) for n in OF_ONNX])[None] for first in (0, 4))
        bias = [_or_zeros(parts[11 + n], cells) for n in OF_ONNX]
        peepholes = [parts[n] for n in (8, 10, 9)]  # i, o, f
        p = None
        if any(part is not None for part in peepholes):
            p = np.concatenate([_or_zeros(part, cells) for part in peepholes])[None]
        norm = None
        if any(part is not None for part in self.norms):  # the biases come behind it
            factors = list(self.norms)
            factors[I] = factors[F] if self.coupled else factors[I]
            rows = np.concatenate([_or_zeros(factors[n], cells) for n in OF_ONNX])
            norm = np.stack([rows, np.concatenate(bias)])[None]
            bias = [np.zeros(cells, np.float32)] * 4
        b = np.concatenate([*bias, np.zeros(4 * cells, np.float32)])[None]
        return {
            "W": w, "R": r, "B": b, "lengths": None, "initial_h": None, "initial_c": None, "P": p,
            "projection": None if parts[15] is None else parts[15][None],
            "projection_bias": None if parts[16] is None else parts[16][None], "norm": norm,
        }  # fmt: skip


def _or_zeros(part: Array | None, count: int) -> Array:
    return np.zeros(count, np.float32) if part is None else part
