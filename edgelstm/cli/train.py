"""`edgelstm train`: a recording in, a running detector out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgelstm.cli.calibrate import positive
from edgelstm.cli.output import expect_model_output, expect_output
from edgelstm.errors import RecordingError, UnavailableError, UsageError
from edgelstm.words import span

if TYPE_CHECKING:
    from edgelstm_converters.training import Trained, TrainingSettings
    from edgelstm_converters.training.dataset import Dataset
    from edgelstm_converters.training.loop import Progress

SUMMARY = "train a small network on a recording, convert it to int8 and make it a detector"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    configure_data(parser)
    parser.add_argument("--cell", choices=("lstm", "gru"), help="kind of recurrent layer (lstm)")
    for name, (kind, text) in NUMBERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    parser.add_argument(
        "--schedule", choices=("one-cycle", "cosine"), help="of the learning rate (one-cycle)"
    )
    parser.add_argument("--report", metavar="HTML", help="where the report goes (MODEL.html)")


def configure_data(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `edgelstm tune` has too."""
    parser.add_argument("data", metavar="DATA", help="CSV, Parquet or NPZ, .gz too, or a folder of them")
    parser.add_argument("-o", "--output", required=True, metavar="MODEL", help="the model file to write")
    parser.add_argument("--task", choices=("forecast", "autoencoder", "classify"),
                        help="what to learn (forecast; classify where --label is given)")  # fmt: skip
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="column that is 0 for normal and otherwise for faults: to learn, or else to judge by alone",
    )
    parser.add_argument("--channels", metavar="A,B", help="columns to use (every column of numbers)")
    parser.add_argument("--given", metavar="A,B",
                        help="columns that only feed the network, as commands and set points: not foretold, not judged")  # fmt: skip
    parser.add_argument("--time-column", metavar="NAME", help="column of times (found by name)")
    parser.add_argument("--period", type=float, metavar="S", help="time between rows of a file without times")
    parser.add_argument("--newest", type=positive, metavar="N",
                        help="rows at the end of the data to use (all, or 10 million values)")  # fmt: skip
    parser.add_argument(
        "--keep-all", action="store_true", help="keep channels that never move or repeat another"
    )
    parser.add_argument("--budget", default="1 per week", help='false alerts allowed (default: "1 per week")')
    parser.add_argument(
        "--fresh", action="store_true", help="do not go on with a training that was interrupted"
    )


NUMBERS: dict[str, tuple[Any, str]] = {
    "hidden": (int, "units of a recurrent layer (32)"),
    "layers": (int, "recurrent layers (1)"),
    "bottleneck": (int, "units of an autoencoder's narrow layer (4)"),
    "epochs": (int, "times through the recording, at most (40, more for a short one)"),
    "batch": (int, "strips of the recording trained side by side (32)"),
    "bptt": (int, "samples between two updates (64)"),
    "learning_rate": (float, "largest learning rate (0.008)"),
    "weight_decay": (float, "decay of weights (0.001)"),
    "dropout": (float, "share of hidden values left out, one mask for a strip (0)"),
    "noise": (float, "noise on inputs, in deviations (0.02)"),
    "patience": (int, "epochs without a better validation loss that end it (a quarter)"),
    "quantised_epochs": (int, "last epochs with weights rounded to int8 (2)"),
    "validation": (float, "share of the recording that decides when to stop (0.15)"),
    "test": (float, "share of the recording that is only tested on, its end (0.15)"),
    "seed": (int, "of all random numbers (0)"),
}
"""Numbers of TrainingSettings that can be given here."""


def run(args: argparse.Namespace) -> int:
    """Train, write the model and the report, say what was found."""
    expect_torch()
    from edgelstm_converters.training import TrainingSettings

    settings = TrainingSettings(**_choices(args))
    output = expect_model_output(args.output, [args.data])
    report = expect_report(args.report or output.with_suffix(".html"), output, args.data)
    return train_and_write(args, settings, read_data(args, settings), output, report)


def expect_report(path: str | os.PathLike[str], model: Path, history: str) -> Path:
    """Return the path of the page; raises UsageError where the model or the history is to be there."""
    report = expect_output(path, [history])
    if report.absolute() == model.absolute():
        raise UsageError(
            f"{report}: is where the page goes; name the model otherwise, or the page with --report"
        )
    return report


def read_data(args: argparse.Namespace, settings: TrainingSettings) -> Dataset:
    """Read what the arguments name and say what was found in it."""
    from edgelstm.budget import interval_s
    from edgelstm.sources.label_columns import LabelColumns
    from edgelstm_converters.training.dataset import examine, read_all

    interval_s(args.budget)
    channels = [name.strip() for name in args.channels.split(",")] if args.channels else None
    given = [name.strip() for name in args.given.split(",")] if args.given else []
    if channels:
        channels += [name for name in given if name not in channels]
    if channels and args.label and args.label not in channels:
        channels.append(args.label)
    recordings = read_all(
        args.data, channels, period_s=args.period, time_column=args.time_column, newest=args.newest,
        labels=LabelColumns(args.label, *given),
    )  # fmt: skip
    try:
        data = examine(
            recordings,
            label=args.label,
            learned=settings.task == "classify",
            given=given,
            keep_all=args.keep_all,
            validation=settings.validation,
            test=settings.test,
        )
    except RecordingError as exc:
        raise RecordingError(f"{args.data}: {exc}") from None
    span_s = float(data.times_ns[-1] - data.times_ns[0]) / 1e9
    print(f"{args.data}: {len(data.values):,} rows, {len(data.names)} channel{'' if len(data.names) == 1 else 's'}, {data.period_ns / 1e9:g} s apart, "
          f"over {span(span_s)}")  # fmt: skip
    for note in data.notes:
        print(f"  {note}")
    return data


