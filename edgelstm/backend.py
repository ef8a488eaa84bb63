"""Which engine runs: the compiled kernels, or their NumPy twin where Numba has no build or is switched off."""

from __future__ import annotations

import importlib
import logging
from functools import cache
from typing import Any

_log = logging.getLogger(__name__)


@cache
def kernels() -> Any:
    """Import the kernels, once, and log what a user would want to know: no cache, or no compiler."""
    package = importlib.import_module("edgelstm.kernels")
    if package.CACHE.reason:
        _log.warning("%s", package.CACHE.reason)
    return package


@cache
def engine() -> Any:
    """Return the module with `bind`, `execute_sample`, `execute_python_sample`, `execute_block` and `execute`: the same names and bits."""
    compiles = kernels().compiled.COMPILES
    return importlib.import_module("edgelstm.kernels.step" if compiles else "edgelstm.reference.step")
