"""What arrived, from a broker or any other source, and what it takes to acknowledge it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Origin(Protocol):
    """Where messages come from: a connection to a broker, or a source.

    place  under which name the database remembers how far it was read, by `Message.mid`; "" where it does not
    """

    place: str = ""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Say that what `messages` decided is on disk; called once for each of them, by the worker's thread."""


class Message(NamedTuple):
    """A message received.

    topic       of the broker; the input's name, or what else its source calls itself
    mid, generation  what its origin knows it by
    repeated    the origin says that it sent it before
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    generation: int
    retained: bool
    arrival_ns: int
    repeated: bool = False
    origin: Origin | None = None