def train_and_write(
    args: argparse.Namespace, settings: TrainingSettings, data: Dataset, output: Path, report: Path
) -> int:
    """Train, write the model and the report, say what was found; return the exit code."""
    from edgelstm import model_file
    from edgelstm_converters.training import train
    from edgelstm_converters.training.page import render

    kept = output.with_name(f"{output.name}.training")
    if args.fresh:
        kept.unlink(missing_ok=True)
    try:
        trained = train(
            data,
            settings,
            budget=args.budget,
            name=output.stem,
            say=_show,
            checkpoint_path=kept,
            told=lambda line: print(f"edgelstm: {line}", file=sys.stderr),
        )
    except KeyboardInterrupt:
        resume = f"; the same command goes on from {kept}" if kept.exists() else ""
        print(f"\nedgelstm: interrupted{resume}", file=sys.stderr)
        return 130
    model_file.save(trained.model, output)
    report.write_text(render(trained, output.stem), encoding="utf-8")
    kept.unlink(missing_ok=True)
    print("\n".join(_summary(trained)))
    print(f"written: {output} ({output.stat().st_size:,} bytes), {report}")
    return 0


def task_of(args: argparse.Namespace) -> str:
    """Return what is to be learned; raises UsageError where --task classify has no --label."""
    task = args.task or ("classify" if args.label else "forecast")
    if task == "classify" and not args.label:
        raise UsageError("--task classify needs --label NAME, the column to learn")
    return str(task)


def _choices(args: argparse.Namespace) -> dict[str, Any]:
    names = ("cell", "schedule", *NUMBERS)
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return chosen | {"task": task_of(args)}


def _show(progress: Progress) -> None:
    """Say how far training is: over one line of a terminal, or a line for each epoch elsewhere."""
    done = round(24 * progress.epoch / progress.epochs)
    minutes, seconds = divmod(round(progress.seconds), 60)
    line = (
        f"[{'=' * done}{' ' * (24 - done)}] {progress.epoch}/{progress.epochs}  loss {progress.loss:.4f}  "
        f"validation {progress.validation:.4f} (best {progress.best:.4f})  {minutes}:{seconds:02d} left"
        + ("  int8" if progress.quantised else "")
    )
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def _summary(trained: Trained) -> list[str]:
    lines = [f"trained {len(trained.history)} epochs in {trained.seconds:.0f} s"]
    if sys.stderr.isatty():
        lines.insert(0, "")
    for name, (exact, integer, last) in trained.errors.items():
        lines.append(
            f"  {name}: error int8 {integer:.4g}, float32 {exact:.4g}, repeating the last value {last:.4g}"
        )
    lines += [f"warning: {line}" for line in trained.warnings]
    if trained.metrics is not None:
        found = trained.metrics
        lines.append(
            f"  accuracy {found.accuracy:.3f}  precision {found.precision:.3f}  recall {found.recall:.3f}  "
            f"F1 {found.f1:.3f}" + (f"  AUC {found.auc:.3f}" if found.auc == found.auc else "")
        )
        tested = [name for name, row in zip(trained.data.classes, found.confusion, strict=True) if row.any()]
        if len(tested) == 1:
            lines.append(
                f"warning: the test stretch holds class {tested[0]} alone, so these figures say little: give a recording that ends "
                "with both, or a larger --test"
            )
        lines += [
            f"  is {name}: said {', '.join(map(str, row))}"
            for name, row in zip(trained.data.classes, found.confusion.tolist(), strict=True)
        ]
    if trained.found is None:
        lines.append(
            "no detector: several classes of faults have no single score; the outputs are one logit each"
        )
    else:
        lines.append(
            f"detector: threshold {trained.found.settings.threshold:.2f} for {trained.found.settings.budget}; the test "
            f"stretch raises {trained.alerts}{', and one is open when it begins' if trained.alerting else ''}, the budget allows "
            f"{trained.test_budget:.2g}"
        )
    if trained.checks:
        lines.append("faults put into the test stretch, one at a time:")
        lines += [
            f"  {one.kind}: {one.found} of {one.count} found"
            + (f", half of them within {one.delay + 1:.0f} samples" if one.found else "")
            for one in trained.checks
        ]
    if trained.agreement is not None:
        lines.append(f"against the labels of the test stretch: {trained.agreement.line}")
    return lines


def expect_torch() -> None:
    """Raise UnavailableError where PyTorch is not installed."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise UnavailableError('training needs PyTorch: install it with: pip install "edgelstm[torch]"')
