"""The header of every benchmark: what a reader needs to believe a number."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _governor() -> str:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return "unknown"


def _commit() -> str:
    here = Path(__file__).parent
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe(*packages: str) -> dict[str, object]:
    """Return processor, cores, governor, system, commit and the versions of `packages` that are installed."""
    versions = {package: _version(package) for package in ("numpy", "numba", *packages)}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "governor": _governor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {package: found for package, found in versions.items() if found},
    }


def print_header(title: str, machine: dict[str, object]) -> None:
    versions = "  ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(title)
    print(
        f"  {machine['processor']}, {machine['cores']} cores, governor {machine['governor']}, {machine['system']}"
    )
    print(f"  python {machine['python']}  {versions}  commit {machine['commit']}")
