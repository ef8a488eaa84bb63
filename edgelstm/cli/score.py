"""edgelstm score: the daemon's own detector over a recording."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edgelstm.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgelstm.alert import Alert
    from edgelstm.detector import Detector
    from edgelstm.sources.recording import Recording
    from edgelstm.verdict import Verdicts

SUMMARY = "run the detector over a recording: events, scores, plot"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="a model file with a detector; not with --pretrained"
    )
    parser.add_argument("recording", metavar="DATA", help="CSV, Parquet or NPZ, .gz too")
    parser.add_argument(
        "--pretrained",
        action="store_true",
        help="the general detector of the package: no model needed, the first rows are taken for normal",
    )
    parser.add_argument(
        "--history",
        type=int,
        metavar="ROWS",
        help="how many of them (a fifth, 400 to 5000; --pretrained only)",
    )
    parser.add_argument("--budget", help='false alerts allowed ("1 per week"; --pretrained only)')
    parser.add_argument("--channels", metavar="A,B", help="columns to watch (all numbers; --pretrained only)")
    parser.add_argument(
        "--label", metavar="NAME", help="column that is 0 for normal: say how well it was told"
    )
    parser.add_argument(
        "--json", action="store_true", help="events as JSON, one a line, as the daemon publishes them"
    )
    parser.add_argument("--scores", metavar="FILE", help="every score as CSV, exact to the bit; - for stdout")
    parser.add_argument("--plot", metavar="PNG", help="channels, alerts, score and threshold as a picture")
    parser.add_argument("--node", help="name of this node in ids (default: the host's)")
    parser.add_argument("--stream", help="name of the stream in ids (default: the file's)")
    parser.add_argument("--period", type=float, metavar="S", help="time between rows of a file without times")
    parser.add_argument("--time-column", metavar="NAME", help="column of times (found by name)")


def run(args: argparse.Namespace) -> int:
    """Score the recording; events to stdout, a summary to stderr."""
    from edgelstm.alert_payload import event_line
    from edgelstm.sources.recording import read
    from edgelstm.stream import load

    if args.plot:
        _expect_matplotlib()
    if args.pretrained:
        detector, recording, labels = _general(args)
    else:
        _expect_model(args)
        loaded = load(args.model)
        detector = loaded.detector()
        wanted = [*loaded.channel_names, *([args.label] if args.label else [])]
        recording, labels = _without(
            read(args.recording, wanted, period_s=args.period, time_column=args.time_column), args.label
        )
    for note in recording.notes:
        print(f"edgelstm: {note}", file=sys.stderr)
    verdicts = detector.push_block(recording.times_ns, recording.values)
    payloads = _payloads(args, detector, verdicts.alerts)
    to_stdout = args.scores == "-"
    for payload in [] if to_stdout and not args.json else payloads:
        print(_json_line(payload) if args.json else event_line(payload))
    if to_stdout:
        _write_scores(sys.stdout, recording, verdicts)
    elif args.scores:
        try:
            with open(args.scores, "w", encoding="utf-8", newline="") as file:
                _write_scores(file, recording, verdicts)
        except OSError as exc:
            raise UsageError(f"{args.scores}: cannot be written: {exc.strerror}") from exc
    if args.plot:
        from edgelstm.cli.score_plot import draw

        draw(args.plot, recording, verdicts, Path(args.recording).name)
        print(f"edgelstm: wrote {args.plot}", file=sys.stderr)
    print("\n".join(_summary(detector, recording, verdicts)), file=sys.stderr)
    if labels is not None:
        print(_agreement(recording, verdicts, labels), file=sys.stderr)
    return 0


def _expect_model(args: argparse.Namespace) -> None:
    if args.model is None:
        raise UsageError("expected MODEL and DATA, or --pretrained DATA")
    for name in ("history", "budget", "channels"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} is for --pretrained only: a model file says itself")


def _general(args: argparse.Namespace) -> tuple[Detector, Recording, NDArray[np.float32] | None]:
    """Make the general detector from the first rows of the recording; what it found goes to stderr."""
    from edgelstm.pretrained import general_detector, history_rows
    from edgelstm.sources.recording import read

    if args.model is not None:
        raise UsageError(
            f"--pretrained takes no model file, but two files are given: {args.model}, {args.recording}"
        )
    channels = [name.strip() for name in args.channels.split(",")] if args.channels else None
    if channels and args.label and args.label not in channels:
        channels.append(args.label)
    recording, labels = _without(
        read(args.recording, channels, period_s=args.period, time_column=args.time_column), args.label
    )
    rows = args.history or history_rows(len(recording.values))
    if not 0 < rows <= len(recording.values):
        raise UsageError(
            f"--history is {rows}, expected 1 to {len(recording.values)}, the rows of {args.recording}"
        )
    loaded, found = general_detector(
        recording.names,
        recording.times_ns[:rows],
        recording.values[:rows],
        args.budget or "1 per week",
    )
    print(
        f"edgelstm: general detector, {len(recording.names)} channels ({', '.join(recording.names)}); the first {rows} rows "
        f"are taken for normal; threshold {found.settings.threshold:.2f} for {found.settings.budget}",
        file=sys.stderr,
    )
    return loaded.detector(), recording, labels


def _without(recording: Recording, label: str | None) -> tuple[Recording, NDArray[np.float32] | None]:
    """Take the column of labels out of a recording."""
    import dataclasses

    import numpy

    if label is None:
        return recording, None
    if label not in recording.names:
        raise UsageError(f'no column "{label}" to take labels from (columns: {", ".join(recording.names)})')
    at = recording.names.index(label)
    names = recording.names[:at] + recording.names[at + 1 :]
    values = numpy.ascontiguousarray(numpy.delete(recording.values, at, axis=1))
    return dataclasses.replace(recording, names=names, values=values), recording.values[:, at]


def _agreement(recording: Recording, verdicts: Verdicts, labels: NDArray[np.float32]) -> str:
    from edgelstm.cli.score_labels import judge

    found = judge(recording.times_ns, verdicts.states, labels, recording.period_ns)
    return (
        f"edgelstm: against the labels: precision {found.precision:.3f}, recall {found.recall:.3f}, F1 {found.f1:.3f}; "
        f"{found.found} of {found.events} events found, median delay {found.delay_s:.3g} s; "
        f"{found.false_events} false events, {found.false_per_day:.3g} per day of normal samples"
    )


def _payloads(args: argparse.Namespace, detector: Detector, alerts: list[Alert]) -> list[dict[str, object]]:
    import socket

    from edgelstm.alert_payload import alert_payload

    stem = Path(args.recording).name.removesuffix(".gz")
    return [
        alert_payload(
            alert,
            node=args.node or socket.gethostname(),
            stream=args.stream or Path(stem).stem,
            model=detector.model.model.name,
            model_digest=detector.model.digest,
        )
        for alert in alerts
    ]


def _json_line(payload: dict[str, object]) -> str:
    import msgspec

    return msgspec.json.encode(payload).decode()


def _write_scores(file: TextIO, recording: Recording, verdicts: Verdicts) -> None:
    """Write a row for every sample: time, score, threshold, state; empty where there is no verdict."""
    names = {-1: "", 0: "ok", 1: "anomaly"}
    file.write("time_ns,score,threshold,state\n")
    for time_ns, score, threshold, state in zip(
        recording.times_ns.tolist(),
        verdicts.scores.tolist(),
        verdicts.thresholds.tolist(),
        verdicts.states.tolist(),
        strict=True,
    ):
        file.write(f"{time_ns},{score!r},{threshold!r},{names[state]}\n" if state >= 0 else f"{time_ns},,,\n")


def _summary(detector: Detector, recording: Recording, verdicts: Verdicts) -> list[str]:
    from edgelstm.cli.calibrate import span

    counters, settings = detector.counters, detector.settings
    span_s = float(recording.times_ns.max() - recording.times_ns.min()) / 1e9
    budget_s = settings.budget_samples * settings.period_ns / 1e9
    watched_s = counters["scored"] * settings.period_ns / 1e9
    lines = [
        f"{counters['samples']} samples over {span(span_s)}, {counters['scored']} scored; "
        + ", ".join(
            f"{counters[name]} {name.replace('_', ' ')}"
            for name in ("warming", "missing_values", "skipped", "late", "duplicates", "gaps", "resets")
            if counters[name]
        ),
        f"{counters['raised']} alert{'' if counters['raised'] == 1 else 's'} raised, {counters['adopted']} adopted as the new normal"
        + (", one still open" if detector.open_alert else ""),
    ]
    if counters["scored"]:
        lines.append(
            f"asked for at most {settings.budget} ({watched_s / budget_s:.2g} in what was scored), "
            f"raised {counters['raised']}"
        )
    else:
        lines.append(f"nothing was scored: {detector.samples_until_ready} more samples until ready")
    return [f"edgelstm: {line.rstrip('; ')}" for line in lines]


def _expect_matplotlib() -> None:
    import importlib.util

    from edgelstm.errors import UnavailableError

    if importlib.util.find_spec("matplotlib") is None:
        raise UnavailableError('--plot needs matplotlib: install it with: pip install "edgelstm[plot]"')
