"""edgelstm score: the daemon's own detector over a recording."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edgelstm.cli.output import expect_output
from edgelstm.cli.picture import expect_picture
from edgelstm.errors import EdgeLstmError, RecordingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgelstm.alert import Alert
    from edgelstm.cli.score_plot import Curves
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
    parser.add_argument(
        "--plot", metavar="PICTURE", help="channels, alerts, score and threshold: .png, .svg, .pdf"
    )
    parser.add_argument("--node", help="name of this node in ids (default: the host's)")
    parser.add_argument("--stream", help="name of the stream in ids (default: the file's)")
    parser.add_argument("--period", type=float, metavar="S", help="time between rows of a file without times")
    parser.add_argument("--time-column", metavar="NAME", help="column of times (found by name)")


def run(args: argparse.Namespace) -> int:
    """Score the recording, part by part; events to stdout, a summary to stderr."""
    from edgelstm.label_score import Agreement
    from edgelstm.sources.label_columns import LabelColumns
    from edgelstm.sources.recording import parts

    if args.plot:
        expect_picture(args.plot, [args.model, args.recording, args.scores])
    if args.scores and args.scores != "-":
        expect_output(args.scores, [args.model, args.recording])
    with ExitStack() as stack:
        wanted, detector = _wanted(args)
        opened = stack.enter_context(
            parts(
                args.recording, wanted, period_s=args.period, time_column=args.time_column,
                labels=LabelColumns(args.label),
            )
        )  # fmt: skip
        _expect_label(args.label, opened.names)
        notes = opened.notes
        for note in notes:
            print(f"edgelstm: {note}", file=sys.stderr)
        recordings = iter(opened)
        normal_until_ns = None
        if detector is None:
            detector, recordings, normal_until_ns = _general(args, recordings)
        scores = _scores_file(args, stack)
        agreement = Agreement() if args.label else None
        in_history = 0
        curves, moves, extent = _curves(args, detector, normal_until_ns), _Moves(), _Extent()
        for part in recordings:
            recording, labels = _without(part, args.label)
            verdicts = detector.push_block(recording.times_ns, recording.values)
            if normal_until_ns is not None:
                in_history += sum(
                    alert.event_type == "raised" and alert.time_ns <= normal_until_ns
                    for alert in verdicts.alerts
                )
            if args.json or scores is not sys.stdout:
                _print_events(args, detector, verdicts.alerts)
            if scores is not None:
                _write_scores(scores, recording, verdicts)
            if curves is not None:
                curves.add(recording, verdicts)
            if agreement is not None and labels is not None:
                agreement.add(recording.times_ns, verdicts.states, labels, recording.period_ns)
            extent.add(recording)
            moves.add(recording)
        later = [note for note in opened.notes if note not in notes]
    for note in later:
        print(f"edgelstm: {note}", file=sys.stderr)
    if args.pretrained and not moves.any:
        raise RecordingError(f"{args.recording}: no channel ever moves: there is nothing to watch")
    if curves is not None:
        curves.draw(args.plot, Path(args.recording).name)
        print(f"edgelstm: wrote {args.plot}", file=sys.stderr)
    print("\n".join(_summary(detector, extent.span_s, in_history)), file=sys.stderr)
    if agreement is not None:
        print(f"edgelstm: against the labels: {agreement.result().line}", file=sys.stderr)
    return 0


def _wanted(args: argparse.Namespace) -> tuple[list[str] | None, Detector | None]:
    """Return the columns to read, None for every column of numbers, and the model's detector, None for the general one."""
    from edgelstm.stream import load

    if args.pretrained:
        if args.model is not None:
            raise UsageError(
                f"--pretrained takes no model file, but two files are given: {args.model}, {args.recording}"
            )
        channels = [name.strip() for name in args.channels.split(",")] if args.channels else None
        return channels and [*channels, *([args.label] if args.label not in (None, *channels) else [])], None
    if args.model is None:
        raise UsageError("expected MODEL and DATA, or --pretrained DATA")
    for name in ("history", "budget", "channels"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} is for --pretrained only: a model file says itself")
    detector = load(args.model).detector()
    return [*detector.channel_names, *([args.label] if args.label else [])], detector


def _expect_label(label: str | None, names: Sequence[str]) -> None:
    if label is not None and label not in names:
        raise UsageError(f'no column "{label}" to take labels from (columns: {", ".join(names)})')


