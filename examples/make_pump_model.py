"""Make the model that ships in edgelstm/models: a simulated pump, an LSTM trained on it, int8, calibrated as a detector.

    python examples/make_pump_model.py -o edgelstm/models/pump.elstm

Needs torch. Prints what was measured on the way; the same versions of torch and NumPy make the same file.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from train_forecaster import train

from edgelstm import model_file
from edgelstm.calibration import calibrate
from edgelstm.stream import LoadedModel
from edgelstm_converters import convert_with_report, report
from edgelstm_firmware_sim import NODES, Fault, record

HOURS_TRAINED, HOURS_CALIBRATED, HOURS_TESTED = 6, 24, 1
BUDGET = "1 per week"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    names = NODES["pump"].names()
    history = record("pump", HOURS_TRAINED * 3600, seed=1).values
    mean, std = history.mean(axis=0), history.std(axis=0)
    network = train(
        (history - mean) / std,
        hidden=32,
        layers=1,
        epochs=12,
        batch=16,
        bptt=64,
        noise=0.05,
        seed=0,
        say=lambda line: print(line, file=sys.stderr),
    )
    conversion = convert_with_report(
        network,
        calibration=history,
        channels=names,
        units=dict(NODES["pump"].channels),
        scaling={n: {"mean": float(m), "std": float(s)} for n, m, s in zip(names, mean, std, strict=True)},
        name="pump",
    )
    print("\n".join(report.table(conversion.model)))
    test = record("pump", HOURS_TESTED * 3600, seed=3).values
    loaded, exact = LoadedModel(conversion.model), conversion.float_model.run(test)
    found = loaded.stream().run(test)
    print(f"on {HOURS_TESTED} h that neither training nor calibration saw:")
    print(f"  output SNR of int8 against float32  {report.snr_db(found, exact, each_alone=True):.1f} dB")
    for n, name in enumerate(names):
        errors = [np.sqrt(np.square(y[:-1, n] - test[1:, n]).mean()) for y in (exact, found, test)]
        print(
            f"  {name:10s} forecast error: float32 {errors[0]:.4g}  int8 {errors[1]:.4g}  last value {errors[2]:.4g}"
        )
    normal = record("pump", HOURS_CALIBRATED * 3600, seed=2)
    settings = calibrate(loaded, normal.times_ns, normal.values, budget=BUDGET)
    model_file.save(dataclasses.replace(conversion.model, detector_settings=settings), args.output)
    print(
        f"{args.output}: {args.output.stat().st_size:,} bytes, threshold {settings.threshold:.2f} for {BUDGET}"
    )
    compare_decisions(network, names, mean, std, history, args.output)


def compare_decisions(network, names, mean, std, history, model) -> None:
    """Run bench/decisions.py on a recording of every fault, growing and gone again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(network.state_dict(), folder / "net.pt")
        scaling = {n: {"mean": float(m), "std": float(s)} for n, m, s in zip(names, mean, std, strict=True)}
        (folder / "scaling.json").write_text(json.dumps(scaling))
        np.savez(folder / "history.npz", values=history[:6000], names=names)
        for fault in NODES["pump"].faults:
            made = record("pump", 120, seed=4, faults=[Fault(fault, 30, 20, 70)])
            made.write_csv(folder / f"{fault}.csv")
        command = [sys.executable, str(Path(__file__).parents[1] / "bench" / "decisions.py"), "net.pt"]
        command += [
            "--scaling",
            "scaling.json",
            "--calibrate",
            "history.npz",
            "--detector",
            str(model.resolve()),
        ]
        subprocess.run(
            [*command, *sorted(f"{fault}.csv" for fault in NODES["pump"].faults)], cwd=folder, check=True
        )


if __name__ == "__main__":
    main()
