"""`edgelstm convert`: a trained model in, one int8 model file out, and what that cost."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from edgelstm.blind_forecasts import warnings
from edgelstm.cli.mode import MODES, ModeChoice
from edgelstm.cli.output import expect_model_output, expect_output
from edgelstm.errors import UsageError

if TYPE_CHECKING:
    from edgelstm_converters import Conversion

SUMMARY = "Turn a trained PyTorch, Keras, TFLite or ONNX model into one int8 model file; its scales come from calibration samples."


ROUNDINGS = {"nearest": "each to its nearest", "calibrated": "as calibration says"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        help="a state_dict or checkpoint (.pt, .pth, .ckpt, .safetensors), .pt2, .onnx, .tflite, .keras, .h5, or .npz with --architecture",
    )
    parser.add_argument(
        "--calibrate", required=True, metavar="RECORDING", help="CSV, NPZ or Parquet of typical samples"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="MODEL", help="the model file to write, MODEL.elstm"
    )
    parser.add_argument(
        "--channels", metavar="A,B", help="columns of the recording, in the order of the model's inputs"
    )
    parser.add_argument(
        "--outputs", metavar="A,B",
        help="names of the outputs; one named like a channel is its forecast (default: the channels, if as many)",
    )  # fmt: skip
    parser.add_argument(
        "--scaling",
        metavar="JSON",
        help='{"channel": {"mean": 1.0, "std": 2.0}, ...}: the network saw (x - mean) / std',
    )
    parser.add_argument(
        "--units", metavar="A=UNIT,..", help="units of channels, such as flow=l/min,pressure=bar"
    )
    parser.add_argument("--name", help="name of the model; default: that of the source")
    parser.add_argument(
        "--activations", metavar="A,B", help="of the linear modules of a state_dict, if there are several"
    )
    parser.add_argument(
        "--order", metavar="A,B", help="modules of a state_dict, first to last; others are left out"
    )
    parser.add_argument(
        "--weights",
        metavar="KEY",
        help="of a checkpoint with several networks: where the weights are, such as ema.state_dict",
    )
    parser.add_argument(
        "--max-loss", type=float, default=30.0, metavar="DB",
        help="fail where the outputs have a lower signal-to-noise ratio than this against their float original (default: 30)",
    )  # fmt: skip
    parser.add_argument(
        "--architecture", metavar="TOML", help="of plain arrays: which of them are what (TOML or JSON)"
    )
    parser.add_argument("--report", metavar="HTML", help="write a page with what was lost where, and plots")
    parser.add_argument(
        "--from", dest="start", metavar="VALUE",
        help="of a graph: the model begins at this value; what is computed before it stays outside",
    )  # fmt: skip
    parser.add_argument(
        "--fix", action="append", default=[], metavar="NAME=NUMBER",
        help="of a graph: the value of an input that is neither signal nor state, such as sr=16000",
    )  # fmt: skip
    parser.add_argument(
        "--mode", choices=MODES,
        help="carry state from sample to sample, or begin anew over the last --window samples each time; asked at a terminal where "
        "the file does not say it (default: stateful)",
    )  # fmt: skip
    parser.add_argument("--window", type=int, metavar="N", help="samples of a window, as in training")
    parser.add_argument("--hop", type=int, default=1, metavar="N", help="samples from one window to the next")
    parser.add_argument(
        "--lookahead", type=int, metavar="N",
        help="samples of a window that are newer than the one an output belongs to: the output is so late",
    )  # fmt: skip
    parser.add_argument(
        "--uncertainty", type=int, default=0, metavar="N",
        help="run the network N times with dropout left on; give the mean and the spread",
    )  # fmt: skip
    parser.add_argument(
        "--dropout",
        type=float,
        default=0.0,
        metavar="P",
        help="share that --uncertainty leaves out, as in training; an architecture file may say it",
    )
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=True,
        help="compare with the source's own engine, where it is installed (default: yes)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from edgelstm import model_file
    from edgelstm_converters import convert_with_report

    read = [args.source, args.calibrate, args.scaling, args.architecture]
    expect_model_output(args.output, read)
    if args.report:
        expect_output(args.report, [*read, args.output])
    mode = ModeChoice(args)
    conversion = convert_with_report(
        args.source,
        calibration=args.calibrate,
        channels=_names(args.channels),
        outputs=_names(args.outputs),
        units=_units(args.units),
        scaling=args.scaling,
        name=args.name,
        activations=_names(args.activations),
        order=_names(args.order),
        weights=args.weights,
        fixed=_fixed(args.fix),
        start=args.start,
        verify=args.verify,
        max_loss=args.max_loss,
        execution=mode,
        architecture=args.architecture,
    )
    if args.report:
        from edgelstm_converters import report_page

        report_page.write(args.report, conversion)
    model_file.save(conversion.model, args.output)
    _print_report(conversion, mode, args.output)
    return 0


def _print_report(conversion: Conversion, mode: ModeChoice, output: str) -> None:
    from edgelstm_converters import report

    model, provenance = conversion.model, conversion.model.provenance
    print(f"{provenance.source}: {', '.join(channel.name for channel in model.channels)}"
          f" -> {', '.join(y.name for y in model.outputs)}")  # fmt: skip
    print(f"  {report.told_of_proof(conversion.proof)}")
    print(f"  int8 against float32 on {provenance.calibration_samples} samples of {provenance.calibration}:")
    print()
    for line in report.table(model):
        print(line)
    print()
    print(f"runs {mode.told(conversion)}")
    if conversion.incomplete_rows:
        print(f"{conversion.incomplete_rows} rows left out because a value is missing")
    print(f"output SNR {provenance.output_snr_db:.1f} dB, weights rounded {ROUNDINGS[str(provenance.rounding)]}; "
          f"{conversion.clipped_inputs} input values clipped")  # fmt: skip
    if conversion.taken_over is not None:
        print(conversion.taken_over.told())
    decided = report.decisions(model, conversion.samples, conversion.found, conversion.exact)
    if decided is not None:
        print(f"forecasts off by more than {decided.spreads:g} spreads: {decided.by_float} of float32, {decided.by_int8} of "
              f"int8, {decided.differ} of {decided.judged:,} samples judged differently")  # fmt: skip
    for line in warnings(report.blind_forecasts(model, conversion.samples, conversion.exact)):
        print(line)
    print(f"wrote {output}, {os.path.getsize(output):,} bytes")


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None


def _fixed(pairs: list[str]) -> dict[str, float | int]:
    fixed: dict[str, float | int] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            fixed[name.strip()] = int(text) if text.strip().lstrip("+-").isdigit() else float(text)
        except ValueError:
            raise UsageError(f'--fix: "{pair}" is not NAME=NUMBER') from None
    return fixed


def _units(text: str | None) -> dict[str, str]:
    units = {}
    for pair in text.split(",") if text else []:
        name, separator, unit = pair.partition("=")
        if not separator:
            raise UsageError(f'--units: "{pair}" is not CHANNEL=UNIT')
        units[name.strip()] = unit.strip()
    return units
