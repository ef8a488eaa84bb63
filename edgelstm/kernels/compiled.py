"""The decorator of every compiled function: Numba's `njit`, or nothing where Numba has no build.

`NUMBA_DISABLE_JIT=1` makes it nothing as well, so the same sources run as plain Python.
"""

from collections.abc import Callable
from typing import Any, TypeVar

try:
    import numba
except ImportError:  # a board without a Numba wheel: the NumPy twin steps, the stages run as Python
    numba = None

F = TypeVar("F", bound=Callable[..., Any])

COMPILES: bool = numba is not None and not numba.config.DISABLE_JIT
"""Whether functions marked `njit` become machine code in this process."""

_options: dict[str, Any] = {"nogil": True, "cache": True}


def set_cache(enabled: bool) -> None:
    """Say whether compiled functions are kept on disk; called once, before any kernel file is imported."""
    _options["cache"] = enabled


def njit(function: F) -> F:
    """Compile `function` without Python objects and without holding the interpreter lock."""
    if not COMPILES:
        return function
    compiled: F = numba.njit(**_options)(function)
    return compiled
