"""Which `execute` runs: the compiled one, or its NumPy twin where Numba has no build or is switched off."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

Execute = Callable[..., int]
_log = logging.getLogger(__name__)


@cache
def kernels() -> Any:
    """Import the kernels, once, and log what a user would want to know: no cache, or no compiler."""
    package = importlib.import_module("edgelstm.kernels")
    if package.CACHE.reason:
        _log.warning("%s", package.CACHE.reason)
    return package


@cache
def execute() -> Execute:
    """Return the compiled `execute`, or the twin with the same name and arguments and the same bits."""
    package = kernels()
    name = "edgelstm.kernels.step" if package.compiled.COMPILES else "edgelstm.reference.step"
    entry: Execute = importlib.import_module(name).execute
    return entry
