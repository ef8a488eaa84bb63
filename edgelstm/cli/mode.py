"""Whether a network carries its state or begins anew over windows: as asked for, as its file says, as answered, or by default."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from edgelstm.errors import InterruptError, UsageError

if TYPE_CHECKING:
    from edgelstm_converters import Conversion, Execution
    from edgelstm_converters.readers import Reading

MODES = ("stateful", "windowed")
TRIES = 3
OPTIONS = "--mode stateful, or --mode windowed --window N"
ENDED_BY_A_SYMBOL = ("sequence", "decoder")
QUESTION = """\
The file does not say how its state is to be run; on a stream that makes a difference:
  stateful  goes on from sample to sample: {one} an output. For a network trained with carried state or on long sequences
  windowed  begins anew over the last N samples for each output: {many} an output (--hop H divides that), exactly what it did in
            training. For a network trained on windows of N samples, each from a zero state: the usual recipe with Keras
No output is late in either; a window is full once N samples were seen.
"""
Answer = TypeVar("Answer")


class ModeChoice:
    """Decides how a network is run once its source is read; `reason` then says why.

    window  the samples that were asked for, known before: attention that has no end by itself is read with that one
    """

    def __init__(self, args: argparse.Namespace) -> None:
        if args.mode == "windowed" and args.window is None:
            raise UsageError("--mode windowed: how many samples does a window have? Say --window N")
        if args.mode == "stateful" and args.window is not None:
            raise UsageError("--window: belongs to --mode windowed")
        if args.window is not None and args.window < 1:
            raise UsageError(
                f"--window {args.window}: a window has 1 sample or more; without one it is --mode stateful"
            )
        self._args, self.window = args, args.window
        self._length: int | None = None
        self.reason = ""

    def __call__(self, reading: Reading) -> Execution:
        """Return how it is run; raises UsageError or InterruptError where a question is not answered."""
        from edgelstm_converters import Execution

        args, window, self._length = self._args, self._args.window or 0, reading.length
        if args.mode or args.window is not None:
            self.reason = "as asked for"
        elif reading.carried:
            self.reason = f"as the file says: {reading.carried}"
        elif self._is_open(reading) and sys.stdin.isatty() and sys.stderr.isatty():
            window, self.reason = ask(reading), "as answered"
        else:
            self.reason = "by default"
        return Execution(window, args.hop, args.uncertainty, args.dropout, args.lookahead)

    def _is_open(self, reading: Reading) -> bool:
        """Whether both modes are possible and differ, and no other option belongs to one of them."""
        args, model = self._args, reading.model
        if model.backward or model.span is not None:
            return False
        if any(layer.kind in ENDED_BY_A_SYMBOL for layer in model.layers):
            return False
        return args.hop == 1 and args.lookahead is None and not args.uncertainty and not args.dropout

    def told(self, conversion: Conversion) -> str:
        """Say which mode it is, why, and what that means for a network that was trained otherwise."""
        window = next((layer for layer in conversion.float_model.layers if layer.kind == "window"), None)
        span, asked = conversion.float_model.span, self._args.window
        if window is not None:
            length, hop = getattr(window, "length", 0), getattr(window, "hop", 1)
            often = f"at every {_nth(hop)} sample" if hop > 1 else "at every sample"
            return (
                f"windowed ({self.reason}): over the last {length} samples from its initial state, {often}, which is "
                f"{length / hop:g} steps a sample; what came before those samples has no part in an output"
            )
        if span is not None:
            same = f"an output rests on the newest {_samples(span)}, so any window of as many or more gives what a stream gives"
            return (
                f"windowed ({self.reason}), which is the same as stateful, to the bit: {same} after its first {span - 1}, and it "
                f"is run so, at 1 step a sample instead of {asked}"
                if asked
                else f"stateful, which is the same as windowed, to the bit: {same} after its first {span - 1}"
            )
        said = f"stateful ({self.reason}): its state goes on from sample to sample"
        if self.reason != "by default" or self._args.uncertainty:
            return said
        window_of = self._length or "N"
        fixed = f"The file fixes sequences of {self._length} samples. " if self._length else ""
        return (
            f"{said}. {fixed}Trained on windows of {window_of} samples, each from a zero state (the usual recipe with Keras)? "
            f"Then say --mode windowed --window {window_of}; docs/convert.md says how the two differ"
        )


def ask(reading: Reading) -> int:
    """Ask at the terminal; return the samples of a window, 0 for a carried state.

    Enter takes what the file suggests: a window where its sequences always have the same length, a carried state else.
    """
    from edgelstm.layers.window import MAX_LENGTH

    length = reading.length if reading.length and reading.length <= MAX_LENGTH else None
    default = "windowed" if length else "stateful"
    sys.stderr.write(QUESTION.format(one="1 step", many=f"{length or 'N'} steps"))
    if length:
        sys.stderr.write(f"Its sequences are fixed to {length} samples, which speaks for windows.\n")

    def mode(text: str) -> str:
        found = [name for name in MODES if name.startswith(text.lower() or default)]
        if len(found) != 1:
            raise ValueError("stateful or windowed")
        return found[0]

    def samples(text: str) -> int:
        if not text and length:
            return length
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_LENGTH):
            raise ValueError(f"a number of samples, 1 to {MAX_LENGTH}")
        return int(text)

    if _answer(f"stateful or windowed? [{default}] ", mode) == "stateful":
        return 0
    return _answer(
        f"how many samples has a window, as in training?{f' [{length}]' if length else ''} ", samples
    )


def _answer(prompt: str, parse: Callable[[str], Answer]) -> Answer:
    """Return what is answered; raises UsageError after the third that `parse` refuses, or at the end of the input."""
    for _ in range(TRIES):
        sys.stderr.write(prompt)
        sys.stderr.flush()
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            raise InterruptError("interrupted at the question; nothing was written") from None
        except UnicodeDecodeError:
            line = "?\n"
        if not line:
            sys.stderr.write("\n")
            raise UsageError(f"no answer to the question; nothing was written. Say {OPTIONS}")
        try:
            return parse(line.strip())
        except ValueError as exc:
            expected = str(exc)
            sys.stderr.write(f'"{line.strip()}" is no answer; expected {expected}\n')
    raise UsageError(f"{TRIES} answers that are none; nothing was written. Say {OPTIONS}")


def _samples(count: int) -> str:
    return "sample" if count == 1 else f"{count} samples"


def _nth(hop: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(hop, f"{hop}th")
