"""Pictures of an explanation as SVG: a bar, a channel with its expected band, heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edgelstm.words import number

WIDTH, LABELS, MOST_ROWS = 780, 170, 64
HEIGHT, LEFT, TOP, BOTTOM = 170, 64, 8, 22
MOST_LETTERS = 9
INK, BAND, ALARM, QUIET = "#24567f", "#d7e6d0", "#c5352b", "#5b6670"


def score_bar(score: float, threshold: float) -> str:
    """Draw the score as a bar with the threshold across it."""
    end = 1.08 * max(score, threshold, 1e-9)
    at, limit = score / end * WIDTH, threshold / end * WIDTH
    colour = ALARM if score > threshold else INK
    return (
        f'<svg viewBox="0 0 {WIDTH} 26" width="{WIDTH}" height="26"><rect x="0" y="4" width="{WIDTH}" height="18" fill="#eef1f3"/>'
        f'<rect x="0" y="4" width="{at:.1f}" height="18" fill="{colour}"/>'
        f'<line x1="{limit:.1f}" x2="{limit:.1f}" y1="0" y2="26" stroke="#1d2730" stroke-width="2"><title>threshold</title></line></svg>'
    )


def channel_picture(
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    judged: NDArray[np.float64],
    band: NDArray[np.float64],
    ends: tuple[str, str],
) -> str:
    """Draw a channel over the window: values, what was judged of them, its expected band, what is outside, the moment itself.

    judged  (samples,)    the values, or a mean of the last ones; NaN where nothing was judged
    band    (2, samples)  NaN where nothing was expected
    ends    the first and the last time, as text
    """
    x = values.astype(np.float64)
    known = np.isfinite(x)
    means = bool((np.isfinite(judged) & (judged != x)).any())
    low, high = _range(np.concatenate([x[known], band[np.isfinite(band)]]), x[known])
    at = LEFT + (times_ns - times_ns[0]) / max(float(times_ns[-1] - times_ns[0]), 1.0) * (WIDTH - LEFT - 10)

    def up(value: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (np.clip(value, low, high) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - 10}" height="{HEIGHT - BOTTOM - TOP}" fill="#f7f8f9"/>']  # fmt: skip
    for stretch in _stretches(np.isfinite(band[0]) & np.isfinite(band[1])):
        edge = [
            *_points(at[stretch], up(band[1][stretch])),
            *_points(at[stretch], up(band[0][stretch]))[::-1],
        ]
        parts.append(f'<polygon fill="{BAND}" points="{" ".join(edge)}"><title>expected</title></polygon>')
    for stretch in _stretches(known):
        line = " ".join(_points(at[stretch], up(x[stretch])))
        stroke = f'stroke="{INK}" stroke-opacity=".45"' if means else f'stroke="{INK}" stroke-width="1.5"'
        parts.append(f'<polyline fill="none" {stroke} points="{line}"/>')
    for stretch in _stretches(np.isfinite(judged)) if means else ():
        line = " ".join(_points(at[stretch], up(judged[stretch])))
        parts.append(f'<polyline fill="none" stroke="{INK}" stroke-width="2" points="{line}"/>')
    heights = up(np.nan_to_num(judged))
    with np.errstate(invalid="ignore"):
        outside = (judged < band[0]) | (judged > band[1])
    for n in np.flatnonzero(outside).tolist():
        parts.append(
            f'<circle cx="{at[n]:.1f}" cy="{heights[n]:.1f}" r="2.6" fill="{ALARM}"><title>{judged[n]:.4g}</title></circle>'
        )
    if np.isfinite(judged[-1]):
        parts.append(
            f'<circle cx="{at[-1]:.1f}" cy="{heights[-1]:.1f}" r="5.5" fill="none" stroke="{ALARM}" stroke-width="2"/>'
        )
    parts += [
        _text(LEFT - 6, TOP + 10, _short(high, high - low), "end"),
        _text(LEFT - 6, HEIGHT - BOTTOM, _short(low, high - low), "end"),
        _text(LEFT, HEIGHT - 6, ends[0]),
        _text(WIDTH - 10, HEIGHT - 6, ends[1], "end"),
        _text(
            (LEFT + WIDTH) / 2,
            HEIGHT - 6,
            f"{'thick: its mean; ' if means else ''}green: expected, red: outside of it",
            "middle",
        ),
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{"".join(parts)}</svg>'


def heat_map(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], low: float, high: float
) -> str:
    """Draw (rows, columns): white at `low`, or blue below and red above 0 where `low` is negative; grey where NaN."""
    values = values[:MOST_ROWS]
    height = 22 if rows else max(4, 240 // max(len(values), 1))
    left, top = (LABELS if rows else 0), (18 if columns else 0)
    width = (WIDTH - left) / max(values.shape[1], 1)
    drawn = []
    for r, row in enumerate(values):
        for c, value in enumerate(row.tolist()):
            title = "not used" if value != value else f"{value:.3g}"
            drawn.append(
                f'<rect x="{left + c * width:.1f}" y="{top + r * height}" width="{width + 0.3:.1f}" height="{height}" '
                f'fill="{_colour(value, low, high)}"><title>{title}</title></rect>'
            )
    drawn += [
        _text(left - 8, top + r * height + 15, name if len(name) <= 24 else f"{name[:23]}…", "end")
        for r, name in enumerate(rows[:MOST_ROWS])
    ]
    every = max(1, -(-max((len(name) for name in columns), default=1) * 7 // max(int(width), 1)))
    drawn += [_text(left + c * width + 2, 12, columns[c]) for c in range(0, len(columns), every)]
    total = top + height * len(values)
    return f'<svg viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}">{"".join(drawn)}</svg>'


def _short(value: float, span: float) -> str:
    """Return a value that fits beside a picture."""
    said = number(value, span)
    return said if len(said) <= MOST_LETTERS else f"{value:.3g}"


def _range(shown: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Return what is drawn: the values and their band, of which no more than four times the values' own range on each side."""
    if not values.size:
        return 0.0, 1.0
    span = float(np.ptp(values)) or abs(float(values[0])) or 1.0
    low = max(float(shown.min()), float(values.min()) - 4.0 * span)
    high = min(float(shown.max()), float(values.max()) + 4.0 * span)
    margin = 0.05 * (high - low) or 0.5 * span
    return low - margin, high + margin


def _stretches(flags: NDArray[np.bool_]) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[str]:
    return [f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-size="12" fill="{QUIET}" text-anchor="{anchor}">{escape(text)}</text>'


def _colour(value: float, low: float, high: float) -> str:
    if value != value:
        return "#dddddd"
    if low < 0.0 and value < 0.0:
        depth = min(value / low, 1.0)
        return f"rgb({255 - 219 * depth:.0f},{255 - 169 * depth:.0f},{255 - 128 * depth:.0f})"
    depth = min(max(value / high, 0.0), 1.0)
    return f"rgb({255 - 27 * depth:.0f},{255 - 168 * depth:.0f},{255 - 209 * depth:.0f})"
