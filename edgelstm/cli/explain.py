"""`edgelstm explain`: why the detector said what it said at one time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm.explanation import Explanation
    from edgelstm.sources.recording import Recording

SUMMARY = "say why the detector said what it said at one time: signals, past samples, gates"
WORDS = {
    "error": "the value is far from its forecast",
    "error_mean": "forecasts have been bad for some samples",
    "level": "the level has moved",
    "season": "it is not what it is at this time of its season",
    "novelty": "the value is outside all that was seen",
    "repeat": "the sensor repeats one value",
    "logit": "the network itself takes it for a fault",
}
"""Every signal as a plant engineer would say it."""

SMALLEST_SHOWN = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model file with a detector")
    parser.add_argument("recording", metavar="DATA", help="CSV, Parquet or NPZ, .gz too")
    parser.add_argument(
        "--at", required=True, metavar="TIME", help="time of the sample, as in the recording, or row:N"
    )
    parser.add_argument("--window", type=int, default=60, metavar="N", help="samples to look back (60)")
    parser.add_argument(
        "-o", "--output", metavar="HTML", help="a page with pictures of gates, cells and past samples"
    )
    parser.add_argument("--period", type=float, metavar="S", help="time between rows of a file without times")
    parser.add_argument("--time-column", metavar="NAME", help="column of times (found by name)")


def run(args: argparse.Namespace) -> int:
    """Explain one sample: the text to stdout, the pictures to a page."""
    from edgelstm.explanation import explain
    from edgelstm.sources.recording import read
    from edgelstm.stream import load

    if not 1 <= args.window <= 100_000:
        raise UsageError(f"--window is {args.window}, expected 1 to 100000")
    loaded = load(args.model)
    loaded.detector()
    recording = read(args.recording, loaded.channel_names, period_s=args.period, time_column=args.time_column)
    row = _row(recording, args.at, args.recording)
    found = explain(loaded, recording.times_ns, recording.values, row, length=args.window)
    print("\n".join(_text(found, recording)))
    if args.output:
        from edgelstm.cli.explain_page import render

        try:
            Path(args.output).write_text(render(found, recording, loaded.model.name), encoding="utf-8")
        except OSError as exc:
            raise UsageError(f"{args.output}: cannot be written: {exc.strerror}") from None
        print(f"written: {args.output}")
    return 0


def _row(recording: Recording, text: str, path: str) -> int:
    """Return the row that a time or row:N names: the first at that time or after it."""
    from edgelstm.sources.time_text import to_ns

    count = len(recording.times_ns)
    if text.startswith("row:"):
        if not text[4:].isdigit() or int(text[4:]) >= count:
            raise UsageError(f'--at is "{text}", expected row:0 to row:{count - 1}, the samples of {path}')
        return int(text[4:])
    try:
        time_ns = to_ns(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f'--at is "{text}", which is no time; write 2026-01-31T12:00:00Z, seconds since 1970, or row:N'
        ) from None
    later = (recording.times_ns >= time_ns).nonzero()[0]
    if not later.size or time_ns < recording.times_ns[0]:
        raise UsageError(f"--at {text} is not within {path}")
    return int(later[0])


def _text(found: Explanation, recording: Recording) -> list[str]:
    from edgelstm.alert_payload import timestamp
    from edgelstm.detector_settings import SIGNALS

    verdict = found.verdict
    lines = [
        f"{timestamp(verdict.time_ns)}  sample {found.row}: score {verdict.score:.2f}, threshold {verdict.threshold:.2f}, "
        f"{verdict.state}"
    ]
    reasons = {reason.name: reason for reason in verdict.channels}
    order = sorted(range(len(recording.names)), key=lambda c: -_most(found, c))
    for c in order:
        if _most(found, c) < SMALLEST_SHOWN and c != order[0]:
            continue
        name = recording.names[c]
        reason = reasons.get(name)
        band = (
            f", expected {reason.expected:.4g} ({reason.low:.4g} to {reason.high:.4g}), share {100 * reason.share:.0f} %"
            if reason is not None
            and reason.expected is not None
            and reason.low is not None
            and reason.high is not None
            else ""
        )
        lines.append(f"{name}: {recording.values[found.row, c]:.4g}{band}")
        for n, signal in enumerate(SIGNALS):
            if found.surprises[c, n] >= SMALLEST_SHOWN:
                lines.append(
                    f"  {signal:10s} {found.surprises[c, n]:4.1f}  {WORDS[signal]} (1 in {10 ** found.surprises[c, n]:,.0f})"
                )
        peak = int(found.occluded[c].argmax())
        if found.occluded[c, peak] > 0.1:
            length = found.row - found.window + 1
            ago = length - (peak + 1) * length // found.occluded.shape[1]
            lines.append(
                f"  without its samples around {ago} ago the score would be {found.occluded[c, peak]:.1f} lower"
            )
    return lines


def _most(found: Explanation, channel: int) -> float:
    known = found.surprises[channel][found.surprises[channel] == found.surprises[channel]]
    return float(known.max()) if known.size else 0.0
