"""The systemd unit: what systemd itself thinks of it."""

import re
import shutil
import subprocess

import pytest

from edgelstm.cli import main
from edgelstm.cli.service import unit

ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture
def unit_file(tmp_path):
    path = tmp_path / "edgelstm.service"
    text = unit(tmp_path / "gateway.toml", str(tmp_path / "password"))
    path.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    return path


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_the_unit_is_hardened_and_clean(unit_file):
    verified = subprocess.run(
        [ANALYZE, "verify", str(unit_file)], capture_output=True, text=True, check=False
    )
    ours = [line for line in (verified.stdout + verified.stderr).splitlines() if "edgelstm.service" in line]
    assert ours == []
    rated = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--no-pager", str(unit_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = float(re.search(r"exposure level for edgelstm.service: ([\d.]+)", rated.stdout)[1])
    assert exposure <= 2.0


def test_the_unit_is_printed_for_a_configuration_that_is_right(tmp_path, capsys):
    assert main(["config", "sample"]) == 0
    (tmp_path / "gateway.toml").write_text(capsys.readouterr().out)
    assert main(["service", "print", str(tmp_path / "gateway.toml")]) == 0
    printed = capsys.readouterr().out
    assert f"run {tmp_path / 'gateway.toml'}" in printed and "WatchdogSec=30" in printed
    assert "LoadCredential" not in printed and "MemoryDenyWriteExecute" not in printed
    (tmp_path / "gateway.toml").write_text("[mqtt")
    assert main(["service", "print", str(tmp_path / "gateway.toml")]) == 78
    assert main(["service", "install"]) == 2
