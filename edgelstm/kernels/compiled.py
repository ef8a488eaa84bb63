"""The decorator of every compiled function: Numba's `njit`, or nothing where Numba has no build.

`NUMBA_DISABLE_JIT=1` makes it nothing as well, so the same sources run as plain Python.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import numba
except ImportError:  # a board without a Numba wheel: the NumPy twin steps, the stages run as Python
    numba = None

COMPILES: bool = numba is not None and not numba.config.DISABLE_JIT
"""Whether functions marked `njit` become machine code in this process."""

_options: dict[str, Any] = {"nogil": True, "cache": True, "_nrt": False}


_cache_directory: Path | None = None


def set_cache(directory: Path | None) -> None:
    """Say where compiled functions are kept on disk, if anywhere; called once, before any kernel file is imported."""
    global _cache_directory
    _cache_directory = directory
    _options["cache"] = directory is not None


@contextmanager
def importing() -> Iterator[None]:
    """Keep the machine code of kernel files that are imported inside: a function is given its cache only then."""
    if _cache_directory is None:
        yield
        return
    from edgelstm.kernels import machine_code

    machine_code.directory = _cache_directory
    users: list[Any] = [importlib.import_module(f"numba.core.{name}") for name in ("dispatcher", "ccallback")]
    before = users[0].FunctionCache
    for user in users:
        user.FunctionCache = machine_code.MachineCode
    try:
        yield
    finally:
        for user in users:
            user.FunctionCache = before


def njit(target: Any = None, *, inlined: bool = False) -> Any:
    """Compile a function without Python objects and without holding the interpreter lock.

    As `@njit` it is compiled for the types of its first call, as `@njit(signature)` for those types only;
    `inlined` puts it into its callers, whose arrays then need no handing over.
    """
    if target is None or not callable(target):
        signature = () if target is None else (target,)
        return (
            numba.njit(*signature, **_options, forceinline=inlined) if COMPILES else lambda function: function
        )
    return numba.njit(**_options)(target) if COMPILES else target


def callback(signature: Any) -> Any:
    """Compile a function that is called from outside by its address."""
    return numba.cfunc(signature, cache=_options["cache"])
