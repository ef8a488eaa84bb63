"""How good the detector is on labelled collections, against trivial baselines on the same rows.

    EDGELSTM_DATA=folder python bench/detection/run.py skab            one of: nab, skab, wells, spacecraft, ecg, all
    ... run.py skab --models general0.elstm general1.elstm general2.elstm    seeds of the general detector, mean and each
    ... run.py spacecraft --trained FOLDER --seeds 0 1 2         a network for each file too, trained on its history
    ... run.py skab --float general0.pt                                also on the float network (slow: plain Python)

Nothing is fitted to labels, every score is causal, and one setting serves a whole collection. Where there are several
files, the score is also given for the two halves of them apart.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if "--float" in sys.argv:
    os.environ["NUMBA_DISABLE_JIT"] = "1"

from detectors import BASELINES, realised, watch
from event_score import alone

import edgelstm
from edgelstm.machine import describe, print_header
from edgelstm.pretrained import GENERAL

COLLECTIONS = ("nab", "skab", "wells", "spacecraft", "ecg")


def evaluate(module, cases, loaded) -> tuple[dict, list]:
    """Return the scores of one detector, on all files, on either half, with its realised alarm rate; and its alerts."""
    started = time.monotonic()
    watched = [watch(loaded, case, module.BUDGET, apart=True, **module.SETTINGS) for case in cases]
    alerting = watched
    if module.SETTINGS.get(
        "scores_only"
    ):  # the protocol judges scores; how often it would have alarmed is judged apart
        alerting = [watch(loaded, case, module.BUDGET, apart=True) for case in cases]
    found = module.score(cases, watched) | realised(cases, alerting)
    if len(cases) > 3:
        for name, half in (("first half", slice(0, None, 2)), ("second half", slice(1, None, 2))):
            part = module.score(cases[half], watched[half])
            found[f"{module.HEADLINE}, {name}"] = part[module.HEADLINE]
    return found | {"seconds": time.monotonic() - started}, alerting


def evaluate_trained(module, seed: int, folder: Path) -> dict:
    """Return the scores with a network for each case, trained on its history; networks are kept in `folder`."""
    from trained import model_of

    started = time.monotonic()
    cases = module.load(True)
    watched = [
        watch(
            model_of(case, seed, folder / module.__name__), case, module.BUDGET, apart=False, **module.TRAINED
        )
        for case in cases
    ]
    found = module.score(cases, watched) | realised(cases, watched)
    for name, half in (("first half", slice(0, None, 2)), ("second half", slice(1, None, 2))):
        found[f"{module.HEADLINE}, {name}"] = module.score(cases[half], watched[half])[module.HEADLINE]
    return found | {"seconds": time.monotonic() - started}


def mean(results: Sequence[dict]) -> dict:
    return {name: sum(one[name] for one in results) / len(results) for name in results[0]}


def show(name: str, scores: dict) -> None:
    print(f"  {name:24s}" + "  ".join(f"{key} {value:.3g}" for key, value in scores.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", choices=[*COLLECTIONS, "all"])
    parser.add_argument(
        "--models", nargs="+", default=[str(GENERAL)], help="general detectors, one for each seed"
    )
    parser.add_argument(
        "--trained", type=Path, metavar="FOLDER", help="train a network for each file; kept there"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of --trained (0 1 2)")
    parser.add_argument("--float", metavar="PT", help="the float network of the first model, its state_dict")
    parser.add_argument("--json", metavar="FILE", help="write the report there as well")
    args = parser.parse_args()
    machine = describe("torch")
    print_header("detection quality", machine)
    report = {"machine": machine, "models": [edgelstm.load(path).digest for path in args.models]}
    for name in COLLECTIONS if args.collection == "all" else [args.collection]:
        module = importlib.import_module(name)
        cases = module.load()
        print(f"{name}: {len(cases)} files, budget {module.BUDGET}, {module.SETTINGS or 'no other setting'}")
        found = {b: module.score(cases, [one(case, 0) for case in cases]) for b, one in BASELINES.items()}
        seeds, alerts = zip(
            *[evaluate(module, cases, edgelstm.load(path)) for path in args.models], strict=True
        )
        found |= {f"general, int8, {n}": one for n, one in enumerate(seeds)}
        if len(seeds) > 1:
            found["general, int8, mean"] = mean(seeds)
        if args.trained and hasattr(module, "TRAINED"):
            seeds = [evaluate_trained(module, seed, args.trained) for seed in args.seeds]
            found |= {f"trained, int8, {n}": one for n, one in zip(args.seeds, seeds, strict=True)}
            found["trained, int8, mean"] = mean(seeds)
        if args.float:
            found["general, float32"] = on_float(module, cases, args.models[0], args.float, alerts[0])
        for which, scores in found.items():
            show(which, scores)
        report[name] = {
            which: {key: value if value == value else None for key, value in scores.items()}
            for which, scores in found.items()
        }
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


def on_float(module, cases, model: str, network_path: str, integer_alerts: list) -> dict:
    """Evaluate with the float network in the place of the int8 one, and count alerts that only one of both raised."""
    import torch
    from float_network import float_step

    from edgelstm.kernels.detection import chain
    from edgelstm_converters.training.general import HIDDEN, INPUTS
    from edgelstm_converters.training.network import Network
    from edgelstm_converters.training.settings import TrainingSettings

    network = Network(TrainingSettings(task="classify", hidden=HIDDEN), len(INPUTS), 2)
    network.load_state_dict(torch.load(network_path, weights_only=True))
    integer_step, chain.execute_block = chain.execute_block, float_step(network)
    try:
        scores, alerts = evaluate(module, cases, edgelstm.load(model))
    finally:
        chain.execute_block = integer_step
    ours, theirs = alone(integer_alerts, alerts), alone(alerts, integer_alerts)
    return scores | {"alerts of either": ours[0] + theirs[0], "of one only": ours[1] + theirs[1]}


if __name__ == "__main__":
    main()
