"""edgelstm calibrate: make any converted model that forecasts its channels a detector."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from edgelstm.blind_forecasts import warnings
from edgelstm.cli.output import expect_model_output
from edgelstm.detector_settings import SHORTEST_READOUT, SIGNALS, SURPRISE_CAP
from edgelstm.errors import CalibrationError, EdgeLstmError, UsageError
from edgelstm.words import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgelstm.calibration import Calibration
    from edgelstm.stream import LoadedModel

MOST_VALUES = 4_000_000
"""Of a history, channels times rows, where nobody says how many rows: what calibration holds of it stays below 1 GB."""

SUMMARY = "make a converted model a detector, from normal history"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="a converted model (*.elstm); not with --pretrained"
    )
    parser.add_argument("history", metavar="HISTORY", help="normal running: CSV or NPZ, .gz too")
    parser.add_argument(
        "--pretrained",
        action="store_true",
        help="the general detector of the package, for all columns of the history",
    )
    parser.add_argument("--channels", metavar="A,B", help="columns to watch (all numbers; --pretrained only)")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the model file to write")
    parser.add_argument("--budget", default="1 per week", help='false alerts allowed (default: "1 per week")')
    parser.add_argument(
        "--on-missing", choices=("hold", "skip", "reset"), help="what a missing value does (hold)"
    )
    parser.add_argument(
        "--gap-reset", type=float, metavar="S", help="a gap this long starts anew (100 periods)"
    )
    parser.add_argument("--raise-after", metavar="K/N", help="scores above the threshold that raise (3/5)")
    parser.add_argument("--clear-after", type=int, metavar="N", help="calm scores in a row that clear (10)")
    parser.add_argument("--recovery", type=float, metavar="R",
                        help="clear when the channels that raised an alert are back to R of how far they were, such as 0.3")  # fmt: skip
    parser.add_argument("--readout", type=positive, metavar="N",
                        help="let a readout of the recurrent layer learn on, with a memory of N samples, such as 5000: it follows what drifts")  # fmt: skip
    parser.add_argument("--cooldown", type=float, metavar="S", help="quiet time after an alert (30 periods)")
    parser.add_argument(
        "--freeze-timeout", type=float, metavar="S", help="an alert open this long is adopted"
    )
    parser.add_argument("--signals", metavar="A,B", help="listen to these signals alone, each in full")
    parser.add_argument("--reach", type=float, metavar="R",
                        help="judge signals by the largest of the history: R times as far again counts tenfold and more")  # fmt: skip
    parser.add_argument("--threshold", type=float, metavar="X", help="least threshold (from the budget)")
    parser.add_argument("--newest", type=positive, metavar="N",
                        help="rows at the end of the history to use (all, or 4 million values)")  # fmt: skip
    parser.add_argument("--period", type=float, metavar="S", help="time between samples (from the history)")
    parser.add_argument("--time-column", metavar="NAME", help="column of times (found by name)")


def positive(text: str) -> int:
    """Return a whole number above 0; raises ArgumentTypeError for anything else."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no whole number above 0')
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Calibrate, write the model, print what was found."""
    import dataclasses

    from edgelstm import model_file
    from edgelstm.calibration import examine
    from edgelstm.evidence_choice import is_constant
    from edgelstm.pretrained import GENERAL
    from edgelstm.sources.label_columns import LabelColumns
    from edgelstm.sources.recording import read
    from edgelstm.stream import load

    choices = _choices(args)
    if args.pretrained == (args.model is not None):
        raise UsageError("expected MODEL and HISTORY, or --pretrained HISTORY")
    if args.channels and not args.pretrained:
        raise UsageError("--channels is for --pretrained only: a model file says itself")
    expect_model_output(args.output, [args.history])
    loaded = load(GENERAL if args.pretrained else args.model)
    names: Sequence[str] | None = loaded.channel_names
    if args.pretrained:
        names = [name.strip() for name in args.channels.split(",")] if args.channels else None
    history = read(
        args.history,
        names,
        period_s=args.period,
        time_column=args.time_column,
        newest=args.newest,
        most_values=MOST_VALUES,
        labels=LabelColumns(),
    )
    for note in history.notes:
        print(f"edgelstm: {note}", file=sys.stderr)
    if all(is_constant(column) for column in history.values.T):
        raise CalibrationError(
            f"{args.history}: no channel ever moves in it, so it cannot say what normal movement is; there is nothing to watch"
        )
    apart = history.names if args.pretrained else None
    try:
        found = examine(
            loaded,
            history.times_ns,
            history.values,
            args.budget,
            apart=apart,
            given=_given(loaded),
            **choices,
        )
    except UsageError:
        raise
    except EdgeLstmError as exc:
        raise type(exc)(f"{args.history}: {exc}") from None
    model_file.save(dataclasses.replace(loaded.model, detector_settings=found.settings), args.output)
    print("\n".join(_report(found)))
    print(f"written: {args.output}")
    return 0


def _choices(args: argparse.Namespace) -> dict[str, Any]:
    choices: dict[str, Any] = {"on_missing": args.on_missing, "clear_after": args.clear_after}
    for name in ("gap_reset", "cooldown", "freeze_timeout", "period"):
        seconds = getattr(args, name)
        if seconds is not None and not 0.0 <= seconds < 1e9:
            raise UsageError(f"--{name.replace('_', '-')} is {seconds}, expected seconds from 0 to 1e9")
        choices[f"{name}_ns"] = None if seconds is None else round(seconds * 1e9)
    if args.raise_after is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", args.raise_after)
        if match is None:
            raise UsageError(f'--raise-after is "{args.raise_after}", expected K/N such as 3/5')
        choices["raise_after"], choices["raise_window"] = int(match[1]), int(match[2])
    if args.signals is not None:
        names = [name.strip() for name in args.signals.split(",")]
        unknown = [name for name in names if name not in SIGNALS]
        if unknown:
            raise UsageError(f'--signals: "{unknown[0]}" is no signal (signals: {", ".join(SIGNALS)})')
        choices["weights"] = dict.fromkeys(names, 1.0)
    if args.readout is not None:
        if args.readout < SHORTEST_READOUT:
            raise UsageError(f"--readout is {args.readout}, expected at least {SHORTEST_READOUT} samples")
        choices["readout_memory"] = args.readout
    for name, low, high in (
        ("reach", 0.001, 1000.0),
        ("threshold", 0.0, SURPRISE_CAP),
        ("recovery", 0.01, 1.0),
    ):
        value = getattr(args, name)
        if value is not None:
            if not low <= value <= high:
                raise UsageError(f"--{name} is {value}, expected {low:g} to {high:g}")
            choices["recovery_ratio" if name == "recovery" else name] = value
    return choices


def _given(loaded: LoadedModel) -> tuple[str, ...]:
    """Return the channels that the model's detector, where it has one, does not judge: they only feed the network."""
    known = loaded.model.detector_settings
    return tuple(channel.name for channel in known.channels if not channel.evidence) if known else ()


