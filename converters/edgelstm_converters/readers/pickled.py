"""A pickle read as data: what it asks to be made is written down, and nothing in it is imported or called.

`torch.save` writes pickles, and a pickle is a program: its opcodes name functions and call them. Here a call becomes a `Made`
that says which function and with what, and a reader takes from that what it knows.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgelstm.errors import ConversionError

MOST_OPERATIONS = 1 << 21
"""A checkpoint has a few dozen for each tensor."""


@dataclass(frozen=True, slots=True)
class Named:
    """A class or function, by its name: `collections.OrderedDict`."""

    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What calling `by` with `given` would make; `items`, `listed` and `state` are what is then put into it."""

    by: str
    given: tuple[Any, ...]
    items: dict[Any, Any] = field(default_factory=dict)
    listed: list[Any] = field(default_factory=list)
    state: Any = None


Persistent = Callable[[Any], Any]


def read(stream: io.BytesIO, persistent: Persistent) -> Any:
    """Return what one pickle holds; `stream` is behind it then.

    persistent  gives what stands for something outside of the pickle, such as the numbers of a tensor
    Raises ConversionError for what is no pickle, or has more operations than MOST_OPERATIONS.
    """
    machine = _Machine(persistent)
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number > MOST_OPERATIONS:
                raise ConversionError(
                    f"is a pickle of more than {MOST_OPERATIONS:,} operations: save the weights alone"
                )
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.run(opcode.name, argument)
    except ConversionError:
        raise
    except Exception as exc:  # of damaged bytes: a stack too short, a key that is no key
        raise ConversionError(
            f"is damaged: {next(iter(str(exc).splitlines()), type(exc).__name__)}"
        ) from None
    raise ConversionError("is damaged: its pickle has no end")


class _Machine:
    """The stack of a pickle; one list for each mark that is open."""

    def __init__(self, persistent: Persistent) -> None:
        self.stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._persistent = persistent

    def run(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self._memo[argument])
        elif name == "GLOBAL":
            self.stack.append(Named(argument.replace(" ", ".", 1)))
        elif name not in ("PROTO", "FRAME"):
            operation = getattr(self, f"_{name.lower()}", None)
            if operation is None:
                raise ValueError(f"operation {name} is none of those that torch.save writes")
            operation()

    def _mark(self) -> None:
        self._marked.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self._marked.pop()
        return found

    def _pop(self) -> None:
        self.stack.pop()

    def _pop_mark(self) -> None:
        self._since_mark()

    def _dup(self) -> None:
        self.stack.append(self.stack[-1])

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _empty_list(self) -> None:
        self.stack.append([])

    def _empty_dict(self) -> None:
        self.stack.append({})

    def _empty_set(self) -> None:
        self.stack.append([])

    def _list(self) -> None:
        found = self._since_mark()
        self.stack.append(found)

    def _frozenset(self) -> None:
        self._list()

    def _tuple(self) -> None:
        found = self._since_mark()
        self.stack.append(tuple(found))

    def _dict(self) -> None:
        found = self._since_mark()
        self.stack.append(_by_key(found))

    def _tuple1(self) -> None:
        self._tuple_of(1)

    def _tuple2(self) -> None:
        self._tuple_of(2)

    def _tuple3(self) -> None:
        self._tuple_of(3)

    def _tuple_of(self, count: int) -> None:
        self.stack.append(tuple(self.stack.pop() for _ in range(count))[::-1])

    def _append(self) -> None:
        value = self.stack.pop()
        self._listed().append(value)

    def _appends(self) -> None:
        values = self._since_mark()
        self._listed().extend(values)

    def _additems(self) -> None:
        self._appends()

    def _listed(self) -> list[Any]:
        last = self.stack[-1]
        found: list[Any] = last.listed if isinstance(last, Made) else last
        return found

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._items().update(_by_key([key, value]))

    def _setitems(self) -> None:
        found = self._since_mark()
        self._items().update(_by_key(found))

    def _items(self) -> dict[Any, Any]:
        last = self.stack[-1]
        found: dict[Any, Any] = last.items if isinstance(last, Made) else last
        return found

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a class has a name that is no text")
        self.stack.append(Named(f"{module}.{name}"))

    def _reduce(self) -> None:
        given, by = self.stack.pop(), self.stack.pop()
        self._make(by, given)

    def _newobj(self) -> None:
        self._reduce()

    def _newobj_ex(self) -> None:
        _, given, by = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._make(by, given)

    def _make(self, by: Any, given: Any) -> None:
        if not isinstance(given, tuple):  # to copy what is large again and again takes minutes
            raise ValueError("what a class is called with is no tuple")
        name = by.name if isinstance(by, Named) else by.by if isinstance(by, Made) else type(by).__name__
        self.stack.append({} if name == "collections.OrderedDict" and not given else Made(name, given))

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Made):  # what torch hangs on an OrderedDict is not wanted
            self.stack[-1].state = state

    def _binpersid(self) -> None:
        self.stack.append(self._persistent(self.stack.pop()))


def _by_key(found: list[Any]) -> dict[Any, Any]:
    """Return keys and values in turn as a dictionary.

    Its keys are numbers, texts or tuples of them: one that holds another twice, and so on, has more parts than can be hashed.
    """
    for key in found[::2]:
        if not all(isinstance(part, _KEYS) for part in (key if isinstance(key, tuple) else (key,))):
            raise ValueError("a key is neither a number nor a text")
    return dict(zip(found[::2], found[1::2], strict=True))


_KEYS = (str, int, float, bytes, type(None), Named)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
