"""`edgelstm simulate`: a sensor node from firmware_sim, over MQTT or into a CSV file."""

from __future__ import annotations

import argparse
import difflib
import signal
import sys
from typing import TYPE_CHECKING

from edgelstm.cli import broker_url, simulate_mcu
from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm_firmware_sim import Fault
    from edgelstm_firmware_sim.signals import Signal

SUMMARY = (
    "Pretend to be a sensor node: publish its samples over MQTT in real time, or record them to a CSV file."
)


_RANGES = (
    ("rate", 0.001, 1000.0, "samples per second"),
    ("seconds", 0.001, 1e9, "seconds"),
    ("seed", 0, 2**63, ""),
    ("duplicates", 0.0, 1.0, ""),
    ("drift_ppm", -1e6, 1e6, ""),
    ("jitter", 0.0, 3600.0, "seconds"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "node",
        nargs="?",
        help="pump or bearing (--list shows their channels and faults), or mcu: a microcontroller",
    )
    parser.add_argument("--list", action="store_true", help="show every node, its channels and its faults")
    broker_url.add_arguments(parser)
    parser.add_argument("--id", help="name of the node; topics are plant/ID/...; default: the node's kind")
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="samples per second; default: the node's own"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same samples")
    parser.add_argument("--seconds", type=float, help="stop after this long; default: run until stopped")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME@START[:RAMP]",
        help="start a fault after START seconds, grown after RAMP (20) seconds; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--record", metavar="CSV", help="write --seconds of samples to a file, as fast as possible"
    )
    parser.add_argument(
        "--format", choices=("json", "raw"), default="json", help="payload; raw: float32 waveform"
    )
    parser.add_argument("--duplicates", type=float, default=0.0, metavar="P", help="probability of a repeat")
    parser.add_argument(
        "--outage", metavar="EVERY,FOR", help="lose the link FOR seconds in every EVERY seconds"
    )
    parser.add_argument("--drift-ppm", type=float, default=0.0, help="how fast the device's clock runs away")
    parser.add_argument("--jitter", type=float, default=0.0, metavar="SECONDS", help="lateness of a sample")
    simulate_mcu.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from edgelstm_firmware_sim.signals import NODES

    if args.list:
        for name, kind in NODES.items():
            print(
                f"{name}  {kind.rate_hz:g} samples/s: {', '.join(f'{n} {u}'.strip() for n, u in kind.channels)}"
            )
            for fault, shows in kind.faults.items():
                print(f"  {fault:14s}{shows}")
        return 0
    on_a_core, args.node = args.node == "mcu", args.sensor if args.node == "mcu" else args.node
    if args.node not in NODES:
        raise UsageError(_unknown("sensor" if on_a_core else "node", args.node, list(NODES)))
    for option, low, high, unit in _RANGES:
        value = getattr(args, option)
        if value is not None and not low <= value <= high:
            raise UsageError(
                f"--{option.replace('_', '-')} {value:g}: expected {low:g} to {high:g} {unit}".rstrip()
            )
    faults = tuple(_fault(text, NODES[args.node]) for text in args.fault)
    for begun in faults:
        if args.seconds is not None and begun.start_s >= args.seconds:
            raise UsageError(
                f"--fault {begun.name}@{begun.start_s:g}: begins after the end, --seconds {args.seconds:g}"
            )
    if on_a_core:
        return simulate_mcu.run(args, NODES[args.node], faults)
    if args.record:
        return _record(args, faults)
    return _publish(args, faults)


def _record(args: argparse.Namespace, faults: tuple[Fault, ...]) -> int:
    from edgelstm_firmware_sim import record

    if args.seconds is None:
        raise UsageError("--record needs --seconds: how long a recording?")
    recording = record(args.node, args.seconds, args.seed, faults, rate_hz=args.rate)
    try:
        recording.write_csv(args.record)
    except OSError as exc:
        raise UnavailableError(f"{args.record}: cannot be written: {exc.strerror}") from None
    print(f"{args.record}: {len(recording.values)} samples of {', '.join(recording.names)}", file=sys.stderr)
    return 0


def _publish(args: argparse.Namespace, faults: tuple[Fault, ...]) -> int:
    from edgelstm_firmware_sim.node import Node, NodeSettings

    broker = broker_url.broker(args)
    every_s, down_s = _outage(args.outage)
    node = Node(
        NodeSettings(
            kind=args.node,
            id=args.id or args.node,
            seed=args.seed,
            rate_hz=args.rate,
            payload=args.format,
            faults=faults,
            drift_ppm=args.drift_ppm,
            jitter_s=args.jitter,
            outage_every_s=every_s,
            outage_s=down_s,
            duplicates=args.duplicates,
        )
    )
    try:
        node.connect(*broker)
    except OSError as exc:
        raise UnavailableError(
            f"no broker at {broker} ({exc.strerror or exc}); start one, such as mosquitto, or say where it is: --broker URL"
        ) from None
    signal.signal(signal.SIGTERM, lambda number, frame: node.stop())
    print(f"{node.base}/telemetry: {1 / node.signal.period_s:g} samples/s; Ctrl-C stops", file=sys.stderr)
    try:
        node.run(args.seconds)
    except KeyboardInterrupt:
        node.stop()
        node.run()  # only says goodbye
    print(f"{node.published} samples published", file=sys.stderr)
    return 0


def _fault(text: str, kind: type[Signal]) -> Fault:
    from edgelstm_firmware_sim import Fault

    name, _, times = text.partition("@")
    if name not in kind.faults:
        raise UsageError(_unknown("fault", name, list(kind.faults)))
    try:
        start, _, ramp = times.partition(":")
        start_s, ramp_s = float(start or 0.0), float(ramp or 20.0)
    except ValueError:
        start_s = ramp_s = -1.0
    if not (0.0 <= start_s < 1e9 and 0.0 <= ramp_s < 1e9):
        raise UsageError(f"--fault {text}: expected NAME@START or NAME@START:RAMP, in seconds")
    return Fault(name, start_s, ramp_s)


def _outage(text: str | None) -> tuple[float, float]:
    if text is None:
        return 0.0, 0.0
    try:
        every, down = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--outage {text}: expected EVERY,FOR in seconds, such as 60,5") from None
    if not 0 < down < every:
        raise UsageError(f"--outage {text}: FOR has to be shorter than EVERY")
    return every, down


def _unknown(what: str, name: str | None, known: list[str]) -> str:
    close = difflib.get_close_matches(name or "", known, 1)
    hint = f'did you mean "{close[0]}"?' if close else f"expected one of: {', '.join(known)}"
    return (
        f'no {what} is named "{name}"; {hint}'
        if name
        else f"which {what}? expected one of: {', '.join(known)}"
    )
