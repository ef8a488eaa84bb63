"""What a collection's figures become when its settings are varied: what is bought with what.

    EDGELSTM_DATA=folder python bench/detection/curve.py wells reach=0.25,1,2 threshold=3,4,5
    ... curve.py nab readout_memory=off,5000 --trained FOLDER [--seed 1]      a network for each file, trained on its history
    ... curve.py skab budget="1 per 6 h,1 per day" recovery_ratio=off,0.2,0.3 --model general1.elstm

Every combination is one row: the figures of all files, and in brackets those of either half of them, files taken in turn.
Settings are those of the collection but for what is named; `signals=error+repeat` listens to these alone, each in full.
"""

import argparse
import importlib
import itertools
import sys
from pathlib import Path

from detectors import watch
from trained import those_with_networks

import edgelstm
from edgelstm.pretrained import GENERAL

COLLECTIONS = ("skab", "wells", "spacecraft", "ecg", "nab")
FIGURES = {
    "skab": ("F1", "FAR %", "MAR %", "changepoint"),
    "wells": ("found", "false", "false per hour"),
    "spacecraft": ("F0.5", "found", "false"),
    "ecg": ("AUC", "false"),
    "nab": ("standard, held back", "standard, in-sample"),
}


def values_of(text: str) -> tuple[str, list[str]]:
    """Return the name and the values of NAME=VALUE,VALUE."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        sys.exit(f'curve: "{text}": expected NAME=VALUE,VALUE such as threshold=3,4,5')
    return name, values.split(",")


def settings_of(chosen: dict[str, str]) -> dict:
    """Return the settings that a row changes; None where one is left out."""
    found: dict = {}
    for name, value in chosen.items():
        if name == "budget":
            continue
        if name == "signals":
            found["weights"] = dict.fromkeys(value.split("+"), 1.0)
        elif value == "off":
            found[name] = None
        else:
            try:
                found[name] = int(value) if value.isdigit() else float(value)
            except ValueError:
                sys.exit(f'curve: {name}={value}: expected a number, or "off" to leave the setting out')
    return found


def row(module, cases, networks, apart: bool, chosen: dict[str, str]) -> str:
    """Return the figures of one combination, of all files and of either half."""
    frozen = module.SETTINGS if apart else getattr(module, "TRAINED", module.SETTINGS)
    settings = frozen | settings_of(chosen)
    settings = {name: value for name, value in settings.items() if value is not None}
    budget = chosen.get("budget", module.BUDGET)
    watched = [
        watch(loaded, case, budget, apart=apart, **settings)
        for loaded, case in zip(networks, cases, strict=True)
    ]
    parts = [module.score(cases, watched)]
    if len(cases) > 3:
        parts += [module.score(cases[half], watched[half]) for half in (slice(0, None, 2), slice(1, None, 2))]
    texts = []
    for name in FIGURES[module.__name__]:
        whole, *halves = (f"{part[name]:.4g}" for part in parts)
        texts.append(f"{name} {whole}" + (f" ({', '.join(halves)})" if halves else ""))
    return "  ".join(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", choices=COLLECTIONS)
    parser.add_argument("vary", nargs="+", metavar="NAME=VALUE,VALUE", help="a setting and what it is to be")
    parser.add_argument("--model", default=str(GENERAL), help="another seed of the general detector")
    parser.add_argument(
        "--trained", type=Path, metavar="FOLDER", help="train a network for each file; kept there"
    )
    parser.add_argument("--seed", type=int, default=0, help="of --trained (0)")
    args = parser.parse_args()
    module, varied = importlib.import_module(args.collection), dict(values_of(text) for text in args.vary)
    cases, apart = module.load(), args.trained is None
    networks = [edgelstm.load(args.model)] * len(cases)
    if args.trained:
        cases = module.load(True) if hasattr(module, "TRAINED") else cases
        cases, networks, left_out = those_with_networks(cases, args.seed, args.trained / args.collection)
        print(*left_out, f"{len(cases)} files have a network of their own", sep="\n")
    for values in itertools.product(*varied.values()):
        chosen = dict(zip(varied, values, strict=True))
        label = "  ".join(f"{name} {value}" for name, value in chosen.items())
        print(f"{label:44s} {row(module, cases, networks, apart, chosen)}", flush=True)


if __name__ == "__main__":
    main()
