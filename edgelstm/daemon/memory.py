"""What this process holds in memory, and what of it can be given back."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_DONT_NEED = 4  # MADV_DONTNEED of Linux
_COMPILER = "libllvmlite"


def resident_bytes() -> int:
    """Return how much memory this process holds, 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def give_back_compiler() -> None:
    """Give the pages of the compiler's code back: some 50 MiB, of no use once the kernels are loaded.

    They are read-only pages of a file: what is called again after all is read again by the system. Nothing on systems
    that have no /proc/self/maps.
    """
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    advise = ctypes.CDLL(None).madvise
    for line in lines:
        if _COMPILER in line and line.split()[1] == "r-xp":
            start, end = (int(address, 16) for address in line.split()[0].split("-"))
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED)