def _report(found: Calibration) -> list[str]:
    settings, counters = found.settings, found.counters
    missing = ", ".join(f"{name} {count}" for name, count in found.missing.items() if count) or "none"
    lines = [
        f"rows         {found.rows}, {found.scored} of them scored, over {span(found.span_s)}",
        f"period       {settings.period_ns / 1e9:g} s",
        f"gaps         {counters['gaps']}, {counters['resets']} of them so long that the stream began anew",
        f"late         {counters['late']} late, {counters['duplicates']} duplicate times: left out",
        f"missing      {missing}; policy {settings.on_missing}",
    ]
    if found.constant:
        lines.append(f"constant     {', '.join(found.constant)}: never moved in this history")
    lines += warnings(found.blind)
    if found.spread:
        heard = ", ".join(name for name, is_heard in found.spread.items() if is_heard) or "no channel"
        deaf = ", ".join(name for name, is_heard in found.spread.items() if not is_heard)
        lines.append(
            f"spread       heard of {heard}" + (f"; it foretells no error of {deaf}" if deaf else "")
        )
    if settings.forgetting:
        lines.append(
            f"readout      learns on from {len(settings.channels[0].readout or ())} numbers, with a memory of "
            f"{settings.readout_memory} samples"
        )
    lines += [
        f"budget       {settings.budget}: one in {settings.budget_samples:.0f} samples",
        f"threshold    {settings.threshold:.2f} (largest score of this history: {found.largest_score:.2f})",
        f"alerts       this history itself raises {settings.history_alerts}; "
        f"the budget allows {found.rows / settings.budget_samples:.2g}",
    ]
    if found.extrapolated:
        lines.append(
            f"note         {span(found.span_s)} of history cannot show what happens {settings.budget}: the threshold "
            "follows from the tail of its scores; a longer history makes it surer"
        )
    if found.capped:
        lines.append(
            "note         so rare an alert is beyond what scores can tell: expect more than the budget"
        )
    return lines
