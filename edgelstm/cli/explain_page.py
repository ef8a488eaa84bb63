"""The page of `edgelstm explain`: heat maps of signals, past samples, gates and cells, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import SIGNALS

if TYPE_CHECKING:
    from edgelstm.explanation import Explanation
    from edgelstm.sources.recording import Recording

WIDTH, LABELS, MOST_ROWS = 720, 130, 64
GATES = ("input gate", "forget gate", "new cell value", "output gate")


def render(found: Explanation, recording: Recording, model: str) -> str:
    """Return the page, with nothing outside it."""
    names = recording.names
    parts = [
        f"<h1>{escape(model)}, sample {found.row}</h1>",
        f"<p>score {found.verdict.score:.2f}, threshold {found.verdict.threshold:.2f}, {found.verdict.state}</p>",
        "<h2>What spoke</h2><p>surprise of every signal, −log₁₀ p, weighted</p>",
        _heat_map(found.surprises, names, SIGNALS, 0.0, 8.0),
        "<h2>Which samples</h2><p>by how much the score would fall without them; the newest are on the right</p>",
        _heat_map(found.occluded, names, (), 0.0, max(float(found.occluded.max()), 1e-9)),
    ]
    for layer, gates in found.gates.items():
        parts.append(
            f"<h2>Layer {escape(layer)}</h2><p>a row for each unit, the newest sample on the right</p>"
        )
        for name, gate in zip(GATES, gates, strict=True):
            low = -1.0 if name == "new cell value" else 0.0
            parts.append(f"<h3>{name}</h3>" + _heat_map(gate.T, (), (), low, 1.0))
        cell = found.cells[layer].T
        edge = max(float(np.abs(cell).max()), 1e-9)
        parts.append(f"<h3>cell, −{edge:.2g} to {edge:.2g}</h3>" + _heat_map(cell, (), (), -edge, edge))
    style = "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}svg{max-width:100%}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(model)}</title>'
        f"<style>{style}</style><body>{''.join(parts)}</body></html>\n"
    )


def _heat_map(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], low: float, high: float
) -> str:
    """Draw (rows, columns): white at `low`, or blue below and red above 0 where `low` is negative; grey where NaN."""
    values = values[:MOST_ROWS]
    height = 18 if rows else max(4, 240 // max(len(values), 1))
    left, top = (LABELS if rows else 0), (16 if columns else 0)
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
        f'<text x="0" y="{top + r * height + 13}" font-size="12">{escape(name[:20])}</text>'
        for r, name in enumerate(rows[:MOST_ROWS])
    ]
    drawn += [
        f'<text x="{left + c * width + 2:.1f}" y="12" font-size="11">{escape(name)}</text>'
        for c, name in enumerate(columns)
    ]
    total = top + height * len(values)
    return f'<svg viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}">{"".join(drawn)}</svg>'


def _colour(value: float, low: float, high: float) -> str:
    if value != value:
        return "#dddddd"
    if low < 0.0 and value < 0.0:
        depth = min(value / low, 1.0)
        return f"rgb({255 - 219 * depth:.0f},{255 - 169 * depth:.0f},{255 - 128 * depth:.0f})"
    depth = min(max(value / high, 0.0), 1.0)
    return f"rgb({255 - 27 * depth:.0f},{255 - 168 * depth:.0f},{255 - 209 * depth:.0f})"
