"""Which networks convert by which route, tried now: writes docs/support.md.

    python bench/support.py            # needs torch, onnx, onnxscript; Keras rows need keras and h5py
    python bench/support.py Keras      # the section of that name alone; the others stay as they are
    python bench/support.py --tensorflow /path/of/python TensorFlow

Every cell is an export made here, read back, and compared with its own engine; nothing is filled in by hand. The section of
TensorFlow needs an interpreter that has tensorflow, tf_keras and tf2onnx, for tensorflow_exports.py, or `--exports`, a
folder that it has filled before; without either it stays as it is.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from support_networks import INPUTS, KERAS, STEPS, TORCH, keras, kl

from edgelstm.errors import EdgeLstmError
from edgelstm_converters import readers


def onnx_of(network, path, **options):
    torch.onnx.export(network, (torch.zeros(1, STEPS, INPUTS),), path, **options)
    return path


def program_of(network, path):
    torch.export.save(torch.export.export(network, (torch.zeros(1, STEPS, INPUTS),)), path)
    return path


def weights_of(network, path):
    torch.save(network.state_dict(), path)
    return path


TORCH_ROUTES = {
    "module": lambda network, folder: network,
    "state_dict": lambda network, folder: weights_of(network, folder / "m.pt"),
    ".pt2": lambda network, folder: program_of(network, folder / "m.pt2"),
    "ONNX 11": lambda network, folder: onnx_of(network, folder / "a.onnx", dynamo=False, opset_version=11),
    "ONNX 17": lambda network, folder: onnx_of(network, folder / "b.onnx", dynamo=False, opset_version=17),
    "ONNX, dynamo": lambda network, folder: onnx_of(network, folder / "c.onnx", dynamo=True),
    "dynamo, 23": lambda network, folder: onnx_of(network, folder / "d.onnx", dynamo=True, opset_version=23),
}


def keras_saved(made, path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((STEPS, INPUTS), batch_size=1), *made(), kl.Dense(3)])
    model.save(path)
    return path


def outcome(make, trained=None):
    """Return what became of a route, and why where it was refused; `trained` is the network, for files that do not say how it is run."""
    try:
        source = make()
    except Exception as exc:
        return "no export", f"the exporter fails: {str(exc).strip().splitlines()[0][:110]}"
    try:
        reading = readers.read(source)
        if reading.proof.startswith("not proved"):
            same = trained is None or gives_the_same(reading.model, trained)
            return "read" if same else "read as another network", ""
        in_int8 = re.search(r"in int8: within (\d+ dB)", reading.proof)
        return in_int8[1] if in_int8 else "proved", ""
    except EdgeLstmError as exc:
        text = str(exc)
        return "refused", text.split(": ", 1)[-1] if text.startswith(os.sep) else text


def gives_the_same(model, trained):
    x = torch.randn(1, STEPS, INPUTS)
    with torch.no_grad():
        expected = trained(x).reshape(-1, 3).numpy()
    return np.allclose(model.run(x[0].numpy())[-len(expected) :], expected, rtol=0, atol=1e-5)


def table(rows, routes, outcome_of):
    """Yield the lines of a table; `outcome_of` gives a word and a reason for the value of a row and a route."""
    reasons = {}
    yield "| | " + " | ".join(routes) + " |"
    yield "|---" * (len(routes) + 1) + "|"
    for name, network in rows.items():
        cells = []
        for route in routes:
            word, why = outcome_of(network, route)
            if why:
                number = reasons.setdefault(why.replace("|", "/"), len(reasons) + 1)
                word = f"{word} ({number})"
            cells.append(word)
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    for why, number in reasons.items():
        yield f"{number}. {why}"


def exported(make):
    """Return what becomes of exports that `make` writes to a folder."""

    def found(network, route):
        with tempfile.TemporaryDirectory() as folder:
            return outcome(lambda: make(network, route, Path(folder)))

    return found


def of_torch():
    torch.manual_seed(0)

    def found(network, route):
        trained = network().eval()
        with tempfile.TemporaryDirectory() as folder:
            return outcome(lambda: TORCH_ROUTES[route](trained, Path(folder)), trained)

    yield from table(TORCH, TORCH_ROUTES, found)


def of_keras():
    formats = {".keras": "m.keras", ".h5": "m.h5"}
    yield from table(
        KERAS, formats, exported(lambda made, route, folder: keras_saved(made, folder / formats[route]))
    )


def of_tensorflow(folder):
    """Tables of the exports in a folder, one for each version of Keras."""
    exports = [json.loads(line) for line in (folder / "exports.jsonl").read_text().splitlines()]
    versions = json.loads((folder / "versions.json").read_text())
    yield f"With {', '.join(f'{name} {version}' for name, version in versions.items())}: exports of `bench/tensorflow_exports.py`, batches of one."
    yield "*n dB*: what the engine computes in int8 itself, in float32, is so close to it."
    for keras_version in dict.fromkeys(each["keras"] for each in exports):
        own = [each for each in exports if each["keras"] == keras_version]
        found = {(each["network"], each["route"]): each for each in own}
        yield from ("", f"### {keras_version}", "")
        routes = dict.fromkeys(each["route"] for each in own)
        names = {each["network"]: each["network"] for each in own}
        names = {name: name for name in names if all((name, route) in found for route in routes)}
        yield from table(
            names, routes, lambda network, route, of=found: read_back(folder, of[network, route])
        )


def read_back(folder, export):
    if export["why"]:
        return "no export", export["why"]
    return outcome(lambda: folder / export["file"])


def written(sections, before):
    """Return the page, with the sections that are given, and of the page `before` the others."""
    intro = [
        "# What converts",
        "",
        f"Written by `python bench/support.py`, with torch {torch.__version__.split('+')[0]} and keras {keras.__version__}: each cell is an export",
        "made then, read back, and compared with its own engine. *proved*: within 10⁻⁵; *read*: it does not say how it is run, which is compared here with the network",
        "it was saved from; *refused*: with the reason below the table; *no export*: the exporter itself fails. For ONNX's own operators see the cases in",
        "`tests/conformance/`.",
    ]
    parts = re.split(r"^## (.*)\n\n", before, flags=re.M)
    kept = {title: text.rstrip("\n") for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    bodies = {**kept, **sections}
    return "\n".join(intro) + "".join(
        f"\n\n## {title}\n\n{bodies[title]}" for title in TITLES if title in bodies
    )


TITLES = ("PyTorch", "Keras 3", "TensorFlow")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tensorflow", help="an interpreter that has tensorflow, tf_keras and tf2onnx")
    parser.add_argument("--exports", type=Path, help="a folder that tensorflow_exports.py has filled")
    parser.add_argument(
        "sections", nargs="*", help="beginnings of the titles of sections to make; default: all"
    )
    args = parser.parse_args()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    wanted = [title for title in TITLES if not args.sections or title.startswith(tuple(args.sections))]
    makers = {"PyTorch": of_torch, "Keras 3": of_keras}
    target = Path(__file__).parents[1] / "docs" / "support.md"
    sections = {}
    with tempfile.TemporaryDirectory() as folder:
        if "TensorFlow" in wanted and args.tensorflow:
            script = Path(__file__).with_name("tensorflow_exports.py")
            subprocess.run([args.tensorflow, str(script), folder], check=True)
        exports = args.exports or (Path(folder) if args.tensorflow else None)
        if exports is not None:
            makers["TensorFlow"] = lambda: of_tensorflow(exports)
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for title in wanted:
                if title in makers:
                    sections[title] = "\n".join(makers[title]()).rstrip("\n")
    target.write_text(written(sections, target.read_text()) + "\n")
    print(f"wrote {target}: {', '.join(sections)}", file=sys.stderr)


if __name__ == "__main__":
    main()
