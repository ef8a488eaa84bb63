"""`edgelstm tune`: search for the smallest network that is good enough, then train it and make it a detector."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from typing import TYPE_CHECKING

from edgelstm.cli import train as train_verb
from edgelstm.cli.output import expect_model_output
from edgelstm.cli.picture import expect_picture
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
    parser.add_argument("--target", default="host", metavar="CORE",
                        help="what bytes and latency are counted on: host, or a core such as cortex-m4 (host)")  # fmt: skip
    parser.add_argument("--tolerance", type=float, default=0.02, metavar="X",
                        help="how far from the best loss, or score of labels, the smallest network may be (0.02)")  # fmt: skip
    parser.add_argument("--epochs", type=int, metavar="N", help="of every trial, at most (as edgelstm train)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (0)")
    parser.add_argument("--plot", metavar="PICTURE", help="all networks: loss against bytes, and the front")


def run(args: argparse.Namespace) -> int:
    """Search, print the front, train the chosen network."""
    train_verb.expect_torch()
    if importlib.util.find_spec("optuna") is None:
        raise UnavailableError('tuning needs optuna: install it with: pip install "edgelstm[tune]"')
    if not 1 <= args.trials <= 100_000:
        raise UsageError(f"--trials is {args.trials}, expected 1 to 100000")
    if not 0.0 <= args.tolerance <= 10.0:
        raise UsageError(f"--tolerance is {args.tolerance}, expected 0 to 10")
    from edgelstm.cli.tune_target import target_of
    from edgelstm_converters.training import TrainingSettings
    from edgelstm_converters.training.trial_error import measure_of
    from edgelstm_converters.training.tuning import choose, front, labels_are_mute, search

    target = target_of(args.target)
    task: str = args.task or "forecast"
    if task == "classify" and not args.label:
        raise UsageError("--task classify needs --label NAME, the column to learn")
    base = TrainingSettings(task=task, seed=args.seed, epochs=args.epochs or 0)  # type: ignore[arg-type]
    output = expect_model_output(args.output, [args.data])
    report = train_verb.expect_report(output.with_suffix(".html"), output, args.data)
    if args.plot:
        expect_picture(args.plot, [args.data, output, report])
    data = train_verb.read_data(args, base)
    try:
        tried = search(
            data,
            base,
            args.trials,
            args.study or f"{args.output}.study",
            lambda line: print(line, file=sys.stderr, flush=True),
            target=target,
            budget=args.budget,
        )
    except KeyboardInterrupt:
        print("\nedgelstm: interrupted; the same command goes on", file=sys.stderr)
        return 130
    chosen = choose(tried, args.tolerance)
    best = front(tried)
    measure = measure_of(data, task, args.budget)
    if labels_are_mute(tried):
        print(f"  no network has an {measure.name} above 0: chosen by the loss")
    print(f"  {target.bytes_name}, {target.latency_name}:")
    for one in best if chosen in best else [*best, chosen]:
        print(f"  {_describe(one, measure.name)}{'  <- chosen' if one is chosen else ''}")
    if args.plot:
        from edgelstm.cli.tune_plot import draw

        draw(args.plot, tried, chosen, target, measure.error_name)
        print(f"written: {args.plot}")
    return train_verb.train_and_write(args, chosen.settings, data, output, report)


def _describe(one: Tried, judged_by: str) -> str:
    chosen = one.settings
    judged = f"{judged_by} {1.0 - one.error:.3f}  " if judged_by else ""
    return (
        f"{one.bytes:8,}  {one.latency:10,.{2 if one.latency < 1000 else 0}f}  {judged}loss {one.loss:8.4f}  "
        f"{chosen.cell} {chosen.layers} x {chosen.hidden}"
    )
