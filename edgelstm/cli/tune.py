"""`edgelstm tune`: search for the smallest network that is good enough, then train it and make it a detector."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgelstm.cli import train as train_verb
from edgelstm.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from edgelstm_converters.training.tuning import Tried

SUMMARY = "search over networks, resumable, and train the smallest that is nearly as good as the best"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    train_verb.configure_data(parser)
    parser.add_argument(
        "--trials", type=int, default=30, metavar="N", help="networks to try, earlier runs counted (30)"
    )
    parser.add_argument("--study", metavar="FILE|URL",
                        help="where the search is kept: a file, or a database that machines share (MODEL.study)")  # fmt: skip
    parser.add_argument("--tolerance", type=float, default=0.02, metavar="NATS",
                        help="how far from the best loss the smallest network may be (0.02)")  # fmt: skip
    parser.add_argument("--epochs", type=int, metavar="N", help="of every trial, at most (as edgelstm train)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (0)")
    parser.add_argument("--plot", metavar="PNG", help="all networks: loss against bytes, and the front")


def run(args: argparse.Namespace) -> int:
    """Search, print the front, train the chosen network."""
    train_verb.expect_torch()
    for package, extra in (("optuna", "tune"), *((("matplotlib", "plot"),) if args.plot else ())):
        if importlib.util.find_spec(package) is None:
            raise UnavailableError(
                f'tuning needs {package}: install it with: pip install "edgelstm[{extra}]"'
            )
    if not 1 <= args.trials <= 100_000:
        raise UsageError(f"--trials is {args.trials}, expected 1 to 100000")
    if not 0.0 <= args.tolerance <= 10.0:
        raise UsageError(f"--tolerance is {args.tolerance}, expected 0 to 10")
    from edgelstm_converters.training import TrainingSettings
    from edgelstm_converters.training.tuning import choose, front, search

    task = train_verb.task_of(args)
    base = TrainingSettings(task=task, seed=args.seed, epochs=args.epochs or 0)  # type: ignore[arg-type]
    output = train_verb.expect_folder(args.output)
    data = train_verb.read_data(args, base)
    try:
        tried = search(
            data,
            base,
            args.trials,
            args.study or f"{args.output}.study",
            lambda line: print(line, file=sys.stderr, flush=True),
        )
    except KeyboardInterrupt:
        print("\nedgelstm: interrupted; the same command goes on", file=sys.stderr)
        return 130
    chosen = choose(tried, args.tolerance)
    best = front(tried)
    for one in best:
        print(f"  {_describe(one)}{'  <- chosen' if one is chosen else ''}")
    if chosen not in best:
        print(f"  {_describe(chosen)}  <- chosen")
    if args.plot:
        draw(args.plot, tried, chosen)
        print(f"written: {args.plot}")
    return train_verb.train_and_write(args, chosen.settings, data, output, output.with_suffix(".html"))


def _describe(one: Tried) -> str:
    chosen = one.settings
    return (
        f"{one.bytes:8,} bytes  {one.step_ns / 1e3:7.2f} us  loss {one.loss:8.4f}  "
        f"{chosen.cell} {chosen.layers} x {chosen.hidden}"
    )


def draw(path: str, tried: list[Tried], chosen: Tried) -> None:
    """Write the picture of all networks; raises UsageError where it cannot be written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from edgelstm_converters.training.tuning import front

    figure, (left, right) = pyplot.subplots(1, 2, sharey=True, figsize=(10, 4), layout="constrained")
    panels = (
        (left, "bytes of weights", "bytes", 1.0),
        (right, "us a sample on this machine", "step_ns", 1e-3),
    )
    for panel, name, field, unit in panels:
        panel.scatter(
            [unit * getattr(one, field) for one in tried], [one.loss for one in tried], s=14, color="#24567f"
        )
        panel.scatter(
            [unit * getattr(chosen, field)], [chosen.loss], s=60, facecolors="none", edgecolors="#e4572e"
        )
        panel.set_xscale("log")
        panel.set_xlabel(name)
    best = front(tried)
    left.plot([one.bytes for one in best], [one.loss for one in best], color="#b3261e", linewidth=0.8)
    left.set_ylabel("validation loss")
    try:
        figure.savefig(Path(path), dpi=130)
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path}: cannot be written: {exc}") from exc
    finally:
        pyplot.close(figure)
