"""`edgelstm bench`: what it prints, and what it refuses."""

import json
import platform
from importlib.resources import files

import pytest

from edgelstm import machine
from edgelstm.backend import kernels
from edgelstm.cli import main


def test_figures_of_every_size_as_json(capsys):
    assert main(["bench", "--hidden", "4", "20", "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["ns"]) == ["lstm 4", "lstm 20"]
    assert report["machine"]["kernel"] == kernels().variant()
    for found in report["ns"].values():
        assert 0 < found["p50"] <= found["p99"] <= found["p99.9"] <= found["max"]
        assert found["block"] > 0
        assert found["streams"] > 0


def test_a_model_of_the_users_own_as_a_table(capsys):
    path = str(files("edgelstm.models") / "pump.elstm")
    assert main(["bench", path, "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert kernels().variant() in lines[2]
    assert any(line.strip().startswith(path) for line in lines)


def test_an_emulated_machine_is_refused(monkeypatch, capsys):
    if platform.machine() not in ("x86_64", "AMD64") or machine.emulator():
        pytest.skip("tells a PC's processor description from an ARM machine's")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert main(["bench", "--hidden", "4"]) != 0
    assert "emulated" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--hidden", "0"]])
def test_nonsense_is_one_line(arguments, capsys):
    assert main(["bench", *arguments]) != 0
    assert "at least 1" in capsys.readouterr().err
