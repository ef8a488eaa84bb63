"""`edgelstm simulate mcu`: firmware with a model in an emulated core, its serial line a pseudo-terminal of this machine.

With a model that carries a detector the firmware decides by itself; with --broker a daemon reads the line and publishes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm.demo.children import Children
    from edgelstm_firmware_sim import Fault
    from edgelstm_firmware_sim.mcu.device import Device
    from edgelstm_firmware_sim.signals import Signal


DAEMON_S = 60.0
CONFIG = """\
[node]
name = "simulated"
state_dir = "{folder}"

[mqtt]
url = "mqtt://{broker}"
username = "{username}"

[[model]]
name = "model"
path = "{model}"

[[input]]
name = "{stream}"
source = "serial:{link}"
format = "{format}"
model = "model"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="mcu: the model file that is exported into the firmware")
    parser.add_argument(
        "--core", default="cortex-m4", help="mcu: the core that is emulated; default: cortex-m4"
    )
    parser.add_argument("--sensor", default="pump", help="mcu: the node whose samples the firmware reads")
    parser.add_argument(
        "--link", metavar="PATH", help="mcu: a link to the serial line, for the daemon's source serial:PATH"
    )
    parser.add_argument(
        "--samples-only", action="store_true",
        help="mcu: the firmware leaves the detector to the daemon, and only sends its samples",
    )  # fmt: skip


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
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        device, decides = _flash(args.model, args.core, tuple(shown.names()), folder, args.samples_only)
        if _broker_is_said(args):
            link = link or folder / "line"
            running.callback(_daemon(args, folder, link, decides).stop)
        taken = 0

        def sample():  # type: ignore[no-untyped-def]
            nonlocal taken
            taken += 1
            return shown.sample(severities(faults, (taken - 1) * shown.period_s))

        count = None if args.seconds is None else int(args.seconds / shown.period_s + 0.5)
        done = serve(device, sample, shown.period_s, count, _announce(args.core, link, decides))
    if link is not None:
        link.unlink(missing_ok=True)
    print(f"{done} samples taken", file=sys.stderr)
    return 0


def _flash(
    model: str, core: str, names: tuple[str, ...], folder: Path, samples_only: bool
) -> tuple[Device, bool]:
    """Export, compile and boot; return the device, and whether it decides by itself.

    Raises EdgeLstmError where the model does not fit the sensor, or a tool is missing.
    """
    from edgelstm import stream
    from edgelstm_converters.c_export import export
    from edgelstm_firmware_sim.mcu.build import BuildError, build_image, watches
    from edgelstm_firmware_sim.mcu.device import Device
    from edgelstm_firmware_sim.mcu.targets import TARGETS
    from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError

    cores = [name for name, target in TARGETS.items() if target.unicorn]
    if core not in cores:
        raise UsageError(f'--core "{core}" cannot be simulated; expected one of: {", ".join(cores)}')
    loaded = stream.load(model)
    reads = loaded.inputs if samples_only else len(loaded.channel_names)
    if reads != len(names):
        raise UsageError(f"{model}: reads {reads} channels, the sensor has {len(names)}: {', '.join(names)}")
    try:
        exported = export(loaded, folder / "c")
        decides = watches(exported.folder) and not samples_only
        program = "watcher" if decides else "device"
        image = build_image(exported.folder, TARGETS[core], program, folder / "image", detector=decides)
        return Device(image), decides
    except (BuildError, EmulationError) as exc:
        raise UnavailableError(str(exc)) from None
    except ImportError as exc:
        raise UnavailableError(
            f"simulate mcu needs an emulator: pip install 'edgelstm[mcu]' ({exc})"
        ) from None


def _broker_is_said(args: argparse.Namespace) -> bool:
    return any(value is not None for value in (args.broker, args.host, args.port))


def _daemon(args: argparse.Namespace, folder: Path, link: Path, decides: bool) -> Children:
    """Start a daemon that reads the line and publishes to the broker that was asked for."""
    from edgelstm.cli import broker_url
    from edgelstm.demo.children import Children

    broker = broker_url.broker(args)
    config = CONFIG.format(
        broker=broker, link=link, model=Path(args.model).resolve(), stream=args.id or "mcu", folder=folder / "state",
        format="device" if decides else "raw", username=broker.username or "",
    )  # fmt: skip
    (folder / "gateway.toml").write_text(config)
    if broker.password:
        os.environ["EDGELSTM_MQTT_PASSWORD"] = broker.password
    children = Children(folder)
    child = children.edgelstm("daemon", "run", str(folder / "gateway.toml"))
    deadline = time.monotonic() + DAEMON_S
    while "event=connected" not in children.log("daemon").read_text(errors="replace"):
        if child.poll() is not None or time.monotonic() > deadline:
            lines = children.log("daemon").read_text(errors="replace").strip().splitlines()
            children.stop()
            raise UnavailableError(
                f"the daemon did not reach {broker}: {lines[-1] if lines else 'it said nothing'}"
            )
        time.sleep(0.05)
    return children


def _announce(core: str, link: Path | None, decides: bool) -> Callable[[str], None]:
    def say(line: str) -> None:
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(line)
        sends = "samples and verdicts" if decides else "samples"
        print(f"{core}: serial line {link or line}, {sends}; Ctrl-C stops", file=sys.stderr, flush=True)

    return say