def _general(
    args: argparse.Namespace, recordings: Iterator[Recording]
) -> tuple[Detector, Iterator[Recording], int]:
    """Make the general detector from the first rows of the recording, and return all of its rows again and the time of the
    last of the first; what was found goes to stderr."""
    import numpy

    from edgelstm.evidence_choice import is_constant
    from edgelstm.pretrained import ROWS_THAT_SAY_ALL, general_detector, history_rows

    first: list[Recording] = []
    count = 0
    while count < (args.history or ROWS_THAT_SAY_ALL) and (part := next(recordings, None)) is not None:
        first.append(part)
        count += len(part.values)
    rows = args.history or history_rows(count)
    if not 0 < rows <= count:
        raise UsageError(f"--history is {rows}, expected 1 to {count}, the rows of {args.recording}")
    watched = [_without(part, args.label)[0] for part in first]
    times_ns = numpy.concatenate([part.times_ns for part in watched])[:rows]
    values = numpy.concatenate([part.values for part in watched])[:rows]
    try:
        loaded, found = general_detector(watched[0].names, times_ns, values, args.budget or "1 per week")
    except UsageError:
        raise
    except EdgeLstmError as exc:
        raise type(exc)(f"{args.recording}: {exc}") from None
    columns = dict(zip(watched[0].names, values.T, strict=True))
    empty = [name for name, column in columns.items() if not numpy.isfinite(column).any()]
    still = [name for name, column in columns.items() if name not in empty and is_constant(column)]
    count = len(watched[0].names)
    print(
        f"edgelstm: general detector, {count} channel{'' if count == 1 else 's'} ({', '.join(watched[0].names)}); the first {rows} rows "
        f"are taken for normal; threshold {found.settings.threshold:.2f} for {found.settings.budget}"
        + (f"; never moved in them: {', '.join(still)}" if still else "")
        + (f"; no value in them: {', '.join(empty)}" if empty else ""),
        file=sys.stderr,
    )
    return loaded.detector(), chain(first, recordings), int(times_ns[-1])


class _Moves:
    """Whether any channel ever moves."""

    def __init__(self) -> None:
        self.any = False
        self._extremes: list[NDArray[np.float32]] = []

    def add(self, recording: Recording) -> None:
        import numpy

        if not self.any:
            known = numpy.where(numpy.isfinite(recording.values), recording.values, numpy.nan)
            rows = numpy.concatenate([*self._extremes, known])
            self._extremes = [numpy.fmin.reduce(rows)[None], numpy.fmax.reduce(rows)[None]]
            self.any = bool((self._extremes[0] < self._extremes[1]).any())


class _Extent:
    """The first and the last time."""

    def __init__(self) -> None:
        self._times_ns: list[int] = []

    def add(self, recording: Recording) -> None:
        found = [*self._times_ns, int(recording.times_ns.min()), int(recording.times_ns.max())]
        self._times_ns = [min(found), max(found)]

    @property
    def span_s(self) -> float:
        return (self._times_ns[1] - self._times_ns[0]) / 1e9


def _without(recording: Recording, label: str | None) -> tuple[Recording, NDArray[np.float32] | None]:
    """Take the column of labels out of a recording."""
    import dataclasses

    import numpy

    if label is None:
        return recording, None
    at = recording.names.index(label)
    names = recording.names[:at] + recording.names[at + 1 :]
    values = numpy.ascontiguousarray(numpy.delete(recording.values, at, axis=1))
    return dataclasses.replace(recording, names=names, values=values), recording.values[:, at]


def _curves(args: argparse.Namespace, detector: Detector, normal_until_ns: int | None) -> Curves | None:
    if not args.plot:
        return None
    from edgelstm.cli.score_plot import Curves

    return Curves(detector.channel_names, normal_until_ns)


def _scores_file(args: argparse.Namespace, stack: ExitStack) -> TextIO | None:
    """Open where the scores go, with its first row written; None where nobody asked for them."""
    if not args.scores:
        return None
    file: TextIO = sys.stdout
    if args.scores != "-":
        try:
            file = Path(args.scores).open("w", encoding="utf-8", newline="")  # noqa: SIM115  the stack closes it
            stack.callback(file.close)
        except OSError as exc:
            raise UsageError(f"{args.scores}: cannot be written: {exc.strerror}") from exc
    file.write("time_ns,score,threshold,state\n")
    return file


def _print_events(args: argparse.Namespace, detector: Detector, alerts: list[Alert]) -> None:
    from edgelstm.alert_payload import event_line

    for payload in _payloads(args, detector, alerts):
        print(_json_line(payload) if args.json else event_line(payload), flush=True)


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
    for time_ns, score, threshold, state in zip(
        recording.times_ns.tolist(),
        verdicts.scores.tolist(),
        verdicts.thresholds.tolist(),
        verdicts.states.tolist(),
        strict=True,
    ):
        file.write(f"{time_ns},{score!r},{threshold!r},{names[state]}\n" if state >= 0 else f"{time_ns},,,\n")


def _summary(detector: Detector, span_s: float, in_history: int) -> list[str]:
    from edgelstm.words import span

    counters, settings = detector.counters, detector.settings
    budget_s = settings.budget_samples * settings.period_ns / 1e9
    watched_s = counters["scored"] * settings.period_ns / 1e9
    lines = [
        f"{counters['samples']} samples over {span(span_s)}, {counters['scored']} scored; "
        + ", ".join(
            f"{counters[name]} {name.replace('_', ' ')}"
            for name in ("warming", "missing_values", "skipped", "late", "duplicates", "gaps", "resets")
            if counters[name]
        ),
        *(
            [
                f"{detector.saturated} with a value beyond what the network holds, which was limited"
                + (
                    ": this recording is unlike the history that the network was trained on"
                    if 2 * detector.saturated > counters["scored"]
                    else ""
                )
            ]
            if detector.saturated
            else []
        ),
        f"{counters['raised']} alert{'' if counters['raised'] == 1 else 's'} raised"
        + (f", {in_history} of them in what was taken for normal" if in_history else "")
        + f", {counters['adopted']} adopted as the new normal"
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
