"""Machine code on disk: what Numba's own cache does, where the directory may be read-only, full, or damaged.

Numba passes a directory over that it cannot write to, so a filled one in a read-only container would be of no use; it ends the
process where a disk is full or a file is damaged. Here a function that cannot be read is compiled anew, one that cannot be
written is compiled by the next process again, and both are counted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    _CacheLocator,
    _SourceFileBackedLocatorMixin,
)

directory: Path | None = None
"""Where files of the functions that are marked now are kept."""
unwritten: dict[str, str] = {}
"""Why functions could not be kept, by name; a later process compiles them again."""


class _Locator(_SourceFileBackedLocatorMixin, _CacheLocator):
    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno
        self._cache_path = os.path.join(str(directory), self.get_suitable_cache_subpath(py_file))

    def get_cache_path(self) -> str:
        return self._cache_path

    def ensure_cache_path(self) -> None:
        """Make the folder; whether it can be written to is seen when something is."""
        os.makedirs(self._cache_path, exist_ok=True)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _Files(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class MachineCode(FunctionCache):
    """The cache of one function."""

    _impl_class = _Files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function for a signature; None where it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file can raise anything; what is compiled takes its place
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a function, if that is possible."""
        try:
            try:
                super().save_overload(sig, data)
            except OSError:
                raise
            except Exception:  # the damaged index
                self.flush()
                super().save_overload(sig, data)
        except OSError as exc:
            unwritten[self._py_func.__qualname__] = str(exc)
