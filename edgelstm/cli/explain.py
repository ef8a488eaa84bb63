"""`edgelstm explain`: why the detector said what it said at one time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.cli.output import expect_output
from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm.detector import Detector
    from edgelstm.sources.recording import Parts, Recording

SUMMARY = "say why the detector said what it said at one time: signals, past samples, gates"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model file with a detector")
    parser.add_argument("recording", metavar="DATA", help="CSV, Parquet or NPZ, .gz too")
    parser.add_argument(
        "--at", required=True, metavar="TIME", help="time of the sample, as in the recording, or row:N"
    )
    parser.add_argument("--window", type=int, default=60, metavar="N", help="samples to look back (60)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="HTML",
        help="a page with pictures of channels, past samples, gates and cells",
    )
    parser.add_argument("--period", type=float, metavar="S", help="time between rows of a file without times")
    parser.add_argument("--time-column", metavar="NAME", help="column of times (found by name)")


def run(args: argparse.Namespace) -> int:
    """Explain one sample: the text to stdout, the pictures to a page."""
    from edgelstm.cli.explain_text import lines
    from edgelstm.explanation import explain
    from edgelstm.sources.recording import parts
    from edgelstm.stream import load

    if not 1 <= args.window <= 100_000:
        raise UsageError(f"--window is {args.window}, expected 1 to 100000")
    if args.output:
        expect_output(args.output, [args.model, args.recording])
    place = Place(args.at, args.recording)
    loaded = load(args.model)
    detector = loaded.detector()
    with parts(
        args.recording, detector.channel_names, period_s=args.period, time_column=args.time_column
    ) as opened:
        window, row = walk(opened, place, detector, args.window)
        for note in opened.notes:
            print(f"edgelstm: {note}", file=sys.stderr)
    found = explain(loaded, detector, window.times_ns, window.values)
    print("\n".join(lines(found, window.names, row, detector.settings)))
    if args.output:
        from edgelstm.cli.explain_page import render

        try:
            page = render(found, window.names, row, detector.settings, loaded.model.name)
            Path(args.output).write_text(page, encoding="utf-8")
        except OSError as exc:
            raise UsageError(f"{args.output}: cannot be written: {exc.strerror}") from None
        print(f"written: {args.output}")
    return 0


class Place:
    """Which sample is asked for: row N, or the first at a time or after it."""

    def __init__(self, text: str, path: str) -> None:
        from edgelstm.sources.time_text import to_ns

        self._text, self._path = text, path
        self._row = int(text[4:]) if text.startswith("row:") and text[4:].isdigit() else None
        self._time_ns = 0
        if self._row is None:
            try:
                self._time_ns = to_ns(text)
            except (ValueError, OverflowError):
                raise UsageError(
                    f'--at is "{text}", which is no time; write 2026-01-31T12:00:00Z, seconds since 1970, or row:N'
                ) from None

    def within(self, part: Recording, first_row: int) -> int | None:
        """Return where in a part, which begins at `first_row`, the sample is; None where it is not in it."""
        if self._row is not None:
            at = self._row - first_row
            return at if at < len(part.values) else None
        if first_row == 0 and self._time_ns < part.times_ns[0]:
            from edgelstm.alert_payload import timestamp

            raise self.missing(0, f", which begins at {timestamp(int(part.times_ns[0]))}")
        later = (part.times_ns >= self._time_ns).nonzero()[0]
        return int(later[0]) if later.size else None

    def missing(self, rows: int, extent: str) -> UsageError:
        """Return the error of a sample that is not there."""
        if self._row is not None:
            return UsageError(
                f'--at is "{self._text}", expected row:0 to row:{rows - 1}, the samples of {self._path}'
            )
        return UsageError(f"--at {self._text} is not within {self._path}{extent}")


def walk(opened: Parts, place: Place, detector: Detector, length: int) -> tuple[Recording, int]:
    """Give the detector all that is before the window; return the window, at most `length` samples, and its last row's number.

    What is held is a part and a window: the file may be larger than memory.
    """
    import dataclasses

    import numpy as np

    from edgelstm.alert_payload import timestamp

    held: Recording | None = None
    rows = 0
    for part in opened:
        if held is not None:
            joined = (
                np.concatenate([a, b])
                for a, b in ((held.times_ns, part.times_ns), (held.values, part.values))
            )
            times_ns, values = joined
        else:
            times_ns, values = part.times_ns, part.values
        before = len(values) - len(part.values)
        at = place.within(part, rows)
        end = len(values) if at is None else before + at + 1
        start = max(end - length, 0)
        detector.push_block(times_ns[:start], values[:start])
        held = dataclasses.replace(part, times_ns=times_ns[start:end], values=values[start:end])
        if at is not None:
            return held, rows + at
        rows += len(part.values)
    extent = "" if held is None else f", which ends at {timestamp(int(held.times_ns[-1]))}"
    raise place.missing(rows, extent)
