"""The picture of `edgelstm score`: channels in panels, alerts shaded, score and threshold below."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.alert import Alert
from edgelstm.errors import UsageError
from edgelstm.sources.recording import Recording
from edgelstm.verdict import Verdicts

MOST_CHANNELS = 12
MOST_POINTS = 4000
_SIGNAL, _SCORE, _ALERT, _LIMIT = "#24567f", "#3d3d3d", "#e4572e", "#b3261e"


def draw(path: str | os.PathLike[str], recording: Recording, verdicts: Verdicts, title: str) -> None:
    """Write the picture; raises UsageError where it cannot be written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import dates, pyplot

    times = recording.times_ns.astype("datetime64[ns]")
    shown = _most_telling(recording, verdicts.alerts)
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
        at, values = _thin(times, recording.values[:, c].astype(np.float64))
        panel.plot(at, values, color=_SIGNAL, linewidth=0.7)
        panel.set_ylabel(recording.names[c], rotation=0, ha="right", va="center", fontsize=8)
    _draw_score(panels[-1], times, verdicts)
    for start, end in _spans(verdicts.alerts, times[-1]):
        for panel in panels:
            panel.axvspan(start, end, color=_ALERT, alpha=0.18, linewidth=0)
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
    panels[-1].set_xlabel("time (UTC)", fontsize=8)
    raised = sum(alert.event_type == "raised" for alert in verdicts.alerts)
    left_out = len(recording.names) - len(shown)
    figure.suptitle(
        f"{title}: {raised} alert{'' if raised == 1 else 's'}"
        + (f" ({left_out} channels with the least part in them not shown)" if left_out else ""),
        fontsize=10,
    )
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path}: cannot be written: {exc}") from exc
    finally:
        pyplot.close(figure)


def _draw_score(panel: Any, times: NDArray[np.datetime64], verdicts: Verdicts) -> None:
    at, scores = _thin(times, verdicts.scores)
    panel.plot(at, scores, color=_SCORE, linewidth=0.7, label="score")
    at, thresholds = _thin(times, verdicts.thresholds)
    panel.plot(at, thresholds, color=_LIMIT, linewidth=1.1, linestyle="--", label="threshold")
    panel.set_ylabel("score", rotation=0, ha="right", va="center", fontsize=8)
    panel.set_ylim(bottom=0.0)
    panel.legend(loc="upper left", fontsize=7, frameon=False, ncols=2)


def _most_telling(recording: Recording, alerts: list[Alert]) -> list[int]:
    """Return the channels to show, in order: all, or those with the largest shares of the alerts."""
    names = list(recording.names)
    if len(names) <= MOST_CHANNELS:
        return list(range(len(names)))
    shares = np.zeros(len(names))
    for alert in alerts:
        for reason in alert.channels:
            shares[names.index(reason.name)] += reason.share
    return sorted(np.argsort(-shares, kind="stable")[:MOST_CHANNELS].tolist())


def _spans(alerts: list[Alert], end: np.datetime64) -> Iterator[tuple[np.datetime64, np.datetime64]]:
    opened = None
    for alert in alerts:
        if alert.event_type == "raised":
            opened = np.datetime64(alert.time_ns, "ns")
        elif alert.event_type == "cleared" and opened is not None:
            yield opened, np.datetime64(alert.time_ns, "ns")
            opened = None
    if opened is not None:
        yield opened, end


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
