"""What a model takes on a core: flash, RAM, stack, instructions a step; and whether its bits are those expected."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.mcu import qemu_machine
from edgelstm_firmware_sim.mcu.build import BuildError, build_image
from edgelstm_firmware_sim.mcu.targets import Target
from edgelstm_firmware_sim.mcu.unicorn_core import UnicornCore

COUNTED = 64
"""Over how many steps, the last ones, instructions are counted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes of an image that holds the model alone, or the model and its detector; instructions are not cycles.

    flash         code, weights, tables, and 0.2 KiB of start-up
    ram           state, one sample, one output
    stack         of the deepest step, with its scratch
    instructions  of the dearest of the last steps, with its call: layers may run now and then
    same_bits     whether every output was the expected one, to the bit
    """

    target: str
    compiler: str
    flash: int
    ram: int
    stack: int
    instructions: int
    same_bits: bool


def measure(
    folder: Path,
    target: Target,
    x: NDArray[np.float32],
    expected: NDArray[np.float32],
    *,
    compiler: str = "",
    optimize: str = "-O2",
) -> Measured:
    """Build the exported model in `folder` for a target and step it over x, float32 (samples, inputs).

    expected  float32 (samples, outputs)
    Raises BuildError where a compiler or an emulator is missing, EmulationError where the core goes astray.
    """
    inputs = [row.astype("<f4").tobytes() for row in x]
    outputs = [row.astype("<f4").tobytes() for row in expected]
    return _measure(folder, target, inputs, [0] * len(x), outputs, 0, compiler, optimize)


def measure_detector(
    folder: Path,
    target: Target,
    times_ns: NDArray[np.int64],
    x: NDArray[np.float32],
    scored: Sequence[int],
    verdicts: Sequence[bytes],
    *,
    compiler: str = "",
    optimize: str = "-O2",
) -> Measured:
    """Build the exported detector in `folder` for a target and let it judge x, float32 (samples, channels).

    scored    what NAME_push is expected to return for each sample
    verdicts  NAME_verdict after each sample, as C lays it out, or its first bytes
    Raises as `measure` does.
    """
    inputs, verdict_bytes = inputs_of(times_ns, x), 24 + 40 * x.shape[1]
    return _measure(folder, target, inputs, scored, verdicts, verdict_bytes, compiler, optimize)


def _measure(
    folder: Path,
    target: Target,
    inputs: Sequence[bytes],
    results: Sequence[int],
    outputs: Sequence[bytes],
    verdict_bytes: int,
    compiler: str,
    optimize: str,
) -> Measured:
    """Build and run the model, or, where `verdict_bytes` says how long what it gives is, the detector."""
    detector = verdict_bytes > 0
    with tempfile.TemporaryDirectory() as name:
        work, program = Path(name), "bench" if target.unicorn else "semihosted"
        if not target.unicorn and not qemu_machine.available():
            raise BuildError(
                f"no emulator of {target.name} is here (Debian, Ubuntu: apt install qemu-system-arm)"
            )
        image = build_image(
            folder, target, program, work, detector=detector, compiler=compiler, optimize=optimize
        )
        if target.unicorn:
            core = UnicornCore(image)
            core.paint_stack()
            found = [core.take(given) for given in inputs[:-COUNTED]]
            counts, last = core.count_inputs(inputs[-COUNTED:])
            found, stack = found + last, core.painted_stack_used()
        else:
            ran = qemu_machine.run_inputs(image, inputs, verdict_bytes or len(outputs[0]))
            found = [(int(r), y.tobytes()) for r, y in zip(ran.results, ran.outputs, strict=True)]
            counts, stack = ran.instructions.tolist()[-COUNTED:], ran.stack
    same = all(
        result == wanted and output.startswith(expected)
        for (result, output), wanted, expected in zip(found, results, outputs, strict=True)
    )
    return Measured(target.name, image.compiler, image.flash, image.ram, stack, max(counts), same)


def inputs_of(times_ns: NDArray[np.int64], x: NDArray[np.float32]) -> list[bytes]:
    """Return samples as C lays out what a detector is given: the time, the values, and padding to eight bytes."""
    padding = bytes(-4 * x.shape[1] % 8)
    return [
        int(time_ns).to_bytes(8, "little", signed=True) + row.astype("<f4").tobytes() + padding
        for time_ns, row in zip(times_ns, x, strict=True)
    ]
