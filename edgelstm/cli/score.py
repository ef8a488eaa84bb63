"""edgelstm score: the daemon's own detector over a recording."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm.alert import Alert
    from edgelstm.detector import Detector
    from edgelstm.sources.recording import Recording
    from edgelstm.verdict import Verdicts

SUMMARY = "run the detector over a recording: events, scores, plot"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model file with a detector")
    parser.add_argument("recording", metavar="DATA", help="CSV or NPZ, .gz too")
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
    loaded = load(args.model)
    detector = loaded.detector()
    recording = read(args.recording, loaded.channel_names, period_s=args.period, time_column=args.time_column)
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
    return 0


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
