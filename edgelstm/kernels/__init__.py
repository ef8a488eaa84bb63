"""Compiled functions, and the cache on disk that spares later processes the compilation.

The directory is named after a digest of the kernel sources, the Numba version and the processor that is compiled
for: Numba itself notices only edits in the file of the outermost function. Where it cannot be written, but an earlier
process has filled it, as in the image of a container, it is read. Directories that no process began with for a month
are deleted; a process that still runs with one compiles what it lacks.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edgelstm.kernels import compiled

UNUSED_S = 30 * 86400


@dataclass(frozen=True, slots=True)
class KernelCache:
    """Where machine code is kept: a directory, or None and the reason why every process compiles anew."""

    directory: Path | None
    reason: str


def _base_directory() -> Path:
    """Return the user's own choice, else the service's, else the platform's cache directory."""
    for variable in ("EDGELSTM_CACHE_DIR", "NUMBA_CACHE_DIR"):
        if os.environ.get(variable):
            return Path(os.environ[variable])
    if os.environ.get("CACHE_DIRECTORY"):  # systemd
        return Path(os.environ["CACHE_DIRECTORY"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "edgelstm" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "edgelstm"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgelstm"


def _digest() -> str:
    import numba

    from edgelstm.kernels import instructions

    digest = hashlib.sha256(repr((numba.__version__, sys.version_info[:3], instructions.target())).encode())
    here = Path(__file__).parent
    for source in sorted([*here.rglob("*.py"), *(here.parent / "reference").glob("*.py")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _find_cache() -> KernelCache:
    if not compiled.COMPILES:
        return KernelCache(
            None, "kernels are not compiled: Numba is switched off or has no build for this machine"
        )
    directory = None
    try:
        directory = _base_directory() / f"kernels-{_digest()}"
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
        os.utime(directory)  # what is in use is not deleted
        _prune(directory)
    except (OSError, RuntimeError) as exc:  # RuntimeError: no home directory
        if directory is not None and _is_filled(directory):
            return KernelCache(directory, "")
        return KernelCache(
            None,
            "kernels are compiled again in every process, some 10 s on a PC and longer on a small board, because "
            f"the machine code cannot be kept: {exc}; set EDGELSTM_CACHE_DIR to a folder that can be written",
        )
    return KernelCache(directory, "")


def _is_filled(directory: Path) -> bool:
    return next(directory.glob("*/*.nbi"), None) is not None


def _prune(own: Path) -> None:
    """Delete what is kept for versions and processors that nobody uses any more."""
    for other in own.parent.glob("kernels-*"):
        with contextlib.suppress(OSError):  # another process was faster
            if other != own and time.time() - other.stat().st_mtime > UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)


def not_kept() -> str:
    """Say what this process had to compile and the next one will again, "" where there is nothing."""
    if CACHE.directory is None:
        return CACHE.reason
    from edgelstm.kernels import machine_code

    if not machine_code.unwritten:
        return ""
    return (
        f"{len(machine_code.unwritten)} kernels are compiled again in every process, because their machine code cannot be "
        f"kept: {next(iter(machine_code.unwritten.values()))}; run edgelstm warm-up where {CACHE.directory} can be written"
    )


CACHE = _find_cache()
TO_COMPILE = compiled.COMPILES and (CACHE.directory is None or not _is_filled(CACHE.directory))
"""Whether there was no machine code when this process began."""

compiled.set_cache(CACHE.directory)
if CACHE.directory is not None:
    with compiled.importing():
        # every kernel file is imported here, but for those of seldom operations
        importlib.import_module("edgelstm.kernels.step")
        importlib.import_module("edgelstm.kernels.detection.many")


def variant() -> str:
    """Say which processor is compiled for and which instruction multiplies, as reports and the status show it."""
    if not compiled.COMPILES:
        return "NumPy (kernels are not compiled)"
    from edgelstm.kernels import instructions

    return f"{instructions.target()[1]}: {instructions.dot().value}"
