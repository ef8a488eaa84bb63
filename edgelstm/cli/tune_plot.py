"""The picture of a search: error against bytes and against latency, with the front of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgelstm.cli.picture import save

if TYPE_CHECKING:
    from edgelstm_converters.training.tuning import Target, Tried


def draw(path: str, tried: list[Tried], chosen: Tried, target: Target, error_name: str) -> None:
    """Write the picture of all networks; raises UsageError where it cannot be written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, panels = pyplot.subplots(1, 2, sharey=True, figsize=(10, 4), layout="constrained")
    for panel, name, field in zip(
        panels, (target.bytes_name, target.latency_name), ("bytes", "latency"), strict=True
    ):
        places = [(getattr(one, field), one.error) for one in tried]
        panel.scatter(*zip(*places, strict=True), s=14, color="#24567f", label="tried")
        best = lower_left(places)
        best.append((max(x for x, _ in places), best[-1][1]))  # what is larger and no better ends there
        panel.step(*zip(*best, strict=True), where="post", color="#b3261e", linewidth=0.8, label="front")
        panel.scatter([getattr(chosen, field)], [chosen.error], s=70, facecolors="none", edgecolors="#e4572e",
                      label="chosen")  # fmt: skip
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.xaxis.set_major_formatter(
            ticker.FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1.0 else f"{x:g}")
        )
        panel.xaxis.set_minor_locator(ticker.NullLocator())
        panel.set_xlabel(name)
    panels[0].set_ylabel(error_name)
    panels[1].legend(frameon=False)
    save(figure, path)


def lower_left(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the places that none is left of and below, from left to right."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(places):
        if not kept or y < kept[-1][1]:
            kept.append((x, y))
    return kept
