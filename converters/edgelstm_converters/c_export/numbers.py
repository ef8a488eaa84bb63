"""Numbers as C writes them."""

from __future__ import annotations

from collections.abc import Sequence

_WIDEST = 110
_LARGEST = 1.7976931348623157e308


def numbers(texts: Sequence[str]) -> str:
    """Return the lines of an initialiser."""
    lines, line = [], "   "
    for text in texts:
        if len(line) + len(text) + 2 > _WIDEST:
            lines.append(line)
            line = "   "
        line += f" {text},"
    return "\n".join([*lines, line])


def real(value: float) -> str:
    """Return a double as the shortest decimal that is read as it; the infinities as what is next to them."""
    return repr(min(max(float(value), -_LARGEST), _LARGEST))
