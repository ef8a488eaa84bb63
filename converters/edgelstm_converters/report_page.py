"""`convert --report`: one HTML page, with nothing to load beside it, that shows what int8 cost and where."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import UsageError
from edgelstm_converters import report

if TYPE_CHECKING:
    from edgelstm_converters.conversion import Conversion

Floats = NDArray[np.float32]
SHOWN_SAMPLES, MOST_OUTPUTS = 400, 6
WIDTH, HEIGHT, LEFT, BOTTOM = 860, 170, 66, 22
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; } p { margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #dde3ea; white-space: nowrap; }
th { color: #5b6b7c; font-weight: 600; white-space: normal; vertical-align: bottom; } .name { text-align: left; }
.low { color: #b3261e; font-weight: 600; } .quiet { color: #5b6b7c; } svg { display: block; max-width: 100%; }
.key { display: inline-block; width: 1.6em; height: .25em; vertical-align: middle; margin-right: .4em; }
"""
FLOAT, INT8, LOST = "#24567f", "#e4572e", "#3d3d3d"


def write(path: str, conversion: Conversion) -> None:
    """Write the page; raises UsageError where that cannot be done."""
    try:
        Path(path).write_text(page(conversion), encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"--report {path}: cannot be written: {exc.strerror}") from None


