"""How far forecasts are off on labelled collections: of a network that stays as it was trained, and of a readout that learns on.

    EDGELSTM_DATA=folder python bench/detection/forecasts.py nab --trained FOLDER [--seed 0] [--memory 5000]

A network for each file is trained on its history and kept in FOLDER; files whose history is too short for that are left out of its rows,
not of those of the general detector, which forecasts the last value where it has no readout. Errors are absolute, in deviations of
the history, mean over the samples after it, labelled faults included; nothing is frozen by an alert.
"""

import argparse
import importlib
import json
from pathlib import Path

import msgspec
import numpy as np
from case import Case
from trained import those_with_networks

import edgelstm
from edgelstm.calibration import examine
from edgelstm.detector import Detector
from edgelstm.detector_settings import HIGHEST_THRESHOLD
from edgelstm.kernels.detection import layout as at
from edgelstm.machine import describe, print_header
from edgelstm.pretrained import GENERAL

COLLECTIONS = ("nab", "skab", "wells", "spacecraft")


def errors_of(loaded, case: Case, *, apart: bool, **choices) -> np.ndarray:
    """Return the absolute errors after the history, float64 (samples, channels), NaN where none is said."""
    settings = examine(loaded, *case.history, apart=case.channels if apart else None, **choices).settings
    settings = msgspec.structs.replace(
        settings, threshold=HIGHEST_THRESHOLD, threshold_high=HIGHEST_THRESHOLD
    )
    times_ns, values = case.times_ns[case.first :], np.ascontiguousarray(case.values[case.first :])
    found = np.full((1, *values.shape), np.nan)
    Detector(loaded, settings).trace(times_ns, values, [at.ABSOLUTE_ERROR], [at.ERROR], found)
    return found[0]


def in_deviations(case: Case, errors: np.ndarray) -> float:
    """Return the mean of the errors of all channels that move, each in deviations of its history; NaN where there is none."""
    deviation = np.nanstd(case.values[: case.first].astype(np.float64), axis=0)
    moving = deviation > 0.0
    return float(np.nanmean(errors[:, moving] / deviation[moving])) if moving.any() else float("nan")


def compare(case: Case, loaded, memory: int, *, apart: bool) -> dict[str, float]:
    """Return the mean error of the last value, of the network and of its readout, on the same samples."""
    frozen = errors_of(loaded, case, apart=apart)
    learning = errors_of(loaded, case, apart=apart, readout_memory=memory)
    steps = np.abs(np.diff(case.values[case.first - 1 :].astype(np.float64), axis=0))
    steps[np.isnan(frozen)] = np.nan
    found = {"last value": in_deviations(case, steps)}
    if not apart:  # else it is the last value
        found["network"] = in_deviations(case, frozen)
    return found | {"readout": in_deviations(case, learning)}


def summed_up(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the means over all files, and on how many of them the last value is worse."""
    found: dict[str, float] = {"files": len(rows)}
    for name in rows[0]:
        found[name] = float(np.mean([row[name] for row in rows]))
        if name != "last value":
            found[f"{name}, files better"] = sum(row[name] < row["last value"] for row in rows)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", choices=COLLECTIONS)
    parser.add_argument(
        "--trained", type=Path, required=True, metavar="FOLDER", help="networks are kept there"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the networks (0)")
    parser.add_argument(
        "--memory", type=int, nargs="+", default=[5000], help="of the readout, in samples (5000)"
    )
    parser.add_argument("--each", action="store_true", help="also a line for every file")
    parser.add_argument("--json", metavar="FILE", help="write the report there as well")
    args = parser.parse_args()
    machine = describe("torch")
    print_header("forecasts", machine)
    module, report = importlib.import_module(args.collection), {"machine": machine}
    cases, general = module.load(), edgelstm.load(GENERAL)
    trainable, networks, left_out = those_with_networks(cases, args.seed, args.trained / args.collection)
    print(*left_out, sep="\n")
    for memory in args.memory:
        found: dict[str, list[dict[str, float]]] = {"trained": [], "general": []}
        found["general"] = [compare(case, general, memory, apart=True) for case in cases]
        for case, own in zip(trainable, networks, strict=True):
            found["trained"].append(compare(case, own, memory, apart=False))
            if args.each:
                show(case.name, found["trained"][-1])
        report[str(memory)] = {which: summed_up(rows) for which, rows in found.items() if rows}
        for which, scores in report[str(memory)].items():
            show(f"{which}, memory {memory}", scores)
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


def show(name: str, scores: dict[str, float]) -> None:
    print(
        f"  {name:44s}"
        + "  ".join(f"{key} {value:.3f}".replace(".000", "") for key, value in scores.items()),
        flush=True,
    )


if __name__ == "__main__":
    main()
