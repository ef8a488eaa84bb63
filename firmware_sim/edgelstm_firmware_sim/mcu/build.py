"""Images and shared objects from a folder of exported C, by the compilers that are here."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from edgelstm_firmware_sim.mcu.targets import LINUX, TARGETS, Target

GCC = "arm-none-eabi-gcc"


class BuildError(RuntimeError):
    """There is no compiler for a target, or it refused; the message is one line and what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """A linked program, what made it, and how much memory it takes, in bytes.

    flash  code, constants and initial values;  ram  data without the stack
    """

    target: Target
    elf: Path
    compiler: str
    flash: int
    ram: int


def compiler_for(target: Target) -> str:
    """Return "gcc" or "zig"; raises BuildError where neither builds for the target."""
    if target.gcc and shutil.which(GCC):
        return "gcc"
    if target.zig and importlib.util.find_spec("ziglang"):
        return "zig"
    wanted = f"{GCC} (Debian, Ubuntu: apt install gcc-arm-none-eabi)" if target.gcc else ""
    wanted += " or " if target.gcc and target.zig else ""
    wanted += "zig (pip install 'edgelstm[mcu]')" if target.zig else ""
    raise BuildError(f"no compiler for {target.name} is installed: it needs {wanted}")


def model_name(folder: Path) -> str:
    """Return the name in the MANIFEST.json of exported C; raises BuildError where there is none."""
    try:
        return str(json.loads((folder / "MANIFEST.json").read_text())["name"])
    except (OSError, ValueError, KeyError):
        raise BuildError(f"{folder}: holds no exported C: make it with: edgelstm export-c") from None


def build_image(
    folder: Path,
    target: Target,
    program: str,
    work: Path,
    *,
    detector: bool = False,
    compiler: str = "",
    optimize: str = "-O2",
    snapshots: bool = False,
) -> Image:
    """Link the C in `folder` with `board/PROGRAM.c` for a target, into `work`; with `snapshots` it also saves and loads.

    `detector`: the program runs the model's detector, which steps the model, instead of the model.

    Raises BuildError with the compiler's own first line where it refuses, or where the image does not fit.
    """
    chosen = compiler or compiler_for(target)
    name = model_name(folder)
    work.mkdir(parents=True, exist_ok=True)
    (work / "board_model.h").write_text(_detector_adapter(name, target) if detector else _adapter(name))
    elf = work / f"{target.name}-{program}{'-detector' if detector else ''}.elf"
    with as_file(files("edgelstm_firmware_sim.mcu") / "board") as board:
        script = (board / "link.ld").read_text()
        for key in ("flash", "flash_bytes", "ram", "ram_bytes"):
            script = script.replace(f"@{key.upper()}@", str(getattr(target, key)))
        (work / "link.ld").write_text(script)
        sources = [folder / f"{name}.c", board / "startup.c", board / f"{program}.c"]
        sources += [folder / f"{name}_detector.c"] if detector else []
        common = [
            optimize, "-std=c99", "-ffreestanding", "-ffunction-sections", "-fdata-sections", f"-I{work}", f"-I{folder}",
        ]  # fmt: skip
        common += [*(["-DBOARD_SNAPSHOTS"] if snapshots else []), *(str(source) for source in sources)]
        if chosen == "gcc":
            command = [GCC, "-mthumb", *target.gcc, *common, "-nostdlib", "-lgcc"]
            command += ["-T", str(work / "link.ld"), "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments"]
        else:
            command = [sys.executable, "-m", "ziglang", "cc", *target.zig, *common, "-fno-builtin"]
            command += [
                "-fno-sanitize=all",
                "-T",
                str(work / "link.ld"),
                "-Wl,--gc-sections",
                "-Wl,--entry=reset",
            ]
        run([*command, "-o", str(elf)])
    flash, ram = _sizes(elf)
    return Image(target, elf, chosen, flash, ram)


