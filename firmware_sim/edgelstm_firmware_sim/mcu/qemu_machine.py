"""A whole machine of qemu-system-arm that steps an image over a file of samples (Arm semihosting)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.mcu.build import Image
from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

QEMU = "qemu-system-arm"
_SHIFT = 10  # an instruction lasts 2**10 ns of the machine's time: more than a tick of any SysTick here


def available() -> bool:
    return shutil.which(QEMU) is not None


def run_samples(
    image: Image, x: NDArray[np.float32], outputs: int, *, machine: str = "", timeout_s: float = 120.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Step a `semihosted` image over x, float32 (samples, inputs); return its outputs and instructions a step.

    The counts include the reading of the counter, one to six instructions.
    Raises EmulationError where the machine ends early, as it does at a fault.
    """
    with tempfile.TemporaryDirectory() as folder:
        x.astype("<f4").tofile(Path(folder) / "samples.bin")
        command = [
            QEMU, "-M", machine or image.target.qemu, "-nographic", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-icount", f"shift={_SHIFT}",
            "-kernel", str(image.elf.resolve()),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise EmulationError(
                f"{image.target.name}: {QEMU} did not end in {timeout_s:g} s: a fault?"
            ) from None
        if done.returncode:
            line = (done.stderr.strip().splitlines() or [""])[0]
            raise EmulationError(f"{image.target.name}: {QEMU} ended with {done.returncode}: {line}")
        rows = np.fromfile(Path(folder) / "results.bin", "<u4").reshape(-1, outputs + 1)
    if len(rows) != len(x) or (rows[:, -1] == 0xFFFFFFFF).any():
        raise EmulationError(f"{image.target.name}: {len(rows)} of {len(x)} samples were stepped over")
    counts = np.rint(rows[:, -1] * (image.target.tick_ns / 2**_SHIFT)).astype(np.int64)
    return np.ascontiguousarray(rows[:, :-1]).view(np.float32), counts
