"""Build a Debian package around a private virtual environment in /opt/edgelstm.

    python packaging/deb.py [--python /usr/bin/python3] [--output dist]

The interpreter is that of the distribution that the package is for: it is named in the dependencies, by its minor version.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edgelstm import __version__  # noqa: E402
from edgelstm.cli.service import SECTIONS  # noqa: E402

PREFIX = Path("opt/edgelstm")
CONFIG = Path("etc/edgelstm/edgelstm.toml")
SUMMARY = "edge runtime for recurrent networks: int8, a sample at a time, alerts over MQTT"
CONTROL = """\
Package: edgelstm
Version: {version}
Section: science
Priority: optional
Architecture: {architecture}
Installed-Size: {kib}
Depends: python3 (>= {python}), python3 (<< {next_python}), adduser
Suggests: mosquitto
Maintainer: edgelstm maintainers <maintainers@edgelstm.invalid>
Description: {summary}
 A daemon that steps a recurrent network per sensor, in 8-bit integers, and raises an
 alert over MQTT when a signal stops looking normal. Everything it needs from Python
 is in an environment of its own in /opt/edgelstm.
"""
POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    adduser --system --group --quiet --no-create-home --home /var/lib/edgelstm edgelstm
    chown root:edgelstm /etc/edgelstm
    chmod 0750 /etc/edgelstm
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        if [ -n "$2" ]; then
            systemctl try-restart edgelstm.service
        else
            echo "edgelstm: edit /etc/edgelstm/edgelstm.toml, then: systemctl enable --now edgelstm"
        fi
    fi
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ] && [ "$1" = remove ]; then
    systemctl disable --now edgelstm.service
fi
# what Python compiled is in no list of files
find /opt/edgelstm -name __pycache__ -type d -prune -exec rm -rf {} +
"""
POSTRM = """\
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /var/lib/edgelstm /var/cache/edgelstm
    if [ -x /usr/sbin/deluser ]; then
        deluser --system --quiet edgelstm || true
    fi
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
"""


def build(python: str, output: Path) -> Path:
    """Return the package."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir(mode=0o755)
        _environment(tree, python)
        _files(tree)
        _control(tree, python)
        output.mkdir(parents=True, exist_ok=True)
        package = output / f"edgelstm_{__version__}_{_architecture()}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z9", "--build", tree, package)
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
        if script.name.lower().startswith("activate"):
            script.unlink()
        elif not script.is_symlink():
            script.write_text(script.read_text().replace(f"{tree}/", "/"))
    for cache in prefix.rglob("__pycache__"):
        shutil.rmtree(cache)
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
    _write(documents / "copyright", (ROOT / "LICENSE").read_text())
    (documents / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=0))


def _control(tree: Path, python: str) -> None:
    code = "import sys; print(sys.version_info[1])"
    minor = int(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files
    )
    folder = tree / "DEBIAN"
    control = CONTROL.format(
        version=__version__, architecture=_architecture(), kib=sum(path.stat().st_size for path in files) // 1024,
        python=f"3.{minor}", next_python=f"3.{minor + 1}", summary=SUMMARY,
    )  # fmt: skip
    _write(folder / "control", control)
    _write(folder / "conffiles", f"/{CONFIG}\n")
    _write(folder / "md5sums", sums)
    for name, text in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
        _write(folder / name, text)
        (folder / name).chmod(0o755)


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
    arguments = parser.parse_args()
    print(build(arguments.python, arguments.output))
