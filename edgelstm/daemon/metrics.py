"""The numbers of the daemon as Prometheus text: labels are bounded, so there is none per stream."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Mapping

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


class Histogram:
    """Durations counted by upper bound; any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        with self._lock:
            self._counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
            self._sum_s += seconds

    def lines(self, name: str) -> list[str]:
        with self._lock:
            counts, total_s = list(self._counts), self._sum_s
        lines, below = [f"# TYPE {name} histogram"], 0
        for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], counts, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {total_s:.6f}", f"{name}_count {below}"]


def page(
    counters: Mapping[str, int],
    gauges: Mapping[str, float],
    histograms: Mapping[str, Histogram],
    models: Mapping[str, str],
) -> str:
    """Return the page; a name may end in labels, as `edgelstm_mqtt_connected{link="in"}`."""
    from edgelstm import __version__

    lines = ["# TYPE edgelstm_build_info gauge", f'edgelstm_build_info{{version="{__version__}"}} 1']
    lines += ["# TYPE edgelstm_model_active gauge"]
    lines += [
        f'edgelstm_model_active{{model="{_escaped(name)}",version="{digest[:12]}"}} 1'
        for name, digest in models.items()
    ]
    for name, count in counters.items():
        lines += [f"# TYPE edgelstm_{name}_total counter", f"edgelstm_{name}_total {count}"]
    typed = set()
    for name, value in gauges.items():
        family = name.partition("{")[0]
        if family not in typed:
            typed.add(family)
            lines.append(f"# TYPE {family} gauge")
        lines.append(f"{name} {value:g}")
    for name, histogram in histograms.items():
        lines += histogram.lines(name)
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
