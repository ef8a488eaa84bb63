"""An explanation in words, as a plant engineer would say it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgelstm.alert_payload import timestamp
from edgelstm.detector_settings import SIGNALS, SURPRISE_CAP
from edgelstm.words import span

if TYPE_CHECKING:
    from edgelstm.detector_settings import DetectorSettings
    from edgelstm.explanation import Explanation

SMALLEST_SHOWN = 2.0
"""Of a signal beside the loudest one: one in a hundred samples."""

LEAST_RARE = 1.0
LEAST_SHARE = 0.05
SMALLEST_FALL = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """One channel in words.

    share   of the score
    value   what it is
    says    a sentence for every signal that spoke, the loudest first
    rare    how rare each is
    signals and surprises, weighted, of each
    past    which past samples did it; "" where none did more than others
    """

    channel: int
    name: str
    share: float
    value: str
    says: list[str]
    rare: list[str]
    signals: list[str]
    weighted: list[float]
    past: str


def tell(found: Explanation, names: Sequence[str], settings: DetectorSettings) -> list[Told]:
    """Return the channels that have a part in the score, the largest first; at least one."""
    weighted = found.weights * found.surprises
    powers = (weighted**4).sum(axis=1, where=weighted == weighted)
    total = float(powers.sum()) or 1.0
    order = sorted(range(len(names)), key=lambda c: -powers[c])
    return [
        _told(found, names[c], c, float(powers[c]) / total, settings)
        for n, c in enumerate(order)
        if n == 0 or powers[c] / total >= LEAST_SHARE
    ]


def headline(found: Explanation, told: Sequence[Told]) -> str:
    """Return the verdict in one sentence."""
    verdict = found.verdict
    who = " and ".join(one.name for one in told[:2])
    if verdict.state == "anomaly":
        return f"Alert: {who} {'do' if len(told) > 1 else 'does'} not behave as usual."
    if verdict.score > verdict.threshold:
        return f"No alert, but {who} {'do' if len(told) > 1 else 'does'} not behave as usual."
    return f"No alert: what is least usual is {told[0].name}."


def lines(found: Explanation, names: Sequence[str], row: int, settings: DetectorSettings) -> list[str]:
    """Return the explanation, line by line."""
    verdict = found.verdict
    said = [
        f"{timestamp(verdict.time_ns)}  sample {row}: score {verdict.score:.2f}, threshold {verdict.threshold:.2f}, "
        f"{verdict.state}"
    ]
    for one in tell(found, names, settings):
        said.append(f"{one.name}: {one.value}; share {100 * one.share:.0f} %")
        said += [
            f"  {signal:10s} {surprise:4.1f}  {says} ({rare})"
            for signal, surprise, says, rare in zip(
                one.signals, one.weighted, one.says, one.rare, strict=True
            )
        ]
        if one.past:
            said.append(f"  {one.past}")
    return said


def stretch(found: Explanation, part: int) -> tuple[int, int]:
    """Return the first and the last sample of an occluded part of the window."""
    samples, parts = len(found.times_ns), found.occluded.shape[1]
    each, more = divmod(samples, parts)
    first = part * each + min(part, more)
    return first, first + each + (part < more) - 1


def clock(time_ns: int, of_ns: int) -> str:
    """Return a time as a reader of this window needs it: without the day where that is the same."""
    whole, day = timestamp(time_ns), timestamp(of_ns)[:10]
    return whole[11:-1].removesuffix(".000") if whole[:10] == day else whole[:19].replace("T", " ")


def _told(found: Explanation, name: str, c: int, share: float, settings: DetectorSettings) -> Told:
    weighted = found.weights[c] * found.surprises[c]
    order = sorted(np.flatnonzero(np.isfinite(weighted)).tolist(), key=lambda n: -weighted[n])
    loud = [n for k, n in enumerate(order) if k == 0 or found.surprises[c, n] >= SMALLEST_SHOWN]
    return Told(
        channel=c,
        name=name,
        share=share,
        value=_value(float(found.values[-1, c])),
        says=[found.judgements[c][SIGNALS[n]].says for n in loud],
        rare=[rarity(float(found.surprises[c, n]), settings.period_ns) for n in loud],
        signals=[SIGNALS[n] for n in loud],
        weighted=[float(weighted[n]) for n in loud],
        past=_past(found, c),
    )


def _value(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else "missing"


def rarity(surprise: float, period_ns: int) -> str:
    """Return how often a normal signal is this unusual."""
    if surprise >= SURPRISE_CAP:
        return "far rarer than its history can tell"
    if surprise < LEAST_RARE:
        return "nothing rare"
    samples = float(f"{10.0**surprise:.1e}")  # two digits are more than a tail can tell
    return f"1 in {samples:,.0f}: once in {span(samples * period_ns / 1e9)} of normal running"


def _past(found: Explanation, c: int) -> str:
    falls = found.occluded[c]
    peak = int(falls.argmax())
    if falls[peak] <= SMALLEST_FALL:
        return ""
    first, last = (int(found.times_ns[n]) for n in stretch(found, peak))
    at = int(found.times_ns[-1])
    when = f"from {clock(first, at)} to {clock(last, at)}" if first < last else f"at {clock(first, at)}"
    return f"without its values {when} the score would be {falls[peak]:.1f} lower"
