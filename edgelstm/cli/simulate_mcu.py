"""`edgelstm simulate mcu`: firmware with a model in an emulated core, its serial line a pseudo-terminal of this machine."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm_firmware_sim import Fault
    from edgelstm_firmware_sim.mcu.device import Device
    from edgelstm_firmware_sim.signals import Signal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="mcu: the model file that is exported into the firmware")
    parser.add_argument(
        "--core", default="cortex-m4", help="mcu: the core that is emulated; default: cortex-m4"
    )
    parser.add_argument("--sensor", default="pump", help="mcu: the node whose samples the firmware reads")
    parser.add_argument(
        "--link", metavar="PATH", help="mcu: a link to the serial line, for the daemon's source serial:PATH"
    )


def run(args: argparse.Namespace, sensor: type[Signal], faults: tuple[Fault, ...]) -> int:
    from edgelstm_firmware_sim.faults import severities
    from edgelstm_firmware_sim.mcu.device import serve

    if not args.model:
        raise UsageError("simulate mcu needs --model: which model file is exported into the firmware?")
    for number in (signal.SIGTERM, signal.SIGINT):  # the second may be ignored where we are a background job
        signal.signal(number, signal.default_int_handler)
    shown = sensor(args.seed, args.rate)
    link = Path(args.link) if args.link else None
    if link is not None and (link.exists() or link.is_symlink()) and not link.is_symlink():
        raise UsageError(f"--link {link}: is a file of yours; name a path that is free")
    with tempfile.TemporaryDirectory() as folder:
        device = _flash(args.model, args.core, tuple(shown.names()), Path(folder))
        taken = 0

        def sample():  # type: ignore[no-untyped-def]
            nonlocal taken
            taken += 1
            return shown.sample(severities(faults, (taken - 1) * shown.period_s))

        count = None if args.seconds is None else int(args.seconds / shown.period_s + 0.5)
        done = serve(device, sample, shown.period_s, count, _announce(args.core, link))
    if link is not None:
        link.unlink(missing_ok=True)
    print(f"{done} samples taken", file=sys.stderr)
    return 0


def _flash(model: str, core: str, names: tuple[str, ...], folder: Path) -> Device:
    """Export, compile and boot; raises EdgeLstmError where the model does not fit the sensor, or a tool is missing."""
    from edgelstm import stream
    from edgelstm_converters.c_export import export
    from edgelstm_firmware_sim.mcu.build import BuildError, build_image
    from edgelstm_firmware_sim.mcu.device import Device
    from edgelstm_firmware_sim.mcu.targets import TARGETS
    from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

    cores = [name for name, target in TARGETS.items() if target.unicorn]
    if core not in cores:
        raise UsageError(f'--core "{core}" cannot be simulated; expected one of: {", ".join(cores)}')
    loaded = stream.load(model)
    if loaded.inputs != len(names):
        raise UsageError(
            f"{model}: reads {loaded.inputs} channels, the sensor has {len(names)}: {', '.join(names)}"
        )
    try:
        exported = export(loaded, folder / "c")
        return Device(build_image(exported.folder, TARGETS[core], "device", folder / "image"))
    except (BuildError, EmulationError) as exc:
        raise UnavailableError(str(exc)) from None
    except ImportError as exc:
        raise UnavailableError(
            f"simulate mcu needs an emulator: pip install 'edgelstm[mcu]' ({exc})"
        ) from None


def _announce(core: str, link: Path | None) -> Callable[[str], None]:
    def say(line: str) -> None:
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(line)
        print(f"{core}: serial line {link or line}; Ctrl-C stops", file=sys.stderr, flush=True)

    return say
