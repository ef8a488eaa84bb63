"""A whole machine of qemu-system-arm that steps an image over a file of samples (Arm semihosting)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.mcu.build import Image
from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

QEMU = "qemu-system-arm"
_NUMBERS = 3  # 32-bit words after an output: what the call returned, ticks, stack
_SHIFT = 10  # an instruction lasts 2**10 ns of the machine's time: more than a tick of any SysTick here


def available() -> bool:
    return shutil.which(QEMU) is not None


@dataclass(frozen=True, slots=True)
class Run:
    """What a `semihosted` image did with its inputs.

    outputs       float32 (samples, outputs) of a model, else uint8 (inputs, bytes of an output)
    results       int32 (inputs,)  what each call returned
    instructions  int64 (inputs,)  of each call, and of the reading of the counter, one to six
    stack         bytes that the deepest call went down
    snapshot      the state after the last sample, empty where the image was built without snapshots
    """

    outputs: NDArray[Any]
    results: NDArray[np.int32]
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
    """Step a `semihosted` image of a model over x, float32 (samples, inputs), from its beginning or on from a snapshot.

    Raises EmulationError where the machine ends early, as it does at a fault, or a sample is refused.
    """
    inputs = [row.astype("<f4").tobytes() for row in x]
    ran = run_inputs(image, inputs, 4 * outputs, resume=resume, machine=machine, timeout_s=timeout_s)
    if ran.results.any():
        raise EmulationError(f"{image.target.name}: the step refused a sample")
    return replace(ran, outputs=ran.outputs.view("<f4"))


def run_inputs(
    image: Image,
    inputs: Sequence[bytes],
    output_bytes: int,
    *,
    resume: bytes = b"",
    machine: str = "",
    timeout_s: float = 120.0,
) -> Run:
    """Give a `semihosted` image inputs as C lays them out; raises EmulationError where the machine ends early."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if resume:
            (folder / "resume.bin").write_bytes(resume)
        run_machine(image, b"".join(inputs), folder, machine=machine, timeout_s=timeout_s)
        saved = folder / "snapshot.bin"
        snapshot = saved.read_bytes() if saved.exists() else b""
        written = np.fromfile(folder / "results.bin", np.uint8)
    row = output_bytes + 4 * _NUMBERS
    if written.size != row * len(inputs):
        raise EmulationError(
            f"{image.target.name}: {written.size // row} of {len(inputs)} samples were stepped over"
        )
    rows = written.reshape(-1, row)
    found = np.ascontiguousarray(rows[:, output_bytes:]).view("<u4")
    ticks_to_instructions = image.target.tick_ns / 2**_SHIFT
    return Run(
        outputs=np.ascontiguousarray(rows[:, :output_bytes]),
        results=found[:, 0].astype(np.uint32).view(np.int32),
        instructions=np.rint(found[:, 1] * ticks_to_instructions).astype(np.int64),
        stack=int(found[:, 2].max(initial=0)),
        snapshot=snapshot,
    )


def run_machine(
    image: Image,
    samples: bytes,
    folder: Path,
    *,
    machine: str = "",
    serial: str = "none",
    timeout_s: float = 120.0,
) -> None:
    """Let a machine read samples.bin in `folder` to its end; `serial` is where its serial line goes.

    Raises EmulationError where it ends early.
    """
    (folder / "samples.bin").write_bytes(samples)
    command = [
        QEMU, "-M", machine or image.target.qemu, "-nographic", "-monitor", "none", "-serial", serial,
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
