"""A core of Unicorn that runs an image: samples in, outputs and executed instructions out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm_firmware_sim.mcu.build import Image

LONGEST_STEP = 200_000_000
"""Instructions after which a step is taken for one that never ends."""

_PAINT = 0xA5


class EmulationError(RuntimeError):
    """An emulated core did something that no program of ours does; the message says what and where."""


class UnicornCore:
    """One image in one emulated processor."""

    def __init__(
        self, image: Image, stop_at: str = "finished", devices: Callable[[Any], None] = lambda machine: None
    ) -> None:
        """Load, attach `devices` to the memory, and boot up to the function `stop_at`; raises EmulationError if it never comes."""
        import unicorn
        from elftools.elf.elffile import ELFFile

        target = image.target
        self.image, self.instructions = image, 0
        self._unicorn = unicorn
        self._blocks: dict[tuple[int, int], int] = {}  # instructions of each, by address and size
        if target.riscv:
            from unicorn import riscv_const as registers

            self._machine = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
            self._pc, self._return = registers.UC_RISCV_REG_PC, registers.UC_RISCV_REG_RA
            self._stack = registers.UC_RISCV_REG_SP
        else:
            from unicorn import arm_const as registers

            # not UC_MODE_MCLASS, which puts a Cortex-M33 in the place of the model that was asked for
            self._machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
            self._machine.ctl_set_cpu_model(getattr(registers, f"UC_CPU_ARM_{target.unicorn}"))
            self._pc, self._return = registers.UC_ARM_REG_PC, registers.UC_ARM_REG_LR
            self._stack = registers.UC_ARM_REG_SP
        self._thumb = 0 if target.riscv else 1
        self.machine.mem_map(target.flash, _pages(target.flash_bytes))
        self.machine.mem_map(target.ram, _pages(target.ram_bytes))
        if not target.riscv:
            self.machine.mem_map(0xE0000000, 0x100000)  # the system registers of the core
        devices(self.machine)
        with image.elf.open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            named = [symbol for symbol in table.iter_symbols() if symbol.name]
            self.symbols = {symbol.name: int(symbol["st_value"]) & ~self._thumb for symbol in named}
            sizes = {symbol.name: int(symbol["st_size"]) for symbol in named}
            self._output_bytes, self._snapshot_bytes = sizes.get("y", 0), sizes.get("snapshot", 0)
            for segment in elf.iter_segments():
                if segment["p_type"] == "PT_LOAD":
                    self.machine.mem_write(segment["p_paddr"], segment.data())
        if not target.riscv:
            stack, entry = struct.unpack("<II", self.machine.mem_read(target.flash, 8))
            self.machine.reg_write(registers.UC_ARM_REG_SP, stack)
            self.machine.reg_write(registers.UC_ARM_REG_FPEXC, 1 << 30)
            self.machine.reg_write(registers.UC_ARM_REG_C1_C0_2, 0xF << 20)
        else:
            entry = self.symbols["reset"]
        self._go(entry & ~self._thumb, stop_at)

    @property
    def machine(self) -> Any:
        return self._machine

    def run_to(self, symbol: str) -> None:
        """Go on from the function that was stopped at, as if it returned, to the next entry of `symbol`."""
        self._go(self.machine.reg_read(self._return) & ~self._thumb, symbol)

    def take(self, given: bytes) -> tuple[int, bytes]:
        """Give a `bench` image one input, as C lays it out; return what the call returned, and its output."""
        self.machine.mem_write(self.symbols["x"], given)
        self.run_to("finished")
        (result,) = struct.unpack("<i", self.machine.mem_read(self.symbols["result"], 4))
        return result, bytes(self.machine.mem_read(self.symbols["y"], self._output_bytes))

    def step(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Step the model of a `bench` image over float32 (inputs,); return float32 (outputs,)."""
        if self.take(x.astype("<f4").tobytes())[0]:
            raise EmulationError("the step refused a sample")
        return self.outputs()

    def outputs(self) -> NDArray[np.float32]:
        """Return what the last step gave, float32 (outputs,)."""
        return np.frombuffer(self.machine.mem_read(self.symbols["y"], self._output_bytes), "<f4").copy()

    def count_inputs(self, inputs: Sequence[bytes]) -> tuple[list[int], list[tuple[int, bytes]]]:
        """Give a `bench` image inputs as `take` does; return the instructions of each call, and what `take` returned.

        Each block that runs is counted.
        """
        total, counts, found = [0], [], []
        self.machine.ctl_flush_tb()  # what is translated already would not call the hook
        hook = self.machine.hook_add(self._unicorn.UC_HOOK_BLOCK, self._count_block, total)
        try:
            for given in inputs:
                total[0] = 0
                found.append(self.take(given))
                counts.append(total[0])
        finally:
            self.machine.hook_del(hook)
        return counts, found

    def count_steps(self, x: NDArray[np.float32]) -> tuple[list[int], NDArray[np.float32]]:
        """Step over float32 (samples, inputs); return the instructions of each step, with its call, and the outputs."""
        counts, found = self.count_inputs([row.astype("<f4").tobytes() for row in x])
        if any(result for result, _ in found):
            raise EmulationError("the step refused a sample")
        return counts, np.array([np.frombuffer(y, "<f4") for _, y in found])

    def save(self) -> bytes:
        """Return the snapshot of the state of a `bench` image that was built with snapshots."""
        self._act(1)
        return bytes(self.machine.mem_read(self.symbols["snapshot"], self._snapshot_bytes))

    def load(self, snapshot: bytes) -> int:
        """Let the image take up a snapshot; return what its load function returned."""
        self.machine.mem_write(self.symbols["snapshot"], snapshot)
        self._act(2)
        code: int = struct.unpack("<i", self.machine.mem_read(self.symbols["result"], 4))[0]
        return code

    def _act(self, action: int) -> None:
        for value in (action, 0):
            self.machine.mem_write(self.symbols["action"], struct.pack("<i", value))
            if value:
                self.run_to("finished")

    def paint_stack(self) -> None:
        """Fill what is free below the stack with a pattern, to see later how far it was used."""
        top = self.machine.reg_read(self._stack)
        free = self.symbols["bss_end"]
        self.machine.mem_write(free, bytes([_PAINT]) * (top - free))

    def painted_stack_used(self) -> int:
        """Return how many bytes below the stack were written to since `paint_stack`."""
        top = self.machine.reg_read(self._stack)
        memory = bytes(self.machine.mem_read(self.symbols["bss_end"], top - self.symbols["bss_end"]))
        return len(memory.lstrip(bytes([_PAINT])))

    def _count_block(self, machine: Any, address: int, size: int, total: list[int]) -> None:
        if (address, size) not in self._blocks:
            code, at, count = machine.mem_read(address, size), 0, 0
            while at < size:
                half = code[at] | code[at + 1] << 8
                wide = half & 3 == 3 if self.image.target.riscv else half >> 11 in (29, 30, 31)
                at += 4 if wide else 2
                count += 1
            self._blocks[address, size] = count
        total[0] += self._blocks[address, size]

    def _go(self, address: int, symbol: str) -> None:
        until = self.symbols[symbol]
        try:
            self.machine.emu_start(address | self._thumb, until, count=LONGEST_STEP)
        except self._unicorn.UcError as exc:
            at = self.machine.reg_read(self._pc)
            raise EmulationError(f"{self.image.target.name}: {exc} at 0x{at:x}") from None
        at = self.machine.reg_read(self._pc) & ~self._thumb
        if at != until:
            raise EmulationError(f"{self.image.target.name}: did not come to {symbol}; it is at 0x{at:x}")


def _pages(count: int) -> int:
    return -(-count // 4096) * 4096
