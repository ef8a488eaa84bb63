"""What the families of layers have in common: a name, what they read, and how often they run."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.products import RowProduct

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

INPUT = "input"
"""The name under which layers read the channels of the model."""

COMPUTED = -1
"""Instead of the number of a channel: a value that a layer computes."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer(ABC):
    """A frozen record of integers, written to a model file field by field (`edgelstm.layers.storage`).

    sources  names of the layers that it reads, `input` for the channels; none: the layer before it
    period   it runs at every `period`-th sample, first at sample `phase`, and holds its output in between
    when     name of a layer of one value: it runs only at samples where that is not 0, and holds its output else
    """

    kind: ClassVar[str]
    name: str
    sources: tuple[str, ...] = field(default=(), kw_only=True)
    period: int = field(default=1, kw_only=True)
    phase: int = field(default=0, kw_only=True)
    when: str = field(default="", kw_only=True)

    @property
    @abstractmethod
    def units(self) -> int:
        """How many values it gives."""

    @abstractmethod
    def check(self, columns: Sequence[int]) -> None:
        """Raise ModelFileError, naming layer and value, for what the kernels may not run.

        columns  how many values each of its sources gives
        """

    @abstractmethod
    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        """Add its state, constants and operations to a program; return where its output stands."""

    @property
    def latency(self) -> int:
        """How many samples its output is late."""
        return 0

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        """Return, for every value that it gives, the channel whose value it passes on, or `COMPUTED`.

        sources  the same of what it reads
        """
        del sources
        return (COMPUTED,) * self.units

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        """Yield which channel chooses a row of a table, and how many rows that has; sources as in `carried`.

        Raises ModelFileError where it is no channel that chooses: nobody could see that there is no such row.
        """
        del sources
        yield from ()

    @property
    def memory(self) -> int | None:
        """How many steps before the newest one a new output rests on; None where its state remembers without an end."""
        return 0

    @property
    def rhythm(self) -> tuple[int, int]:
        """At every how many of its steps it gives a new output, and at which it first does."""
        return 1, 0

    @property
    def weight_count(self) -> int:
        """Int8 weights that it has, each a byte; those of layers inside of it, too."""
        found = 0
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            parts = value if isinstance(value, tuple) else (value,)
            found += sum(part.weights.size for part in parts if isinstance(part, RowProduct))
            found += sum(part.weight_count for part in parts if isinstance(part, Layer))
        return found

    def multiply_adds(self, columns: Sequence[int]) -> float:
        """Return how many products of a row and a vector take, averaged over its steps: one a weight, where it says nothing else.

        columns  how many values each of its sources gives
        """
        del columns
        return self.weight_count
