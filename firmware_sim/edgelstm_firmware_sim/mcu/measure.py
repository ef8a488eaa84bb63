"""What a model takes on a core: flash, RAM, stack, instructions a step; and whether its bits are those expected."""

from __future__ import annotations

import tempfile
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
    """Bytes of an image that holds the model alone; instructions are not cycles.

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
    """Build the exported C in `folder` for a target and step it over x, float32 (samples, inputs).

    expected  float32 (samples, outputs)
    Raises BuildError where a compiler or an emulator is missing, EmulationError where the core goes astray.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if target.unicorn:
            image = build_image(folder, target, "bench", work, compiler=compiler, optimize=optimize)
            core = UnicornCore(image)
            core.paint_stack()
            before = [core.step(row) for row in x[:-COUNTED]]
            counts, after = core.count_steps(x[-COUNTED:])
            found, stack = np.vstack([*before, *after]), core.painted_stack_used()
        else:
            if not qemu_machine.available():
                raise BuildError(
                    f"no emulator of {target.name} is here (Debian, Ubuntu: apt install qemu-system-arm)"
                )
            image = build_image(folder, target, "semihosted", work, compiler=compiler, optimize=optimize)
            ran = qemu_machine.run_samples(image, x, expected.shape[1])
            counts, found, stack = ran.instructions.tolist()[-COUNTED:], ran.outputs, ran.stack
    same = bool(np.array_equal(found.view(np.uint32), expected.view(np.uint32)))
    return Measured(target.name, image.compiler, image.flash, image.ram, stack, max(counts), same)
