"""Build a Debian package around a private virtual environment in /opt/edgelstm.

    python packaging/deb.py [--python /usr/bin/python3] [--output dist] [--compression xz]

The interpreter is that of the distribution that the package is for: it is named in the dependencies, by its minor version.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edgelstm import __version__  # noqa: E402
from edgelstm.cli import VERBS  # noqa: E402
from edgelstm.cli.service import SECTIONS  # noqa: E402

PREFIX = Path("opt/edgelstm")
CONFIG = Path("etc/edgelstm/edgelstm.toml")
VERSION = f"{__version__}-1"
DEBIAN = ROOT / "packaging" / "debian"
UNUSED_COMMANDS = ("f2py", "numba", "numpy-config")
STAMP = "%a, %d %b %Y %H:%M:%S +0000"
CHANGELOG = """\
edgelstm ({version}) stable; urgency=medium

  * See changelog.gz beside this file.

 -- edgelstm maintainers <maintainers@edgelstm.invalid>  {date}
"""


def build(python: str, output: Path, compression: str = "xz") -> Path:
    """Return the package."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir(mode=0o755)
        _environment(tree, python)
        _files(tree)
        _control(tree, python)
        output.mkdir(parents=True, exist_ok=True)
        package = output / f"edgelstm_{VERSION}_{_architecture()}.deb"
        _run("dpkg-deb", "--root-owner-group", f"-Z{compression}", "-z1", "--build", tree, package)
    return package


def _environment(tree: Path, python: str) -> None:
    """Make the virtual environment, and let it believe that it is in its final place."""
    prefix = tree / PREFIX
    _run(python, "-m", "venv", "--without-pip", prefix)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        prefix / "bin" / "python3",
        "install",
        "--quiet",
        "--no-compile",
    ]
    _run(*pip, f"{ROOT}[nats]")
    for script in (prefix / "bin").iterdir():
        if script.name.lower().startswith("activate") or script.name in UNUSED_COMMANDS:
            script.unlink()
        elif not script.is_symlink():
            script.write_text(script.read_text().replace(f"{tree}/", "/"))
    (packages,) = prefix.glob("lib/python3*/site-packages")
    for others in (*packages.rglob("__pycache__"), *packages.rglob("tests")):
        shutil.rmtree(others, ignore_errors=True)
    for library in packages.rglob("*.so*"):
        library.chmod(0o644)
    settings = prefix / "pyvenv.cfg"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("command")]
    settings.write_text("\n".join(lines) + "\n")


def _files(tree: Path) -> None:
    """Put in what belongs outside of /opt: the command, the unit, the configuration, the licence."""
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/edgelstm").symlink_to(f"/{PREFIX}/bin/edgelstm")
    values = {"command": f"/{PREFIX}/bin/edgelstm", "config": f"/{CONFIG}", "credential": ""}
    unit = "\n".join(f"[{name}]\n{text.format(**values)}\n" for name, text in SECTIONS.items())
    _write(
        tree / "usr/lib/systemd/system/edgelstm.service",
        unit.replace("DynamicUser=yes", "User=edgelstm\nGroup=edgelstm"),
    )
    (package,) = (tree / PREFIX).glob("lib/python3*/site-packages/edgelstm")
    sample = (package / "gateway.toml").read_text()
    changes = {
        'state_dir = "state"          ': 'state_dir = "/var/lib/edgelstm"',
        'path = "models/pump.elstm"': f'path = "/{package.relative_to(tree)}/models/pump.elstm"',
    }
    for old, new in changes.items():
        assert old in sample, f"gateway.toml no longer says {old}"
        sample = sample.replace(old, new)
    _write(tree / CONFIG, sample)
    documents = tree / "usr/share/doc/edgelstm"
    _write(documents / "copyright", (DEBIAN / "copyright").read_text())
    changed_s = int(os.environ.get("SOURCE_DATE_EPOCH", (ROOT / "CHANGELOG.md").stat().st_mtime))
    date = time.strftime(STAMP, time.gmtime(changed_s))
    _write_packed(documents / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    _write_packed(documents / "changelog.Debian.gz", CHANGELOG.format(version=VERSION, date=date))
    _write_packed(tree / "usr/share/man/man1/edgelstm.1.gz", _manual())
    _write(tree / "usr/share/lintian/overrides/edgelstm", (DEBIAN / "lintian-overrides").read_text())


def _manual() -> str:
    """Return the manual page: the commands; each says its options itself."""
    verbs = [f".TP\n.B {name}\n{verb.summary}." for name, verb in VERBS.items()]
    parts = [
        f'.TH EDGELSTM 1 "" "edgelstm {__version__}"',
        ".SH NAME\nedgelstm - edge runtime for recurrent networks",
        ".SH SYNOPSIS\n.B edgelstm\n.I command\n.RI [ option ...]\n.br\n.B edgelstm\n.I command\n.B --help",
        ".SH COMMANDS",
        *verbs,
        ".SH FILES\n.I /etc/edgelstm/edgelstm.toml\n.br\n.I /var/lib/edgelstm",
    ]
    return "\n".join(parts).replace("-", "\\-") + "\n"


def _control(tree: Path, python: str) -> None:
    code = "import sys; print(sys.version_info[1])"
    minor = int(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files
    )
    folder = tree / "DEBIAN"
    control = (DEBIAN / "control").read_text().format(
        version=VERSION, architecture=_architecture(), kib=sum(path.stat().st_size for path in files) // 1024,
        python=f"3.{minor}", next_python=f"3.{minor + 1}", libc=_newest_libc(tree),
    )  # fmt: skip
    _write(folder / "control", control)
    _write(folder / "conffiles", f"/{CONFIG}\n")
    _write(folder / "md5sums", sums)
    for name in ("postinst", "prerm", "postrm"):
        _write(folder / name, (DEBIAN / name).read_text())
        (folder / name).chmod(0o755)


def _newest_libc(tree: Path) -> str:
    """Return the newest version of the C library that a symbol in our binaries asks for."""
    libraries = [path.read_bytes() for path in tree.rglob("*.so*")]
    found = {int(minor) for library in libraries for minor in re.findall(rb"\0GLIBC_2\.(\d+)", library)}
    return f"2.{max(found)}"


def _write_packed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _architecture() -> str:
    return subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--python", default="/usr/bin/python3", help="the interpreter that the package will use"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--compression", choices=("xz", "gzip", "none"), default="xz")
    arguments = parser.parse_args()
    print(build(arguments.python, arguments.output, arguments.compression))
