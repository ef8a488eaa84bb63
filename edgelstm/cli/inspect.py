"""`edgelstm inspect`: what a model file holds."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgelstm.model import Model

SUMMARY = "Show what a model file holds: channels, layers, bytes, errors measured at conversion, detector."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a model file, such as pump.elstm")
    parser.add_argument("--json", action="store_true", help="everything, for a program to read")


def run(args: argparse.Namespace) -> int:
    import os

    from edgelstm import model_file

    model = model_file.load(args.model)
    facts = _facts(model) | {"file_bytes": os.path.getsize(args.model)}
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        _print(args.model, facts)
    return 0


def _facts(model: Model) -> dict[str, Any]:
    import msgspec

    from edgelstm import model_file

    errors = {found.layer: found for found in model.provenance.layers}
    return {
        "name": model.name,
        "digest": model_file.digest(model),
        "format_version": model_file.FORMAT_VERSION,
        "arithmetic_version": model_file.ARITHMETIC_VERSION,
        "channels": [msgspec.to_builtins(channel) for channel in model.channels],
        "outputs": [msgspec.to_builtins(output) for output in model.outputs],
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "units": layer.units,
                "weights": layer.weight_count,
                "macs": round(model.multiply_adds[layer.name]),
                "snr_db": errors[layer.name].snr_db if layer.name in errors else None,
                "max_error": errors[layer.name].max_error if layer.name in errors else None,
            }
            for layer in model.layers
        ],
        "latency": model.latency,
        "memory": model.memory,
        "macs": round(sum(model.multiply_adds.values())),
        "provenance": msgspec.to_builtins(model.provenance),
        "detector": msgspec.to_builtins(model.detector_settings) if model.detector_settings else None,
    }


def _print(path: str, facts: dict[str, Any]) -> None:
    provenance = facts["provenance"]
    print(f"{path}: {facts['name']}, {facts['file_bytes']:,} bytes, {facts['macs']:,} multiply-adds a step")
    print(f"digest       {facts['digest']}")
    print(f"source       {provenance['source'] or 'unknown'}, by {provenance['converter'] or 'unknown'}")
    if provenance.get("proof"):
        print(f"proof        {provenance['proof']}")
    print(f"format {facts['format_version']}, arithmetic {facts['arithmetic_version']}")
    print()
    width = max(8, *(len(channel["name"]) for channel in facts["channels"]))
    print(f"  {'channel':{width}}  {'unit':8}  range before it saturates")
    for channel in facts["channels"]:
        reach = 32767.0 / channel["gain"]
        low, high = channel["offset"] - reach, channel["offset"] + reach
        print(f"  {channel['name']:{width}}  {channel['unit']:8}  {low:.4g} to {high:.4g}")
    print(f"  outputs: {', '.join(output['name'] for output in facts['outputs'])}")
    if facts["memory"]:
        print(
            f"  memory: an output rests on the newest sample and {facts['memory']} before it, so a stream begins with as many"
        )
    if facts["latency"]:
        print(f"  latency: an output belongs to the sample {facts['latency']} before the newest")
    print()
    width = max(5, *(len(layer["name"]) for layer in facts["layers"]))
    print(
        f"  {'layer':{width}}  {'kind':13}  {'units':>5}  {'weights':>8}  {'mul-adds':>9}  {'SNR':>8}  {'max error':>9}"
    )
    for layer in facts["layers"]:
        measured = "unknown"
        if layer["snr_db"] is not None:
            measured = f"{layer['snr_db']:5.1f} dB  {layer['max_error']:9.2g}"
        print(
            f"  {layer['name']:{width}}  {layer['kind']:13}  {layer['units']:5d}  {layer['weights']:8d}  {layer['macs']:9d}  {measured:>8}"
        )
    if provenance["output_snr_db"] is not None:
        print(
            f"  output SNR {provenance['output_snr_db']:.1f} dB against float32, "
            f"on {provenance['calibration_samples']} samples of {provenance['calibration']}"
        )
    print()
    _print_detector(facts["detector"])


def _print_detector(detector: dict[str, Any] | None) -> None:
    if detector is None:
        print("detector     none; make it one with: edgelstm calibrate MODEL HISTORY.csv -o DETECTOR.elstm")
        return
    print(
        f"detector     {detector['budget']}: threshold {detector['threshold']:.2f}, kept within "
        f"{detector['threshold_low']:.2f} to {detector['threshold_high']:.2f}"
    )
    print(
        f"history      {detector['history_rows']:,} samples, which would have raised {detector['history_alerts']}"
    )
    width = max(8, *(len(channel["name"]) for channel in detector["channels"]))
    print()
    print(
        f"  {'channel':{width}}  {'mean':>10}  {'forecast error':>14}  {'at least':>10}  {'level spread':>12}"
    )
    for channel in detector["channels"]:
        print(
            f"  {channel['name']:{width}}  {channel['mean']:10.4g}  {channel['error_spread']:14.4g}  "
            f"{channel['error_floor']:10.4g}  {channel['level_spread']:12.4g}"
        )
        print(f"  {'':{width}}  hears {', '.join(_heard(channel['evidence']))}")
    print()
    print(f"  {'network':18s}{_NETWORKS[detector['network']]}")
    for key, value in detector.items():
        if key == "season_ns" and value == 0:
            print(f"  {'season':18s}none found")
        elif key.endswith("_ns"):
            print(f"  {key.removesuffix('_ns'):18s}{value / 1e9:g} s")
        elif key in (
            "on_missing",
            "warm_up",
            "raise_after",
            "raise_window",
            "clear_after",
            "clear_ratio",
            "recovery_ratio",
            "readout_memory",
        ):
            print(f"  {key:18s}{value}")


_NETWORKS = {
    "joint": "sees all channels at once",
    "apart": "sees each channel apart, with a state of its own",
}


def _heard(evidence: dict[str, Any]) -> list[str]:
    """Return the signals that are used, each with its weight, the weightiest first."""
    used = [(one["weight"], name) for name, one in evidence.items() if one["weight"] > 0.0]
    return [f"{name} {weight:g}" for weight, name in sorted(used, key=lambda pair: -pair[0])]
