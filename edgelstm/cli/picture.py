"""Pictures by matplotlib: whether one can be written is asked before any work is done for it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgelstm.cli.output import expect_output
from edgelstm.errors import UnavailableError, UsageError


def expect_picture(path: str, read: Iterable[str | os.PathLike[str] | None]) -> None:
    """Raise UsageError where a picture cannot be written to a path, UnavailableError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UnavailableError('--plot needs matplotlib: install it with: pip install "edgelstm[plot]"')
    expect_output(path, read)
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    ending = Path(path).suffix
    if ending.removeprefix(".").lower() not in kinds:
        said = f"{ending} is no kind of picture that matplotlib writes" if ending else "has no ending"
        raise UsageError(f"--plot {path}: {said}; name it .png, .svg or .pdf")


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure and let it go; raises UsageError where it cannot be written."""
    from matplotlib import pyplot

    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"{path}: cannot be written: {(isinstance(exc, OSError) and exc.strerror) or exc}"
        ) from exc
    finally:
        pyplot.close(figure)
