"""Numbers and lengths of time as a person says them."""

from __future__ import annotations

import math

MOST_DECIMALS = 9
LARGEST_WRITTEN_OUT = 1e12


def span(seconds: float) -> str:
    """Return a length of time as a person says it."""
    for name, unit in (("years", 31_557_600.0), ("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2.0 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} seconds"


def number(value: float, step: float) -> str:
    """Return a number as finely as needed where a difference of `step` matters: two digits of it are shown."""
    if not (math.isfinite(step) and step > 0.0) or abs(value) >= LARGEST_WRITTEN_OUT:
        return f"{value:.4g}"
    decimals = max(1 - math.floor(math.log10(step)), 0)
    if decimals > MOST_DECIMALS:
        return f"{value:.4g}"
    said = f"{value:.{decimals}f}"
    said = said.rstrip("0").rstrip(".") if "." in said else said
    return "0" if said == "-0" else said
