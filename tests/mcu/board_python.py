"""A Python of Debian for the processor of another board, to run under qemu-user: unpacked, not installed, needs no root.

python tests/mcu/board_python.py        fetches those that are missing, by apt, into .venv/boards
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

BOARDS = Path(__file__).parents[2] / ".venv" / "boards"
ARCHITECTURES = {"armhf": "qemu-arm", "arm64": "qemu-aarch64"}
"""Debian's names, and the emulators."""

_APT = """APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
"""


def command(architecture, processor):
    """Return the command of that Python on an emulated processor, or None where something is missing."""
    root = BOARDS / architecture
    python = sorted((root / "usr" / "bin").glob("python3.*"))
    if not python or shutil.which(ARCHITECTURES[architecture]) is None:
        return None
    return [ARCHITECTURES[architecture], "-L", str(root), "-cpu", processor, str(python[0])]


def fetch(architecture):
    """Download the packages of a Python and what it needs, and unpack them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(_APT.format(architecture=architecture, folder=folder))
        apt = ["apt-get", "-qq", "-c", str(folder / "apt.conf")]
        subprocess.run(
            [*apt, "update"], check=False
        )  # an archive of updates may be away; the main one will do
        subprocess.run([*apt, "install", "-y", "--download-only", "python3", "libgcc-s1"], check=True)
        unpacked = folder / "root"
        for package in sorted((folder / "cache" / "archives").glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True)
        BOARDS.mkdir(parents=True, exist_ok=True)
        shutil.move(unpacked, BOARDS / architecture)


if __name__ == "__main__":
    for architecture in ARCHITECTURES:
        if not (BOARDS / architecture).exists():
            fetch(architecture)
