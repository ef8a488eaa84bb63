"""The report of a training: one HTML page with nothing outside it, pictures drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edgelstm.model import Model
from edgelstm_converters.training.self_check import DEVIATIONS
from edgelstm_converters.training.workflow import Trained

WIDTH, HEIGHT, MARGIN = 640, 180, 36
MOST_POINTS = 1200
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}td.n{text-align:right}
svg{max-width:100%;height:auto;background:#fafafa}h2{margin-top:2rem}small{color:#666}.warning{color:#b3261e}"""


def render(trained: Trained, title: str) -> str:
    """Return the page: data seen, learning curves, error, residuals, what would have alarmed, int8 against float."""
    data, model = trained.data, trained.model
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{trained.settings.task}, {trained.settings.cell} {trained.settings.layers} x {trained.settings.hidden}, "
        f"{len(trained.history)} epochs, {trained.seconds:.0f} s, seed {trained.settings.seed}.</p>",
        "<h2>Data</h2>",
        _table(
            ("", ""),
            [
                ("channels", ", ".join(data.names)),
                ("rows", f"{len(data.values):,}: {data.split.train:,} trained on, then "
                         f"{data.split.validate - data.split.train:,} to validate and "
                         f"{data.split.rows - data.split.validate:,} to test"),
                ("period", f"{data.period_ns / 1e9:g} s"),
            ],
        ),
        "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in data.notes) + "</ul>",
        "<h2>Learning curves</h2>",
        _lines(
            [
                ("training", np.array([loss for loss, _ in trained.history])),
                ("validation", np.array([loss for _, loss in trained.history])),
            ],
            "epoch",
        ),
    ]  # fmt: skip
    if trained.errors:
        warned = [f'<p class="warning">{escape(line)}.</p>' for line in trained.warnings]
        parts += ["<h2>Error on the test stretch</h2>", *warned, _errors(trained)]
    if trained.residuals.size:
        parts += ["<h2>Residuals</h2>", _histogram(trained.residuals)]
    if trained.metrics is not None and trained.float_metrics is not None:
        parts += ["<h2>Classes on the test stretch</h2>", _classes(trained)]
    if trained.found is not None:
        parts += [
            "<h2>What would have alarmed</h2>",
            f"<p>{trained.alerts} {'alert' if trained.alerts == 1 else 'alerts'} on the test stretch{', and one that was open when it begins' if trained.alerting else ''}; the budget ({escape(trained.found.settings.budget)}) allows "
            f"{trained.test_budget:.2g} there. Threshold {trained.found.settings.threshold:.2f}.</p>",
            _lines([("score", trained.scores)], "sample", level=trained.found.settings.threshold),
        ]
    if trained.agreement is not None:
        parts.append(f"<p>Against the labels: {escape(trained.agreement.line)}.</p>")
    if trained.checks:
        parts += ["<h2>What it finds</h2>", _checks(trained)]
    snr = model.provenance.output_snr_db
    parts += [
        "<h2>int8 against float</h2>",
        f"<p>output {snr:.1f} dB from the float network.</p>" if snr is not None else "",
        _layers(model),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><body>{body}</body></html>\n"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _errors(trained: Trained) -> str:
    rows = [
        (name, f"{exact:.4g}", f"{integer:.4g}", f"{last:.4g}", f"{integer / last:.2f}" if last > 0 else "")
        for name, (exact, integer, last) in trained.errors.items()
    ]
    return _table(("channel", "float32", "int8", "last value repeated", "int8 / last value"), rows)


def _layers(model: Model) -> str:
    """Return the table of what each layer costs, and lost."""
    errors = {found.layer: found for found in model.provenance.layers}
    rows = [
        (
            layer.name, f"{layer.weight_count:,}", f"{model.multiply_adds[layer.name]:,.0f}", f"{found.snr_db:.1f}",
            f"{found.max_error:.2g}", f"{found.saturated:,}", f"{found.worst}: {found.worst_snr_db:z.1f} dB",
        )
        for layer in model.layers if (found := errors.get(layer.name))
    ]  # fmt: skip
    return _table(
        (
            "layer",
            "int8 bytes",
            "multiply-adds a sample",
            "SNR dB",
            "largest error",
            "saturated",
            "worst unit",
        ),
        rows,
    )


def _classes(trained: Trained) -> str:
    found, exact = trained.metrics, trained.float_metrics
    assert found is not None and exact is not None
    rows = [
        (
            name,
            *(f"{of:.3f}" if of == of else "unknown" for of in (getattr(exact, name), getattr(found, name))),
        )
        for name in ("accuracy", "precision", "recall", "f1", "auc")
    ]
    classes = trained.data.classes
    confusion = [(f"is {classes[n]}", *map(str, row.tolist())) for n, row in enumerate(found.confusion)]
    return _table(("", "float32", "int8"), rows) + _table(
        ("", *(f"said {name}" for name in classes)), confusion
    )


def _checks(trained: Trained) -> str:
    rows = [
        (one.kind, f"{one.found} of {one.count}", f"{one.delay + 1:.0f}" if one.found else "")
        for one in trained.checks
    ]
    return (
        f"<p>Faults put into the test stretch, one at a time, each in one channel: a level shift of {DEVIATIONS:g} deviations, a value "
        "that repeats, noise, and values of the channel's own from another time, which no longer go with the other channels.</p>"
        + _table(("fault", "found", "samples until half of those"), rows)
    )


def _lines(curves: Sequence[tuple[str, NDArray[np.float64]]], axis: str, level: float | None = None) -> str:
    colours = ("#24567f", "#e4572e")
    known = np.concatenate([values[np.isfinite(values)] for _, values in curves])
    if not known.size:
        return "<p><small>nothing to draw</small></p>"
    low, high = float(known.min()), max(float(known.max()), level or -np.inf)
    span = (high - low) or 1.0
    drawn = []
    for (name, values), colour in zip(curves, colours, strict=False):
        at, shown = _thin(values)
        x = MARGIN + at / max(values.size - 1, 1) * (WIDTH - 2 * MARGIN)
        y = HEIGHT - MARGIN / 2 - (shown - low) / span * (HEIGHT - MARGIN)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        drawn.append(
            f'<polyline fill="none" stroke="{colour}" points="{points}"><title>{name}</title></polyline>'
        )
    if level is not None:
        at_level = HEIGHT - MARGIN / 2 - (level - low) / span * (HEIGHT - MARGIN)
        drawn.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{at_level:.1f}" y2="{at_level:.1f}" stroke="#b3261e" '
                     'stroke-dasharray="4"><title>threshold</title></line>')  # fmt: skip
    legend = ", ".join(
        f'<span style="color:{c}">{n}</span>' for (n, _), c in zip(curves, colours, strict=False)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{"".join(drawn)}'
        f'<text x="2" y="14" font-size="11">{high:.3g}</text>'
        f'<text x="2" y="{HEIGHT - 8}" font-size="11">{low:.3g}</text></svg><p><small>{legend}, by {axis}</small></p>'
    )


