"""`edgelstm export-c`: a model as C99 for a microcontroller, and what it takes on one."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from edgelstm.errors import EdgeLstmError, UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel
    from edgelstm_converters.c_export import Exported
    from edgelstm_firmware_sim.mcu.measure import Measured

SUMMARY = "Write a model as C99 that needs no heap and no library and gives the same bits, and say what it takes on a core."

_UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model file, MODEL.elstm")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder to write into")
    parser.add_argument("--name", help="prefix of files and functions; default: the model's name")
    parser.add_argument(
        "--layout", choices=("plain", "arduino", "zephyr"), default="plain",
        help="plain has a CMake target; arduino and zephyr are laid out as a library or module of theirs",
    )  # fmt: skip
    parser.add_argument(
        "--target", action="append", default=[], metavar="CORE",
        help="compile for this core, run it in an emulator, print sizes and instructions; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-detector", action="store_true", help="leave the model's detector out")
    parser.add_argument("--flash", metavar="SIZE", help="fail where an image takes more, such as 64K")
    parser.add_argument("--ram", metavar="SIZE", help="fail where state, buffers and stack take more")
    parser.add_argument(
        "--shared", action="store_true",
        help="make NAME.so for edgelstm.load(model, library=...); --target names a board's system, default: this one",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from edgelstm import stream
    from edgelstm_converters.c_export import export, write_manifest
    from edgelstm_firmware_sim.mcu.targets import LINUX, TARGETS

    flash, ram = _size("--flash", args.flash), _size("--ram", args.ram)
    known = LINUX if args.shared else TARGETS
    for target in args.target:
        if target not in known:
            raise UsageError(f'--target "{target}" is not known; expected one of: {", ".join(known)}')
    if (flash or ram) and (args.shared or not args.target):
        raise UsageError("--flash and --ram need a --target core: what should the image be made for?")
    loaded = stream.load(args.model)
    try:
        exported = export(
            loaded,
            args.output,
            args.name,
            layout=args.layout,
            shared=args.shared,
            watches=not args.no_detector,
        )
    except OSError as exc:
        raise UnavailableError(f"{args.output}: cannot be written: {exc.strerror}") from None
    _print_sizes(exported)
    if args.shared:
        _build_shared(exported, args.target or ["host"])
        return 0
    measured = [_measure(loaded, exported, target) for target in args.target]
    write_manifest(exported, loaded, {alone.target: _entry(alone, watching) for alone, watching in measured})
    _print_measured(measured)
    for alone, watching in measured:
        _check_fits(watching or alone, flash, ram)
    return 0


def _print_sizes(exported: Exported) -> None:
    name = exported.name
    watches = f"{name}_detector.h, {name}_detector.c, " if exported.detector_bytes else ""
    print(f"{exported.folder}: {name}.h, {name}.c, {watches}{name}_selftest.c, MANIFEST.json")
    print(
        f"  weights and tables {exported.table_bytes:,} B in flash; state {exported.state_bytes:,} B for each stream, "
        f"scratch {exported.scratch_bytes:,} B on the stack of a step; a snapshot has {exported.snapshot_bytes:,} B"
    )
    if exported.detector_bytes:
        print(
            f"  detector: constants {exported.detector_constant_bytes:,} B in flash; state {exported.detector_bytes:,} B for each "
            f"stream, with the model's; a snapshot has {exported.detector_snapshot_bytes:,} B"
        )


def _measure(loaded: LoadedModel, exported: Exported, target: str) -> tuple[Measured, Measured | None]:
    """Return what the model alone takes on a core, and what it takes with its detector, where it has one."""
    from edgelstm_converters.c_export import detector_proof, self_test
    from edgelstm_firmware_sim.mcu.build import BuildError
    from edgelstm_firmware_sim.mcu.measure import measure, measure_detector
    from edgelstm_firmware_sim.mcu.targets import TARGETS
    from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

    x, watching = self_test.signal(loaded.model), None
    try:
        alone = measure(exported.folder, TARGETS[target], x, loaded.stream().run(x))
        if exported.detector_bytes:
            times_ns, values = detector_proof.signal(loaded)
            expected = detector_proof.verdicts(loaded, times_ns, values)
            watching = measure_detector(exported.folder, TARGETS[target], times_ns, values, *expected)
    except (BuildError, EmulationError) as exc:
        raise UnavailableError(str(exc)) from None
    except ImportError as exc:
        raise UnavailableError(
            f"--target needs an emulator and a reader of images: pip install 'edgelstm[mcu]' ({exc})"
        ) from None
    for found, what in ((alone, "model"), (watching, "detector")):
        if found is not None and not found.same_bits:
            raise EdgeLstmError(
                f"{target}: the compiled {what} gives other bits; please report this, with the model"
            )
    return alone, watching


def _print_measured(measured: list[tuple[Measured, Measured | None]]) -> None:
    if not measured:
        return
    print("  in an image, stepped in an emulator, same bits as here; instructions are not cycles:")
    print(
        f"  {'core':12s} {'compiler':9s} {'':14s} {'flash':>9s} {'RAM':>8s} {'stack':>8s} {'instructions a step':>20s}"
    )
    for alone, watching in measured:
        for found, what in ((alone, "model alone"), (watching, "with detector")):
            if found is not None:
                print(
                    f"  {found.target:12s} {found.compiler:9s} {what:14s} {found.flash:>7,} B {found.ram:>6,} B "
                    f"{found.stack:>6,} B {found.instructions:>20,}"
                )


def _entry(alone: Measured, watching: Measured | None) -> dict[str, Any]:
    return {**dataclasses.asdict(alone), "detector": dataclasses.asdict(watching) if watching else None}


def _check_fits(found: Measured, flash: int, ram: int) -> None:
    needed = found.ram + found.stack
    if flash and found.flash > flash:
        raise EdgeLstmError(
            f"{found.target}: the image takes {found.flash:,} B of flash, --flash allows {flash:,} B"
        )
    if ram and needed > ram:
        raise EdgeLstmError(
            f"{found.target}: state, buffers and stack take {needed:,} B of RAM, --ram allows {ram:,} B"
        )


def _build_shared(exported: Exported, systems: list[str]) -> None:
    from edgelstm_firmware_sim.mcu.build import BuildError, build_shared

    for system in systems:
        output = exported.folder / (
            f"{exported.name}.so" if system == "host" else f"{exported.name}-{system}.so"
        )
        try:
            build_shared(exported.folder, system, output)
        except BuildError as exc:
            raise UnavailableError(str(exc)) from None
        print(f"{output}: {output.stat().st_size:,} B, for edgelstm.load(model, library=...)")


def _size(option: str, text: str | None) -> int:
    if text is None:
        return 0
    found: Any = re.fullmatch(r"(\d+)([KM]?)i?B?", text, re.IGNORECASE)
    if not found or int(found[1]) == 0:
        raise UsageError(f"{option} {text}: expected a size in bytes, such as 8192, 64K or 1M")
    return int(found[1]) * _UNITS[found[2].upper()]
