"""The table of targets: one line says how an image for a core is built, run and counted, and what fits."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class Target:
    """A core, the compilers' words for it, and the memory of a common part with it.

    gcc      options of arm-none-eabi-gcc, none where it has no such core
    zig      `-target` and `-mcpu` of zig cc
    unicorn  name of the processor model in Unicorn, "" where it has none
    qemu     machine of qemu-system-arm, "" where it has none
    tick_ns  one tick of that machine's SysTick
    qemu_uart  address of that machine's first CMSDK serial line, 0 where it has none
    flash, ram  where code and data of the emulated machine begin
    """

    name: str
    part: str
    flash_bytes: int
    ram_bytes: int
    gcc: tuple[str, ...] = ()
    zig: tuple[str, ...] = ()
    unicorn: str = ""
    qemu: str = ""
    tick_ns: float = 0.0
    flash: int = 0x00000000
    ram: int = 0x20000000
    riscv: bool = False
    qemu_uart: int = 0


def _thumb(cpu: str) -> tuple[str, ...]:
    return ("-target", "thumb-freestanding-eabi", f"-mcpu={cpu}")


def _hard(cpu: str, fpu: str) -> tuple[str, ...]:
    return (f"-mcpu={cpu}", f"-mfpu={fpu}", "-mfloat-abi=hard")


TARGETS = {
    target.name: target
    for target in (
        Target(
            "cortex-m0", "nRF51, STM32F0", 256 * KIB, 16 * KIB, ("-mcpu=cortex-m0",), _thumb("cortex_m0"),
            "CORTEX_M0", "microbit", 62.5,
        ),
        Target(
            "cortex-m3", "STM32F1, LPC17", 256 * KIB, 32 * KIB, ("-mcpu=cortex-m3",), _thumb("cortex_m3"),
            "CORTEX_M3", "mps2-an385", 40.0, qemu_uart=0x40004000,
        ),
        Target(
            "cortex-m4", "nRF52, STM32F4", 512 * KIB, 64 * KIB, _hard("cortex-m4", "fpv4-sp-d16"),
            _thumb("cortex_m4"), "CORTEX_M4", "mps2-an386", 40.0, qemu_uart=0x40004000,
        ),
        Target(
            "cortex-m7", "STM32F7, i.MX RT", 1024 * KIB, 256 * KIB, _hard("cortex-m7", "fpv5-sp-d16"),
            _thumb("cortex_m7"), "CORTEX_M7", "mps2-an500", 40.0, qemu_uart=0x40004000,
        ),
        Target(
            "cortex-m33", "nRF53, STM32U5", 512 * KIB, 128 * KIB, _hard("cortex-m33", "fpv5-sp-d16"),
            _thumb("cortex_m33+dsp"), "CORTEX_M33", "mps2-an505", 50.0, 0x10000000, 0x38000000, qemu_uart=0x50200000,
        ),
        Target(
            "cortex-m55", "Ensemble E3, STM32N6", 1024 * KIB, 512 * KIB,
            ("-mcpu=cortex-m55", "-mfloat-abi=hard"), (), "", "mps3-an547", 31.25, 0x10000000, 0x30000000,
            qemu_uart=0x59303000,
        ),
        Target(
            "rv32imc", "ESP32-C3, GD32VF103", 384 * KIB, 64 * KIB, (),
            ("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+c"), "RISCV32", riscv=True,
        ),
    )
}  # fmt: skip

LINUX = {
    "armv6-linux": ("arm-linux-gnueabihf.2.28", "arm1176jzf_s"),
    "armv7-linux": ("arm-linux-gnueabihf.2.28", "cortex_a7"),
    "aarch64-linux": ("aarch64-linux-gnu.2.28", "cortex_a53"),
    "x86_64-linux": ("x86_64-linux-gnu.2.28", "x86_64"),
}
"""Boards that load the C as a shared object: the words of zig cc for system and processor."""
