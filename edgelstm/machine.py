"""The header of every benchmark: what a reader needs to believe a number."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _clock_mhz() -> float | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return max(clocks, default=None)


def _kernel() -> str:
    from edgelstm.backend import kernels

    variant: str = kernels().variant()
    return variant


def last_core() -> int:
    """Return the core to measure on: the last of those allowed, which interrupts visit least; -1 where it cannot be chosen."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1


def _governor() -> str:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return "unknown"


def _commit() -> str | None:
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def emulator() -> str | None:
    """Name the emulator that this machine is, as far as it shows: a time measured on one means nothing."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    if "QEMU TCG" in cpuinfo:
        return "QEMU TCG"
    foreign = platform.machine().startswith(("aarch64", "arm")) and "vendor_id" in cpuinfo
    return "user-mode emulation: the processor's description is that of a PC" if foreign else None


def describe(*packages: str) -> dict[str, object]:
    """Return processor, cores, clock, governor, kernel variant, system, commit and the versions of `packages` that are installed."""
    versions = {package: _version(package) for package in ("edgelstm", "numpy", "numba", *packages)}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "clock_mhz": _clock_mhz(),
        "governor": _governor(),
        "kernel": _kernel(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {package: found for package, found in versions.items() if found},
    }


def print_header(title: str, machine: dict[str, Any]) -> None:
    versions = "  ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(title)
    print(
        f"  {machine['processor']}, {machine['cores']} cores, governor {machine['governor']}, {machine['system']}"
    )
    clock = f"{machine['clock_mhz']:.0f} MHz" if machine["clock_mhz"] else "clock unknown"
    print(f"  {clock}  kernel: {machine['kernel']}")
    print(f"  python {machine['python']}  {versions}  commit {machine['commit'] or 'unknown'}")
