"""The picture of `edgelstm score`: channels in panels, alerts shaded, darker where a channel has a part in one, score and threshold below."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.alert import Alert
from edgelstm.cli.picture import save
from edgelstm.sources.recording import Recording
from edgelstm.verdict import Verdicts

MOST_CHANNELS = 12
MOST_POINTS = 4000
MOST_HELD = 16 * MOST_POINTS
_SIGNAL, _SCORE, _ALERT, _LIMIT = "#24567f", "#3d3d3d", "#e4572e", "#b3261e"
LEAST_BLAMED = 0.2
_BEFORE = "#9aa5b1"
BEFORE = ("warm-up: not judged", "taken for normal")
"""What the beginning of a recording is, where the detector was there before and where it was made from it."""


class Curve:
    """A line over time, of which only extremes are kept where there is more than a picture can show."""

    def __init__(self) -> None:
        self._times: list[NDArray[np.datetime64]] = []
        self._values: list[NDArray[np.float64]] = []
        self._held = 0

    def add(self, times: NDArray[np.datetime64], values: NDArray[np.float64]) -> None:
        self._times.append(times)
        self._values.append(values)
        self._held += values.size
        if self._held > MOST_HELD:
            thinned = self.points()
            self._times, self._values, self._held = [thinned[0]], [thinned[1]], thinned[1].size

    def points(self) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
        return _thin(np.concatenate(self._times), np.concatenate(self._values))


class Curves:
    """What the picture is drawn from, part by part; what is held does not grow with the recording.

    normal_until_ns  up to when the recording itself was taken for normal; None: it was judged from the end of the warm-up on
    """

    def __init__(self, names: Sequence[str], normal_until_ns: int | None = None) -> None:
        self._names = list(names)
        self._channels = [Curve() for _ in names]
        self._score, self._threshold = Curve(), Curve()
        self._alerts: list[Alert] = []
        self._start: np.datetime64 | None = None
        self._end = np.datetime64(0, "ns")
        self._before, self._judged_from = BEFORE[normal_until_ns is not None], None
        if normal_until_ns is not None:
            self._judged_from = np.datetime64(normal_until_ns, "ns")

    def add(self, recording: Recording, verdicts: Verdicts) -> None:
        """Take in a part of the recording and its verdicts."""
        times = recording.times_ns.astype("datetime64[ns]")
        for curve, column in zip(self._channels, recording.values.T, strict=True):
            curve.add(times, column.astype(np.float64))
        self._score.add(times, verdicts.scores)
        self._threshold.add(times, verdicts.thresholds)
        self._alerts += verdicts.alerts
        self._start = times[0] if self._start is None else self._start
        self._end = times[-1]
        scored = np.flatnonzero(np.isfinite(verdicts.scores))
        if self._judged_from is None and scored.size:
            self._judged_from = times[scored[0]]

    def draw(self, path: str | os.PathLike[str], title: str) -> None:
        """Write the picture; raises UsageError where it cannot be written."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        save(self._figure(pyplot, title), path)

    def _figure(self, pyplot: Any, title: str) -> Any:
        from matplotlib import dates

        shown = _most_telling(self._names, self._alerts)
        figure, axes = pyplot.subplots(
            len(shown) + 1,
            1,
            sharex=True,
            squeeze=False,
            figsize=(11, 1.6 + 0.95 * len(shown) + 1.6),
            height_ratios=[1.0] * len(shown) + [1.8],
            layout="constrained",
        )
        panels = axes[:, 0]
        for panel, c in zip(panels, shown, strict=False):
            panel.plot(*self._channels[c].points(), color=_SIGNAL, linewidth=0.7)
            panel.set_ylabel(self._names[c], rotation=0, ha="right", va="center", fontsize=8)
        self._draw_score(panels[-1])
        self._draw_before(panels)
        for start, end, shares in _spans(self._alerts, self._end):
            for panel, share in zip(
                panels, [*(shares.get(self._names[c], 0.0) for c in shown), 1.0], strict=True
            ):
                depth = 0.3 if share >= LEAST_BLAMED else 0.1
                panel.axvspan(start, end, color=_ALERT, alpha=depth, linewidth=0)
                panel.axvline(start, color=_ALERT, linewidth=0.8, alpha=0.8)
        for panel in panels:
            panel.tick_params(labelsize=7)
            panel.yaxis.set_major_locator(pyplot.MaxNLocator(3))
            panel.grid(axis="x", color="#dddddd", linewidth=0.5)
            for side in ("top", "right"):
                panel.spines[side].set_visible(False)
        locator = dates.AutoDateLocator()
        panels[-1].xaxis.set_major_locator(locator)
        panels[-1].xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        panels[-1].xaxis.get_offset_text().set_fontsize(8)
        panels[-1].set_xlabel("time (UTC)", fontsize=8)
        raised = sum(alert.event_type == "raised" for alert in self._alerts)
        left_out = len(self._names) - len(shown)
        figure.suptitle(
            f"{title}: {raised} alert{'' if raised == 1 else 's'}"
            + (f" ({left_out} channels with the least part in them not shown)" if left_out else ""),
            fontsize=10,
        )
        return figure

    def _draw_before(self, panels: Any) -> None:
        """Mark what comes before the first sample that is judged."""
        for panel in panels:
            panel.axvspan(self._start, self._judged_from or self._end, color=_BEFORE, alpha=0.3, linewidth=0)
        panels[0].annotate(self._before, (self._start, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 2),
                           textcoords="offset points", fontsize=7, color=_SCORE)  # fmt: skip

    def _draw_score(self, panel: Any) -> None:
        panel.plot(*self._score.points(), color=_SCORE, linewidth=0.7, label="score")
        panel.plot(*self._threshold.points(), color=_LIMIT, linewidth=1.1, linestyle="--", label="threshold")
        panel.set_ylabel("score", rotation=0, ha="right", va="center", fontsize=8)
        panel.set_ylim(bottom=0.0)
        panel.legend(loc="upper left", fontsize=7, frameon=False, ncols=2)


