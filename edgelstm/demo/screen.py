"""What the demonstration shows: a table that is drawn again in a terminal, or lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from edgelstm.demo.watcher import STARTING, Seen

BAR = 24
PLAIN_EVERY_S = 2.0


class Screen:
    """Prints news as lines and the state of the nodes as a table below them; `plain` prints lines only."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self._drawn = 0
        self._last_s = -PLAIN_EVERY_S
        self._started_s = time.monotonic()

    def say(self, text: str = "") -> None:
        self._erase()
        stamp = f"[{time.monotonic() - self._started_s:5.1f} s] " if text else ""
        print(f"{stamp}{text}", flush=True)

    def show(self, nodes: Iterable[Seen]) -> None:
        """Draw the table again, or, without a terminal, print a line now and then once there is something to see."""
        if self._plain:
            nodes = list(nodes)
            if all(node.state == STARTING for node in nodes):
                return
            if time.monotonic() - self._last_s >= PLAIN_EVERY_S:
                self._last_s = time.monotonic()
                self.say("   ".join(_short(node) for node in nodes))
            return
        lines = [
            "",
            f"  {'node':8}{'samples/s':>10}  {'score / threshold':<{BAR + 16}}state",
            *map(_row, nodes),
            "",
        ]
        self._erase()
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self._drawn = len(lines)

    def leave(self) -> None:
        """Keep the table that stands as the last one."""
        self._drawn = 0

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0


def _row(node: Seen) -> str:
    if node.score is None or node.threshold is None:
        return f"  {node.name:8}{node.rate_hz:10.1f}  {'':{BAR + 16}}{node.state}"
    filled = min(BAR, round(BAR * node.score / node.threshold))
    bar = "#" * filled + "." * (BAR - filled)
    fault = f"   ({node.fault} since {time.monotonic() - (node.fault_s or 0):.0f} s)" if node.fault else ""
    numbers = f"{node.score:5.2f} / {node.threshold:.2f}"
    return f"  {node.name:8}{node.rate_hz:10.1f}  {bar} {numbers:<15}{node.state}{fault}"


def _short(node: Seen) -> str:
    score = "" if node.score is None else f", score {node.score:.2f} / {node.threshold:.2f}"
    return f"{node.name}: {node.rate_hz:.1f} samples/s{score}, {node.state}"