def build_shared(folder: Path, system: str, output: Path) -> Path:
    """Compile the C in `folder` as a shared object for a board, one of LINUX, or with the host's own cc ("host")."""
    name = model_name(folder)
    options = [
        "-O3",
        "-std=c99",
        "-shared",
        "-fPIC",
        str(folder / f"{name}.c"),
        str(folder / f"{name}_library.c"),
    ]
    if system == "host":
        found = shutil.which("cc") or shutil.which("gcc")
        if not found:
            raise BuildError("no C compiler is installed (Debian, Ubuntu: apt install gcc)")
        command = [found, *options]
    else:
        if not importlib.util.find_spec("ziglang"):
            raise BuildError(
                f"no compiler for {system} is installed: it needs zig (pip install 'edgelstm[mcu]')"
            )
        triple, cpu = LINUX[system]
        command = [sys.executable, "-m", "ziglang", "cc", "-target", triple, f"-mcpu={cpu}", *options]
        command += ["-fno-sanitize=all", "-s"]
    run([*command, "-o", str(output)])
    return output


def run(command: list[str], timeout_s: float = 300.0) -> str:
    """Run a compiler; raises BuildError with its first line about an error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except OSError as exc:
        raise BuildError(f"{command[0]}: {exc.strerror}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line or "overflow" in line]
        raise BuildError((lines or done.stderr.splitlines() or [f"{command[0]} failed"])[0].strip())
    return done.stdout


def watches(folder: Path) -> bool:
    """Return whether exported C has a detector."""
    return (folder / f"{model_name(folder)}_detector.c").exists()


def _adapter(name: str) -> str:
    """Return the words of `board/` for a model: what it takes in, what comes out, and its functions."""
    upper = name.upper()
    return f"""#include "{name}.h"
typedef {name}_state board_state;
typedef struct {{ float x[{upper}_INPUTS]; }} board_input;
typedef struct {{ float y[{upper}_OUTPUTS]; }} board_output;
#define BOARD_INPUTS {upper}_INPUTS
#define BOARD_SNAPSHOT_BYTES {upper}_SNAPSHOT_BYTES
#define board_reset {name}_reset
#define board_take(state, in, out) {name}_step(state, (in)->x, (out)->y)
#define board_save {name}_save
#define board_load {name}_load
"""


def _detector_adapter(name: str, target: Target) -> str:
    """Return the words of `board/` for a detector."""
    upper = name.upper()
    uart = f"#define BOARD_QEMU_UART 0x{target.qemu_uart:x}\n" if target.qemu_uart else ""
    return f"""#include "{name}_detector.h"
typedef {name}_detector board_state;
typedef struct {{ int64_t time_ns; float x[{upper}_CHANNELS]; }} board_input;
typedef {name}_verdict board_output;
#define BOARD_INPUTS {upper}_CHANNELS
#define BOARD_PERIOD_NS {upper}_PERIOD_NS
#define BOARD_COUNT_RAISED {upper}_COUNT_RAISED
#define BOARD_COUNT_UPDATED {upper}_COUNT_UPDATED
#define BOARD_SNAPSHOT_BYTES {upper}_DETECTOR_SNAPSHOT_BYTES
#define board_reset {name}_detector_reset
#define board_take(state, in, out) {name}_push(state, (in)->time_ns, (in)->x, out)
#define board_save {name}_detector_save
#define board_load {name}_detector_load
{uart}"""


def _sizes(elf: Path) -> tuple[int, int]:
    """Return the bytes in flash and in RAM of an image."""
    from elftools.elf.elffile import ELFFile

    flash = ram = 0
    with elf.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if not section["sh_flags"] & 2:  # not loaded
                continue
            if section["sh_type"] == "SHT_NOBITS":
                ram += section["sh_size"]
            else:
                flash += section["sh_size"]
                ram += section["sh_size"] if section["sh_flags"] & 1 else 0
    return flash, ram


__all__ = [
    "LINUX",
    "TARGETS",
    "BuildError",
    "Image",
    "build_image",
    "build_shared",
    "compiler_for",
    "model_name",
    "watches",
]
