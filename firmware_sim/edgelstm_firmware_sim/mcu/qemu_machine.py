"""A whole machine of qemu-system-arm that steps an image over a file of samples (Arm semihosting)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.mcu.build import Image
from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

QEMU = "qemu-system-arm"
_SHIFT = 10  # an instruction lasts 2**10 ns of the machine's time: more than a tick of any SysTick here


def available() -> bool:
    return shutil.which(QEMU) is not None


@dataclass(frozen=True, slots=True)
class Run:
    """What a `semihosted` image gave for its samples.

    outputs       float32 (samples, outputs)
    instructions  int64 (samples,)  of each step, and of the reading of the counter, one to six
    stack         bytes of it that were used
    snapshot      the state after the last sample, empty where the image was built without snapshots
    """

    outputs: NDArray[np.float32]
    instructions: NDArray[np.int64]
    stack: int
    snapshot: bytes


def run_samples(
    image: Image,
    x: NDArray[np.float32],
    outputs: int,
    *,
    resume: bytes = b"",
    machine: str = "",
    timeout_s: float = 120.0,
) -> Run:
    """Step a `semihosted` image over x, float32 (samples, inputs), from its beginning or on from a snapshot.

    Raises EmulationError where the machine ends early, as it does at a fault.
    """
    with tempfile.TemporaryDirectory() as folder:
        x.astype("<f4").tofile(Path(folder) / "samples.bin")
        if resume:
            (Path(folder) / "resume.bin").write_bytes(resume)
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
        saved = Path(folder) / "snapshot.bin"
        snapshot = saved.read_bytes() if saved.exists() else b""
        stack = int(np.fromfile(Path(folder) / "stack.bin", "<u4")[0])
        rows = np.fromfile(Path(folder) / "results.bin", "<u4").reshape(-1, outputs + 1)
    if len(rows) != len(x) or (rows[:, -1] == 0xFFFFFFFF).any():
        raise EmulationError(f"{image.target.name}: {len(rows)} of {len(x)} samples were stepped over")
    counts = np.rint(rows[:, -1] * (image.target.tick_ns / 2**_SHIFT)).astype(np.int64)
    return Run(np.ascontiguousarray(rows[:, :-1]).view(np.float32), counts, stack, snapshot)