def _most_telling(names: list[str], alerts: list[Alert]) -> list[int]:
    """Return the channels to show, in order: all, or those with the largest shares of the alerts."""
    if len(names) <= MOST_CHANNELS:
        return list(range(len(names)))
    shares = np.zeros(len(names))
    for alert in alerts:
        for reason in alert.channels:
            shares[names.index(reason.name)] += reason.share
    return sorted(np.argsort(-shares, kind="stable")[:MOST_CHANNELS].tolist())


def _spans(
    alerts: list[Alert], end: np.datetime64
) -> Iterator[tuple[np.datetime64, np.datetime64, dict[str, float]]]:
    """Yield when every alert was open, and the largest share of each channel in what it said until it was cleared."""
    opened, shares = None, dict[str, float]()
    for alert in alerts:
        if alert.event_type == "cleared":
            if opened is not None:
                yield opened, np.datetime64(alert.time_ns, "ns"), shares
            opened = None
            continue
        if alert.event_type == "raised":
            opened, shares = np.datetime64(alert.time_ns, "ns"), {}
        for reason in alert.channels:
            shares[reason.name] = max(shares.get(reason.name, 0.0), reason.share)
    if opened is not None:
        yield opened, end, shares


def _thin(
    times: NDArray[np.datetime64], values: NDArray[np.float64]
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Return at most about MOST_POINTS points that keep every extreme: the least and largest of each stretch."""
    stretch = len(values) // (MOST_POINTS // 2)
    if stretch < 2:
        return times, values
    count = len(values) // stretch * stretch
    blocks = values[:count].reshape(-1, stretch)
    filled = np.where(np.isfinite(blocks), blocks, np.inf), np.where(np.isfinite(blocks), blocks, -np.inf)
    places = np.stack([filled[0].argmin(axis=1), filled[1].argmax(axis=1)], axis=1)
    places = np.sort(places, axis=1) + np.arange(len(blocks))[:, None] * stretch
    chosen = places.reshape(-1)
    return times[chosen], values[chosen]
