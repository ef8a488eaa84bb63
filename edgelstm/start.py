"""Where the program begins: Ctrl-C ends it without a word, also before the command line is there to say none."""

from __future__ import annotations

import signal

_at_python = signal.getsignal(signal.SIGINT)
if _at_python is signal.default_int_handler:  # else somebody wants it ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Run the command line."""
    from edgelstm import cli

    signal.signal(signal.SIGINT, _at_python)
    return cli.main()
