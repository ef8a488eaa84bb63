"""The parts that the state of a stream is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class StateField:
    """A vector of one layer's state, from `word` on.

    initial       what it holds in a new stream
    low, high     what a snapshot may hold: the kernels count on it
    derived_from  word of the Q8.23 state that a gated unit's hidden vector is rounded from: such a field is not in a
                  snapshot, it is computed when one is restored
    lasting       whether it is kept from one sample to the next; what is not stands in no snapshot
    """

    word: int
    count: int
    dtype: type[np.int16] | type[np.int32]
    initial: NDArray[np.int32] | None = None
    low: int | None = None
    high: int | None = None
    derived_from: int | None = None
    lasting: bool = True


def field_of(state: NDArray[np.int32], field: StateField) -> NDArray[Any]:
    """Return the values of a field, a view of one stream's state (state_words,)."""
    per_word = 4 // np.dtype(field.dtype).itemsize
    return state.view(field.dtype)[field.word * per_word : field.word * per_word + field.count]