def _thin(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return places and values to draw: of every stretch its largest, so that no peak is lost."""
    known = np.flatnonzero(np.isfinite(values))
    stretches = np.array_split(known, min(MOST_POINTS, known.size))
    places = np.array([part[np.argmax(values[part])] for part in stretches if part.size], np.int64)
    return places, values[places]


def _histogram(residuals: NDArray[np.float32]) -> str:
    seen = residuals[np.isfinite(residuals)]
    edge = max(float(np.quantile(np.abs(seen), 0.999)), 1e-9)
    counts, _ = np.histogram(np.clip(seen, -edge, edge), bins=61, range=(-edge, edge))
    width = (WIDTH - 2 * MARGIN) / counts.size
    bars = "".join(
        f'<rect x="{MARGIN + n * width:.1f}" y="{HEIGHT - MARGIN / 2 - h:.1f}" width="{width - 0.5:.1f}" '
        f'height="{h:.1f}" fill="#24567f"/>'
        for n, h in enumerate(counts / max(counts.max(), 1) * (HEIGHT - MARGIN))
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{bars}'
        f'<text x="2" y="{HEIGHT - 8}" font-size="11">-{edge:.2g}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" font-size="11">{edge:.2g}</text></svg>'
        "<p><small>all channels, int8, in deviations of the channel</small></p>"
    )
