"""`edgelstm demo`: see a simulated pump fail and the daemon raise an alert over a real broker."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgelstm.errors import EdgeLstmError, UsageError

if TYPE_CHECKING:
    from edgelstm.demo.broker import DemoBroker
    from edgelstm.demo.children import Children
    from edgelstm.demo.screen import Screen
    from edgelstm.demo.watcher import Seen, Watcher

SUMMARY = "See a simulated pump fail and the daemon raise an alert over a real broker, all on this machine."
HEALTHY, FAILING = "pump1", "pump2"
RAMP_S = 10.0
NORMAL_S = 4.0
AFTER_S = 2.5
SAMPLE_S = 2.0
START_S = 900.0
"""So long may the daemon take to compile its kernels, which a machine does once; the time to give up begins after that."""
PATIENCE_S = 10.0

CONFIG = """\
[node]
name = "demo"
state_dir = "state"

[mqtt]
url = "{url}"
protocol = "{protocol}"

[publish]
scores = "all"

[[model]]
name = "pump"
path = "{model}"

[[input]]
name = "pumps"
topics = ["plant/+/telemetry"]
stream = "{{1}}"
model = "pump"
timestamp = "ts"
sequence = "seq"
"""

NEXT = """
What to do next, with a recording of your own machine when it was well (a CSV: a column of times, a column per sensor):

  edgelstm score --pretrained another.csv                        no training: what the general detector would have said
  edgelstm train history.csv -o machine.elstm                    a network and a detector of your own (needs PyTorch)
  edgelstm score machine.elstm another.csv                       what would have alarmed
  edgelstm run gateway.toml                                      the daemon: see docs/daemon.md

With a trained network (PyTorch, Keras, TFLite, ONNX) instead: edgelstm convert, then calibrate; see docs/quickstart.md"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="give up so long after the daemon is up (default: %(default)g)",
    )
    parser.add_argument(
        "--plain", action="store_true", help="lines for a log instead of a table that is redrawn"
    )
    parser.add_argument(
        "--fault", default="cavitation", help="what goes wrong with pump2 (default: %(default)s)"
    )
    parser.add_argument(
        "--keep", metavar="DIR", help="keep configuration, logs and state in this new directory"
    )


def run(args: argparse.Namespace) -> int:
    from edgelstm_firmware_sim.signals import NODES

    if args.fault not in NODES["pump"].faults:
        raise UsageError(f"--fault {args.fault}: expected one of {', '.join(NODES['pump'].faults)}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if args.keep:
        folder = Path(args.keep)
        try:
            folder.mkdir(parents=True)
        except OSError as exc:
            raise UsageError(f"--keep {folder}: cannot be made: {exc.strerror}") from None
        return _demonstrate(args, folder.resolve())
    with tempfile.TemporaryDirectory(prefix="edgelstm-demo-") as name:
        return _demonstrate(args, Path(name))


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _demonstrate(args: argparse.Namespace, folder: Path) -> int:
    from edgelstm.demo import broker as brokers
    from edgelstm.demo.children import Children
    from edgelstm.demo.screen import Screen
    from edgelstm.demo.watcher import Watcher

    screen = Screen(plain=args.plain or not sys.stdout.isatty())
    children, watcher = Children(folder), Watcher([HEALTHY, FAILING])
    try:
        broker = brokers.start(children, folder)
        screen.say(f"{broker.name} at {broker.url}")
        watcher.connect(broker)
        _start(children, broker, folder)
        screen.say(
            "two pumps publish 10 samples/s each; the daemon loads the int8 model and compiles its kernels"
        )
        code = _watch(args, children, watcher, screen)
    finally:
        watcher.disconnect()
        children.stop()
    if code == 0:
        print(NEXT)
        if shutil.which("edgelstm") is None:
            print(f"\n(edgelstm is {Path(sys.executable).parent / 'edgelstm'} here)")
    return code


def _start(children: Children, broker: DemoBroker, folder: Path) -> None:
    from importlib.resources import files

    model = files("edgelstm") / "models" / "pump.elstm"
    config = folder / "demo.toml"
    config.write_text(
        CONFIG.format(url=broker.url, protocol=broker.protocol, model=Path(str(model)).as_posix())
    )
    children.edgelstm("daemon", "run", str(config))
    for seed, node in enumerate((HEALTHY, FAILING), start=100):
        children.edgelstm(node, "simulate", "pump", "--id", node, "--seed", str(seed), "--broker", broker.url)


def _watch(args: argparse.Namespace, children: Children, watcher: Watcher, screen: Screen) -> int:
    """Follow the nodes; break pump2 once both have been normal for a while; return 0 when its alert came."""
    from edgelstm.demo.watcher import STARTING

    healthy, failing = watcher.nodes[HEALTHY], watcher.nodes[FAILING]
    started = time.monotonic()
    up = normal_since = injected = told = None
    explained = False
    while time.monotonic() < (started + START_S if up is None else up + args.seconds):
        watcher.changed.wait(0.2)
        watcher.changed.clear()
        now = time.monotonic()
        if up is None and failing.state != STARTING:
            up = now
        if up is None and not explained and now - started > PATIENCE_S:
            explained = True
            screen.say(
                "kernels are compiled once for a machine: half a minute, or some minutes on a small board"
            )
        if (ended := children.ended()) is not None:
            raise EdgeLstmError(f"{ended} ended: {_last_line(children, ended)}")
        if injected is None and healthy.state == failing.state == "ok":
            normal_since = normal_since or now
            if now - normal_since >= NORMAL_S:
                watcher.inject(FAILING, args.fault, RAMP_S)
                injected = now
                screen.say(f"{FAILING}: {args.fault} begins, to grow over {RAMP_S:g} s; {HEALTHY} stays well")
        if told is None and _complete(failing, now):
            told = now
            _tell(screen, failing)
        screen.show(watcher.nodes.values())
        if told is not None and now - told >= AFTER_S:
            screen.leave()
            return _verdict(healthy, failing)
        time.sleep(0.05)
    screen.leave()
    print(f"edgelstm: no alert for {FAILING} within {args.seconds if up else START_S:g} s "
          f"(state {failing.state}); the daemon said: {_last_line(children, 'daemon')}", file=sys.stderr)  # fmt: skip
    return 1


def _complete(failing: Seen, now: float) -> bool:
    """Whether the alert is here, and the sample that decided it: our own copy of that one may come later."""
    if failing.alert_s is None:
        return False
    return failing.sample_to_alert_ms is not None or now - failing.alert_s > SAMPLE_S


def _tell(screen: Screen, failing: Seen) -> None:
    from edgelstm.alert_payload import event_line

    assert failing.alert is not None
    screen.say("ALERT over MQTT, edgelstm/demo/stream/pump2/alert:")
    screen.say(f"  {event_line(failing.alert)}")
    if failing.fault_to_alert_s is not None:
        screen.say(f"  fault to alert   {failing.fault_to_alert_s:6.1f} s")
    if failing.sample_to_alert_ms is not None:
        screen.say(f"  sample to alert  {failing.sample_to_alert_ms:6.1f} ms")


def _verdict(healthy: Seen, failing: Seen) -> int:
    if failing.fault_s is None or (failing.alert_s or 0.0) < failing.fault_s:
        print(f"edgelstm: {FAILING} alarmed before its fault began", file=sys.stderr)
        return 1
    if healthy.alert is not None:
        print(f"edgelstm: {HEALTHY} alarmed, and there was nothing wrong with it", file=sys.stderr)
        return 1
    return 0


def _last_line(children: Children, name: str) -> str:
    lines = children.log(name).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing"
