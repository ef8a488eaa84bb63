"""The Debian package, built once for all tests of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dpkg import PYTHON, said

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    version = subprocess.run(
        [PYTHON, "-c", "import sys, venv; print(sys.version_info[1])"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shutil.which("dpkg-deb") is None or version.returncode or int(version.stdout) < 11:
        pytest.skip("a Debian package needs dpkg-deb, and the distribution's Python 3.11 or newer with venv")
    folder = tmp_path_factory.mktemp("deb")
    return Path(
        said(
            sys.executable, ROOT / "packaging/deb.py", "--output", folder, "--compression", "gzip"
        ).splitlines()[-1]
    )
