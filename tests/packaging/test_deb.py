"""The Debian package: what is in it, that it runs where it was unpacked, and what its unit exposes. And the container's recipe."""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from dpkg import said

from edgelstm.cli import VERBS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    said("dpkg-deb", "--raw-extract", package, folder)
    return folder


def test_it_runs_where_it_was_unpacked(unpacked, tmp_path):
    """The interpreter is the distribution's, everything else is the package's own."""
    python = unpacked / "opt/edgelstm/bin/python3"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "EDGELSTM_CACHE_DIR": str(tmp_path)}
    command = [python, unpacked / "opt/edgelstm/bin/edgelstm"]
    done = subprocess.run(
        [*command, "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "usage: edgelstm COMMAND" in done.stdout, done.stderr
    config = (unpacked / "etc/edgelstm/edgelstm.toml").read_text()
    (tmp_path / "gateway.toml").write_text(config.replace('path = "/opt', f'path = "{unpacked}/opt'))
    done = subprocess.run(
        [*command, "check", tmp_path / "gateway.toml"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.endswith("ok\n"), done.stderr
    code = "import edgelstm, nats, numpy; print(edgelstm.__file__); print(numpy.__file__)"
    done = subprocess.run(
        [python, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert all(line.startswith(str(unpacked / "opt/edgelstm/lib")) for line in done.stdout.splitlines())


def test_nothing_in_it_knows_where_it_was_built(package, unpacked):
    for script in (unpacked / "opt/edgelstm/bin").iterdir():
        if not script.is_symlink():
            assert script.read_text().startswith("#!/opt/edgelstm/bin/python"), script.name
    assert os.readlink(unpacked / "usr/bin/edgelstm") == "/opt/edgelstm/bin/edgelstm"
    assert "/tmp" not in (unpacked / "opt/edgelstm/pyvenv.cfg").read_text()
    assert not [
        line for line in said("dpkg-deb", "--contents", package).splitlines() if "__pycache__" in line
    ]


def test_its_fields_and_files_are_in_order(package, unpacked):
    fields = dict(
        line.split(": ", 1) for line in said("dpkg-deb", "--field", package).splitlines() if line[:1] != " "
    )
    assert fields["Package"] == "edgelstm" and fields["Architecture"] in package.name
    assert re.fullmatch(
        r"python3 \(>= 3\.\d+\), python3 \(<< 3\.\d+\), libc6 \(>= 2\.\d+\), .*, adduser", fields["Depends"]
    )
    assert len(fields["Description"]) < 80 and not fields["Description"].startswith(("A ", "edgelstm"))
    owners = {line.split()[1] for line in said("dpkg-deb", "--contents", package).splitlines()}
    assert owners == {"root/root"}
    loose = [path for path in unpacked.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not loose
    for wanted in ("copyright", "changelog.gz", "changelog.Debian.gz"):
        assert (unpacked / "usr/share/doc/edgelstm" / wanted).exists()
    assert (unpacked / "DEBIAN/conffiles").read_text() == "/etc/edgelstm/edgelstm.toml\n"
    subprocess.run(["md5sum", "--quiet", "-c", "DEBIAN/md5sums"], cwd=unpacked, check=True)


def test_its_scripts_can_be_read_and_stop_at_an_error(unpacked):
    for name in ("postinst", "prerm", "postrm"):
        script = unpacked / "DEBIAN" / name
        said("sh", "-n", script)
        assert script.read_text().startswith("#!/bin/sh\nset -e\n") and os.access(script, os.X_OK)
        said("sh", script, "nothing-that-dpkg-says")  # which leaves everything as it is


def test_lintian_has_nothing_to_say(package):
    """What it is told to overlook has a reason each, in packaging/debian/lintian-overrides."""
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", package],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_its_manual_names_every_command(unpacked):
    page = gzip.decompress((unpacked / "usr/share/man/man1/edgelstm.1.gz").read_bytes()).decode()
    for name in VERBS:
        assert f"\n.B {name}\n".replace("-", "\\-") in page


def test_its_unit_is_hardened(unpacked, tmp_path):
    unit = tmp_path / "edgelstm.service"
    text = (unpacked / "usr/lib/systemd/system/edgelstm.service").read_text()
    assert "User=edgelstm\n" in text and "DynamicUser" not in text and "{" not in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit.write_text(text.replace("/opt/", f"{unpacked}/opt/"))
    exposure = said("systemd-analyze", "security", "--offline=yes", unit)
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", exposure)[1]) <= 2.0


def test_the_recipe_of_the_container():
    """No container can be built here: what it says is held against what there is."""
    text = (ROOT / "packaging/Containerfile").read_text().replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    final = lines[max(n for n, (word, _) in enumerate(lines) if word == "FROM") :]
    said_of = dict(final)
    assert said_of["USER"] not in ("0", "root") and said_of["VOLUME"] == "/var/lib/edgelstm"
    words = [word for word, _ in final]
    assert words.index("RUN") < words.index("USER") < words.index("ENTRYPOINT")
    health = re.search(r'CMD \["edgelstm", "(\w+)"', said_of["HEALTHCHECK"])
    assert health[1] in VERBS and said_of["ENTRYPOINT"] == '["edgelstm"]'
    assert re.search(r'\["(\w+)"', said_of["CMD"])[1] in VERBS
    for name in ("STATE_DIRECTORY", "EDGELSTM_CACHE_DIR"):
        assert f"{name}=/var/lib/edgelstm" in said_of["ENV"]
