"""The page of `edgelstm explain`: first for who runs the plant, then, folded away, what went on inside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgelstm.alert_payload import timestamp
from edgelstm.cli.explain_picture import channel_picture, heat_map, score_bar
from edgelstm.cli.explain_text import clock, headline, stretch, tell
from edgelstm.detector_settings import SIGNALS

if TYPE_CHECKING:
    from edgelstm.cli.explain_text import Told
    from edgelstm.detector_settings import DetectorSettings
    from edgelstm.explanation import Explanation

GATES = ("input gate", "forget gate", "new cell value", "output gate")
MOST_CHANNELS = 6
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1d2730}
h1{font-size:1.6rem;line-height:1.25;margin-bottom:.2rem}h2{margin:2rem 0 .3rem;font-size:1.15rem}h3{margin:1rem 0 .2rem;font-size:1rem}
svg{max-width:100%;height:auto;display:block}p{margin:.3rem 0}ul{margin:.3rem 0;padding-left:1.2rem}
.small{color:#5b6670;font-size:.87rem}.share{color:#5b6670;font-weight:normal}
details{margin-top:2.5rem;border-top:1px solid #d5dbe0;padding-top:.8rem}summary{cursor:pointer;font-weight:600}
@media print{details{display:none}}"""


def render(found: Explanation, names: Sequence[str], row: int, settings: DetectorSettings, model: str) -> str:
    """Return the page, with nothing outside it."""
    told = tell(found, names, settings)
    verdict = found.verdict
    moment = timestamp(verdict.time_ns).replace("T", " ").removesuffix("Z").removesuffix(".000")
    body = [
        f"<h1>{escape(headline(found, told))}</h1>",
        f'<p class="small">{moment} UTC, row {row} of the recording, model {escape(model)}</p>',
        score_bar(verdict.score, verdict.threshold),
        f'<p class="small">How unusual this moment is: {verdict.score:.1f}, where an alert begins at {verdict.threshold:.1f}; '
        f"each 1 more is ten times rarer. False alerts allowed: {escape(settings.budget)}.</p>",
    ]
    for one in told[:MOST_CHANNELS]:
        body += _channel(found, one)
    others = [name for name in names if name not in {one.name for one in told[:MOST_CHANNELS]}]
    if others:
        body.append(f'<p class="small">Next to no part in it: {escape(", ".join(others))}.</p>')
    body += _past(found, told[:MOST_CHANNELS])
    body += _inside(found, names)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(model)}, {moment}</title>'
        f"<style>{_STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _channel(found: Explanation, one: Told) -> list[str]:
    reasons = "".join(
        f'<li>It {escape(says)} <span class="small">({escape(rare)})</span></li>'
        for says, rare in zip(one.says, one.rare, strict=True)
    )
    return [
        f'<h2>{escape(one.name)} <span class="share">{100 * one.share:.0f} % of the score</span></h2>',
        f"<p>Its value is <b>{escape(one.value)}</b>.</p>",
        f"<ul>{reasons}</ul>" if reasons else "",
        channel_picture(
            found.times_ns,
            found.values[:, one.channel],
            found.judged[:, one.channel],
            found.bands[:, :, one.channel],
            (clock(int(found.times_ns[0]), int(found.times_ns[-1])), clock(int(found.times_ns[-1]), int(found.times_ns[-1]))),
        ),
    ]  # fmt: skip


def _past(found: Explanation, told: Sequence[Told]) -> list[str]:
    falls = found.occluded[[one.channel for one in told]]
    largest = float(falls.max(initial=0.0))
    if largest <= 0.0:
        return []
    last = int(found.times_ns[-1])
    starts = [clock(int(found.times_ns[stretch(found, p)[0]]), last) for p in range(falls.shape[1])]
    sentences = "".join(f"<li>{escape(one.name)}: {escape(one.past)}</li>" for one in told if one.past)
    return [
        "<h2>Which moments did it</h2>",
        f"<p>By how much the score would be lower, had the channel been as usual then: dark is {largest:.1f}.</p>",
        heat_map(falls, [one.name for one in told], starts, 0.0, largest),
        f"<ul>{sentences}</ul>" if sentences else "",
    ]


def _inside(found: Explanation, names: Sequence[str]) -> list[str]:
    parts = [
        "<details><summary>What went on inside: signals, gates, cells</summary>",
        "<h2>Signals</h2><p>Surprise of every signal, −log₁₀ p times its weight; grey: not used.</p>",
        heat_map(found.weights * found.surprises, names, SIGNALS, 0.0, 8.0),
    ]
    for layer, gates in found.gates.items():
        parts.append(
            f"<h2>Layer {escape(layer)}</h2><p>A row for each unit, the newest sample on the right.</p>"
        )
        for name, gate in zip(GATES, gates, strict=True):
            low = -1.0 if name == "new cell value" else 0.0
            parts.append(f"<h3>{name}, {low:g} to 1</h3>" + heat_map(gate.T, (), (), low, 1.0))
        cell: NDArray[np.float64] = found.cells[layer].T
        edge = max(float(np.abs(cell).max()), 1e-9)
        parts.append(f"<h3>cell, −{edge:.2g} to {edge:.2g}</h3>" + heat_map(cell, (), (), -edge, edge))
    return [*parts, "</details>"]