def page(conversion: Conversion) -> str:
    """Return the page as text."""
    model, provenance = conversion.model, conversion.model.provenance
    each = report.each_snr_db(conversion.found, conversion.exact)
    order = np.argsort(each)[:MOST_OUTPUTS]
    names = [output.name for output in model.outputs]
    told = report.told_of_proof(conversion.proof)
    parts = [
        f"<h1>{escape(model.name)}: int8 against float32</h1>",
        f'<p class="quiet">{escape(provenance.source)}, {escape(provenance.converter)}; {provenance.calibration_samples:,} '
        f"samples of {escape(provenance.calibration)}</p>",
        f"<p>{escape(told[0].upper() + told[1:])}.</p>",
        f"<p>Output signal to noise <b>{provenance.output_snr_db:.1f} dB</b>; weights rounded "
        f"{'as calibration says' if provenance.rounding == 'calibrated' else 'each to its nearest'}; "
        f"{conversion.clipped_inputs:,} of {conversion.samples.size:,} input values clipped "
        f"({100.0 * conversion.clipped_inputs / max(conversion.samples.size, 1):.2f} %).</p>",
        *_decisions(conversion),
        "<h2>Layers</h2>",
        _layers(conversion),
        "<h2>Outputs</h2>",
        _bars([names[n] for n in np.argsort(each)[:24]], np.sort(each)[:24]),
        f'<p class="quiet">{len(names)} {"outputs; those that lost most come first" if len(names) > 1 else "output"}.</p>',
        "<h2>The last samples</h2>",
        f'<p><span class="key" style="background:{FLOAT}"></span>float32 '
        f'<span class="key" style="background:{INT8};margin-left:1em"></span>int8 '
        f'<span class="key" style="background:{LOST};margin-left:1em"></span>difference, on a scale of its own</p>',
    ]
    for n in order:
        exact, found = (y[-SHOWN_SAMPLES:, n] for y in (conversion.exact, conversion.found))
        parts.append(f"<p><b>{escape(names[n])}</b>, {each[n]:.1f} dB</p>")
        parts.append(_lines([(exact, FLOAT), (found, INT8)], HEIGHT))
        parts.append(_lines([(found - exact, LOST)], HEIGHT // 2))
    spread = np.maximum(conversion.exact.std(axis=0), 1e-30)
    parts += [
        "<h2>How large the differences are</h2>",
        '<p class="quiet">In standard deviations of each output.</p>',
        _histogram((conversion.found - conversion.exact) / spread),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(model.name)}: int8 against float32</title>'
        f"<style>{STYLE}</style>\n{body}\n</html>\n"
    )


def _decisions(conversion: Conversion) -> list[str]:
    found = report.decisions(conversion.model, conversion.samples, conversion.found, conversion.exact)
    if found is None:
        return []
    return [
        f"<p>Forecasts off by more than {found.spreads:g} spreads: {found.by_float} of float32, {found.by_int8} of int8; "
        f"<b>{found.differ} of {found.judged:,} samples are judged differently</b>.</p>"
    ]


def _layers(conversion: Conversion) -> str:
    by_name = {errors.layer: errors for errors in conversion.model.provenance.layers}
    head = (
        "units",
        "weights, bytes",
        "multiply-adds a sample",
        "SNR",
        "max error",
        "saturated",
        "worst unit",
    )
    rows = [
        '<tr><th class="name">layer</th><th class="name">kind</th>'
        + "".join(f"<th>{text}</th>" for text in head)
        + "</tr>"
    ]
    for layer in conversion.model.layers:
        e = by_name[layer.name]
        low = ' class="low"' if e.snr_db < 30.0 else ""
        rows.append(
            f'<tr><td class="name">{escape(layer.name)}</td><td class="name">{layer.kind}</td><td>{layer.units}</td>'
            f"<td>{layer.weight_count:,}</td><td>{conversion.model.multiply_adds[layer.name]:,.0f}</td><td{low}>{e.snr_db:z.1f} dB</td><td>{e.max_error:.2g}</td><td>{e.saturated:,}</td>"
            f"<td>{e.worst}: {e.worst_snr_db:z.1f} dB</td></tr>"
        )
    layers = conversion.model.layers
    rows.append(
        f'<tr><td class="name"><b>all</b></td><td></td><td></td><td>{sum(layer.weight_count for layer in layers):,}</td>'
        f"<td>{sum(conversion.model.multiply_adds[layer.name] for layer in layers):,.0f}</td><td>{conversion.model.provenance.output_snr_db:z.1f} dB</td>"
        f"<td>{_largest(conversion):.2g}</td><td>{sum(e.saturated for e in by_name.values()):,}</td><td></td></tr>"
    )
    return f"<table>{''.join(rows)}</table>"


def _largest(conversion: Conversion) -> float:
    """Return the largest difference of any output."""
    return float(np.abs(conversion.found - conversion.exact).max(initial=0.0))


def _svg(height: int, inside: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-size="11" fill="#5b6b7c">{inside}</svg>'


def _lines(curves: list[tuple[Floats, str]], height: int) -> str:
    """Draw curves over samples, with the ends of their scale."""
    low, high = (float(end([end(values) for values, _ in curves])) for end in (min, max))
    span = (high - low) or 1.0
    drawn = []
    for values, colour in curves:
        x = LEFT + np.arange(len(values)) * (WIDTH - LEFT - 6) / max(len(values) - 1, 1)
        y = 8 + (high - values) / span * (height - 8 - BOTTOM)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
    labels = (
        f'<text x="{LEFT - 6}" y="14" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT - 6}" y="{height - BOTTOM}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT}" y="{height - 5}">the last {len(curves[0][0])} samples of calibration</text>'
    )
    return _svg(height, labels + "".join(drawn))


def _bars(names: list[str], values: NDArray[np.float64]) -> str:
    """Draw one bar for each output, in decibel."""
    top, step = max(float(values.max()), 60.0), 20
    drawn = []
    for n, (name, value) in enumerate(zip(names, values, strict=True)):
        length = max(float(value), 0.0) / top * (WIDTH - 220)
        drawn.append(
            f'<text x="134" y="{n * step + 14}" text-anchor="end">{escape(name[:22])}</text>'
            f'<rect x="140" y="{n * step + 4}" width="{length:.1f}" height="12" fill="{INT8 if value < 30 else FLOAT}"/>'
            f'<text x="{146 + length:.1f}" y="{n * step + 14}">{value:.1f} dB</text>'
        )
    return _svg(len(names) * step + 6, "".join(drawn))


def _histogram(differences: Floats) -> str:
    """Draw how often each size of difference occurs."""
    reach = float(np.abs(differences).max()) or 1.0
    counts, edges = np.histogram(differences, bins=61, range=(-reach, reach))
    width = (WIDTH - LEFT - 6) / len(counts)
    drawn = [
        f'<rect x="{LEFT + n * width:.1f}" y="{8 + (1 - c / counts.max()) * (HEIGHT - 8 - BOTTOM):.1f}" '
        f'width="{width - 1:.1f}" height="{c / counts.max() * (HEIGHT - 8 - BOTTOM):.1f}" fill="{LOST}"/>'
        for n, c in enumerate(counts)
    ]
    ends = "".join(
        f'<text x="{x}" y="{HEIGHT - 5}" text-anchor="{anchor}">{text}</text>'
        for x, anchor, text in (
            (LEFT, "start", f"{edges[0]:.3g}"),
            ((LEFT + WIDTH) // 2, "middle", "0"),
            (WIDTH - 6, "end", f"{edges[-1]:.3g}"),
        )
    )
    return _svg(HEIGHT, "".join(drawn) + ends)
