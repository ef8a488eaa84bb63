"""The decorator of every compiled function: Numba's `njit`, or nothing where Numba has no build.

`NUMBA_DISABLE_JIT=1` makes it nothing as well, so the same sources run as plain Python.
"""

from typing import Any

try:
    import numba
except ImportError:  # a board without a Numba wheel: the NumPy twin steps, the stages run as Python
    numba = None

COMPILES: bool = numba is not None and not numba.config.DISABLE_JIT
"""Whether functions marked `njit` become machine code in this process."""

_options: dict[str, Any] = {"nogil": True, "cache": True, "_nrt": False}


def set_cache(enabled: bool) -> None:
    """Say whether compiled functions are kept on disk; called once, before any kernel file is imported."""
    _options["cache"] = enabled


def njit(target: Any) -> Any:
    """Compile a function without Python objects and without holding the interpreter lock.

    As `@njit` it is compiled for the types of its first call, as `@njit(signature)` for those types only.
    """
    if not callable(target):
        return numba.njit(target, **_options)
    return numba.njit(**_options)(target) if COMPILES else target
