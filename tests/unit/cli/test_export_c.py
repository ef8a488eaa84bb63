"""edgelstm export-c: what it prints, what it refuses, in one line each."""

import importlib.util
import json
import shutil
from importlib import resources

import pytest

from edgelstm.cli import main
from edgelstm_firmware_sim.mcu.targets import TARGETS

MODEL = str(resources.files("edgelstm") / "models" / "pump.elstm")
on_a_core = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and importlib.util.find_spec("unicorn")),
    reason="no arm-none-eabi-gcc and unicorn: nothing is measured on a core",
)


def test_it_writes_c_and_says_what_it_takes(tmp_path, capsys):
    assert main(["export-c", MODEL, "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "weights and tables 8,408 B in flash; state 192 B" in said
    assert "detector: constants 1,024 B in flash; state" in said
    assert {p.name for p in tmp_path.iterdir()} == {
        "pump.h", "pump.c", "pump_detector.h", "pump_detector.c", "pump_selftest.c", "MANIFEST.json", "CMakeLists.txt",
    }  # fmt: skip


def test_a_detector_may_be_left_out(tmp_path, capsys):
    assert main(["export-c", MODEL, "-o", str(tmp_path), "--no-detector"]) == 0
    assert "detector: " not in capsys.readouterr().out
    assert not list(tmp_path.glob("*detector*"))


@on_a_core
def test_what_it_takes_on_a_core_stands_in_the_manifest(tmp_path, capsys):
    assert (
        main(
            ["export-c", MODEL, "-o", str(tmp_path), "--target", "cortex-m4", "--flash", "64K", "--ram", "8K"]
        )
        == 0
    )
    assert "instructions are not cycles" in capsys.readouterr().out
    measured = json.loads((tmp_path / "MANIFEST.json").read_text())["targets"]["cortex-m4"]
    assert measured["same_bits"] and 5_000 < measured["instructions"] < 20_000
    watching = measured["detector"]
    assert watching["same_bits"] and watching["instructions"] > 2 * measured["instructions"]
    assert watching["ram"] > measured["ram"] and watching["flash"] > measured["flash"]


@on_a_core
@pytest.mark.slow
@pytest.mark.parametrize("core", TARGETS)
def test_limits_hold_on_every_core(core, tmp_path, capsys):
    if core == "rv32imc" and not importlib.util.find_spec("ziglang"):
        pytest.skip("no ziglang: nothing is built for RISC-V")
    if core == "cortex-m55" and not shutil.which("qemu-system-arm"):
        pytest.skip("no qemu-system-arm: no Cortex-M55")
    command = ["export-c", MODEL, "-o", str(tmp_path), "--target", core]
    assert main([*command, "--flash", "1M", "--ram", "8K"]) == 0
    found = json.loads((tmp_path / "MANIFEST.json").read_text())["targets"][core]
    assert found["stack"] > 536  # the scratch
    whole = found["detector"]  # the model is in it
    assert whole["stack"] > found["stack"] and whole["flash"] > found["flash"]
    for option, needed in (("--flash", whole["flash"]), ("--ram", whole["ram"] + whole["stack"])):
        assert main([*command, option, str(needed)]) == 0
        capsys.readouterr()
        assert main([*command, option, str(needed - 1)]) == 1
        assert f"{core}: " in (error := capsys.readouterr().err)
        assert f"{needed:,} B" in error and f"{option} allows {needed - 1:,} B" in error


@on_a_core
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (["--flash", "8K"], "of flash, --flash allows 8,192 B"),
        (["--ram", "512"], "of RAM, --ram allows 512 B"),
    ],
)
def test_what_does_not_fit_fails(limits, message, tmp_path, capsys):
    assert main(["export-c", MODEL, "-o", str(tmp_path), "--target", "cortex-m4", *limits]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "cortex-m9"], '--target "cortex-m9" is not known; expected one of: cortex-m0'),
        (["--flash", "64K"], "--flash and --ram need a --target core"),
        (["--target", "cortex-m4", "--ram", "many"], "--ram many: expected a size in bytes"),
        (["--name", "my pump"], '"my pump" cannot name C functions'),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    assert main(["export-c", MODEL, "-o", str(tmp_path / "out"), *arguments]) in (2, 65)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
