"""Shared objects for ARM boards, made here by zig: loaded there by ctypes, and as programs of their own, the bits of the twin."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import board_python
import numpy as np
import pytest
from c_families import CUT, FIRST_CASES

from c_code import assert_same_bits, build_program, run_program
from edgelstm_firmware_sim.mcu.build import build_shared

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("ziglang"), reason="no ziglang: nothing is made for boards"
    ),
]

BOARDS = {
    "armv6-linux": (
        "armhf",
        "cortex-a7",
        "armv7l 32",
    ),  # Debian's Python wants ARMv7; ARMv6 itself runs below
    "armv7-linux": ("armhf", "cortex-a7", "armv7l 32"),
    "aarch64-linux": ("arm64", "cortex-a53", "aarch64 64"),
}


@pytest.mark.parametrize("system", BOARDS)
def test_ctypes_on_a_board_gives_the_bits_of_the_twin(system, family):
    architecture, processor, machine = BOARDS[system]
    python = board_python.command(architecture, processor)
    if python is None:
        pytest.skip(
            f"no Python for {architecture} (python tests/mcu/board_python.py) or no qemu-user: no boards"
        )
    jobs = []
    for case in FIRST_CASES:
        made = family(case)
        folder = made.exported.folder
        build_shared(folder, system, folder / f"model-{system}.so")
        made.x.astype("<f4").tofile(folder / "samples.bin")
        jobs.append(f"{folder}:{made.loaded.inputs}:{made.loaded.outputs}")
    script = Path(__file__).with_name("board_steps.py")
    done = subprocess.run(
        [*python, str(script), system, str(CUT), *jobs], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == machine
    for case in FIRST_CASES:
        made = family(case)
        folder = made.exported.folder
        y = np.fromfile(folder / f"results-{system}.bin", "<f4").reshape(made.y.shape)
        assert_same_bits(y, made.y)
        saved = tuple((folder / f"snapshot-{system}-{number}.bin").read_bytes() for number in range(2))
        assert saved == made.snapshots


@pytest.mark.skipif(not shutil.which("qemu-arm"), reason="no qemu-arm (apt install qemu-user): no ARMv6")
@pytest.mark.parametrize("case", FIRST_CASES)
def test_a_program_on_armv6(case, family):
    """The core of a Pi Zero, which knows no instruction of ARMv7."""
    made = family(case)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "arm-linux-musleabihf", "-mcpu=arm1176jzf_s"]
    program = build_program(made.exported, *command, "-O2", "-static", "-fno-sanitize=all")
    y, snapshot = run_program(program, made.x, made.loaded.outputs, emulator=("qemu-arm", "-cpu", "arm1176"))
    assert_same_bits(y, made.y)
    assert snapshot == made.snapshots[1]
