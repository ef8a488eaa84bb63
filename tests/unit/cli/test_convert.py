"""`edgelstm convert` and `edgelstm inspect`: what they print, and every mistake as one line with its exit code."""

import json
import os
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

import edgelstm
from edgelstm.cli import main

NAMES = ("flow", "pressure", "current")
MEANS = np.array([200.0, 2.0, 30.0])


def write_csv(path, values):
    rows = [f"{n}," + ",".join(f"{x:.6g}" for x in row) for n, row in enumerate(values)]
    path.write_text("\n".join([",".join(["time", *NAMES]), *rows]) + "\n")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A state_dict, a recording, and the scaling of its training, in the current folder."""
    rng = np.random.default_rng(5)

    def array(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

    weights = {
        "rnn.weight_ih_l0": array(32, 3),
        "rnn.weight_hh_l0": array(32, 8),
        "rnn.bias_ih_l0": array(32),
    }
    weights |= {"rnn.bias_hh_l0": array(32), "head.weight": array(3, 8), "head.bias": array(3)}
    save_file(weights, tmp_path / "net.safetensors")
    two = {name: tensor for name, tensor in weights.items() if "rnn" in name}
    save_file(two | {"a.weight": array(5, 8), "b.weight": array(3, 5)}, tmp_path / "two.safetensors")
    write_csv(tmp_path / "data.csv", np.cumsum(rng.normal(0, 0.1, (400, 3)), axis=0) + MEANS)
    scaling = {name: {"mean": mean, "std": 1.0} for name, mean in zip(NAMES, MEANS, strict=True)}
    (tmp_path / "scaling.json").write_text(json.dumps(scaling))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def convert(*arguments, source="net.safetensors", data="data.csv", output="net.elstm"):
    return main(["convert", source, "--calibrate", data, "-o", output, *arguments])


def test_the_report(folder, capsys):
    assert convert("--scaling", "scaling.json", "--units", "flow=l/min, pressure=bar") == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "net.safetensors: flow, pressure, current -> flow, pressure, current"
    assert "int8 against float32 on 400 samples of data.csv:" in printed.out
    table = {line.split()[0]: line.split() for line in lines if line.startswith("  ") and " dB " in line}
    assert table["rnn"][1:4] == ["lstm", "8", str(32 * 3 + 32 * 8)]
    assert table["head"][1:4] == ["dense", "3", str(3 * 8)]
    snr = next(n for n, line in enumerate(lines) if line.startswith("output SNR "))
    assert lines[snr].endswith(" input values clipped")
    assert lines[snr + 1].endswith("0 of 399 samples judged differently")
    assert lines[-1] == f"wrote net.elstm, {os.path.getsize('net.elstm'):,} bytes"


def test_a_forgotten_scaling_is_named_by_what_it_does_to_forecasts(folder, capsys):
    """int8 loses nothing by it: the float network is as wrong, and a signal-to-noise ratio says nothing."""
    assert convert("--max-loss", "0") == 0
    forgotten = capsys.readouterr().out
    for name in NAMES:
        assert f"warning: the forecast of {name} is " in forgotten
    assert "are inputs scaled as in training (edgelstm convert --scaling)" in forgotten


def test_calibrate_says_of_a_blind_forecast_what_convert_says(folder, capsys):
    """The figures may differ a little: one is of the float network's mean error, the other of the int8 detector's."""
    assert convert() == 0
    of_convert = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert main(["calibrate", "net.elstm", "data.csv", "-o", "d.elstm"]) == 0
    of_calibrate = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    told = [
        [re.sub(r"is [\d.]+ times", "is N times", line) for line in one] for one in (of_convert, of_calibrate)
    ]
    assert told[0] == told[1] and told[0]


def test_what_weights_alone_do_not_show_is_part_of_the_report(folder, capsys):
    assert convert("--scaling", "scaling.json") == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith(
        "  not proved: a state_dict has weights alone, so pooling, activations, skips and an order of its own"
    )
    assert re.search(
        r"; torch (gives the same for these layers, within \S+ over 1000 samples|is not installed)$", line
    )


def test_rows_that_miss_a_value_are_counted(folder, capsys):
    lines = (folder / "data.csv").read_text().splitlines()
    lines[7] = "6,,2,30"
    lines[9] = "8,200,nan,30"
    (folder / "data.csv").write_text("\n".join(lines))
    assert convert("--scaling", "scaling.json") == 0
    printed = capsys.readouterr().out
    assert "on 398 samples" in printed
    assert "2 rows left out because a value is missing" in printed


def test_a_model_far_from_its_original_is_pointed_out(folder, capsys):
    """A network that was trained on scaled samples and gets them as they are saturates its gates."""
    assert convert() == 0
    printed = capsys.readouterr()
    decibel = edgelstm.load("net.elstm").model.provenance.output_snr_db
    assert ("is little" in printed.err) == (decibel < 30.0)


def test_names_of_outputs_and_of_the_model(folder, capsys):
    assert convert("--scaling", "scaling.json", "--outputs", "a,flow,c", "--name", "pump 7") == 0
    model = edgelstm.load("net.elstm").model
    assert [output.name for output in model.outputs] == ["a", "flow", "c"]
    assert model.name == "pump 7"


def test_the_order_of_channels_is_that_of_the_option(folder, capsys):
    assert convert("--scaling", "scaling.json", "--channels", "current,flow,pressure") == 0
    model = edgelstm.load("net.elstm").model
    assert [channel.name for channel in model.channels] == ["current", "flow", "pressure"]
    assert model.channels[0].offset == pytest.approx(30.0, abs=5.0)


def test_activations_and_order_of_several_heads(folder, capsys):
    code = convert(
        "--activations", "relu,linear", "--order", "rnn,a,b", "--outputs", "x,y,z", source="two.safetensors"
    )
    assert code == 0
    layers = edgelstm.load("net.elstm").model.layers
    assert [(layer.name, getattr(layer, "activation", "")) for layer in layers] == [
        ("rnn", ""),
        ("a", "relu"),
        ("b", "linear"),
    ]


def test_inspect_shows_what_was_converted(folder, capsys):
    assert convert("--scaling", "scaling.json", "--units", "flow=l/min") == 0
    capsys.readouterr()
    assert main(["inspect", "net.elstm"]) == 0
    printed = capsys.readouterr().out
    model = edgelstm.load("net.elstm")
    for words in (
        f"digest       {model.digest}",
        "source       net.safetensors, by edgelstm ",
        "  flow      l/min ",
        "  outputs: flow, pressure, current",
        f"  output SNR {model.model.provenance.output_snr_db:.1f} dB against float32, on 400 samples of data.csv",
        "detector     none; make it one with: edgelstm calibrate",
    ):
        assert words in printed
    assert f"{os.path.getsize('net.elstm'):,} bytes, {32 * 3 + 32 * 8 + 24:,} multiply-adds a step" in printed


def test_inspect_as_json_has_every_fact(folder, capsys):
    assert convert("--scaling", "scaling.json", "--units", "flow=l/min") == 0
    capsys.readouterr()
    assert main(["inspect", "--json", "net.elstm"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["digest"] == edgelstm.load("net.elstm").digest
    assert facts["file_bytes"] == os.path.getsize("net.elstm")
    assert [channel["name"] for channel in facts["channels"]] == list(NAMES)
    assert facts["channels"][0]["unit"] == facts["outputs"][0]["unit"] == "l/min"
    assert [(layer["name"], layer["kind"], layer["units"]) for layer in facts["layers"]] == [
        ("rnn", "lstm", 8),
        ("head", "dense", 3),
    ]
    assert all(layer["snr_db"] > 20 and layer["max_error"] >= 0 for layer in facts["layers"])
    assert facts["macs"] == 32 * 3 + 32 * 8 + 24
    assert facts["provenance"]["calibration_samples"] == 400
    assert facts["detector"] is None


MISTAKES = {
    "missing source": ({"source": "none.pt"}, [], 65, "none.pt: no such file"),
    "a folder for a source": ({"source": "folder.onnx"}, [], 65, "folder.onnx: no such file"),
    "unknown suffix": ({"source": "data.csv"}, [], 65, "data.csv: unknown kind of model; expected .pt, .pth, .ckpt, .bin, .pt2, .safetensors"),
    "damaged source": ({"source": "text.safetensors"}, [], 65, "text.safetensors: is damaged or no safetensors file"),
    "missing recording": ({"data": "none.csv"}, [], 65, "none.csv: no such file"),
    "text in a number column": ({"data": "text.csv"}, [], 65, 'text.csv: row 5, column "pressure": "off" is not a number'),
    "short recording": ({"data": "short.csv"}, [], 65, "short.csv has 5 complete samples, expected at least 20"),
    "no such column": ({}, ["--channels", "flow,presure,current"], 65, 'no column "presure"; did you mean "pressure"?'),
    "a column twice": ({}, ["--channels", "flow,flow,current"], 65, 'two channels are named "flow"'),
    "too few columns": ({}, ["--channels", "flow,pressure"], 65, "but the calibration has 2 channels"),
    "too few outputs": ({}, ["--outputs", "a,b"], 65, "the model has 3 outputs but 2 are named: a, b"),
    "an output twice": ({}, ["--outputs", "a,a,b"], 65, 'two outputs are named "a"'),
    "an output without a name": ({}, ["--outputs", "a,,b"], 65, "one of the outputs has an empty name"),
    "no scaling": ({}, ["--scaling", "none.json"], 65, "none.json: cannot be read: No such file"),
    "scaling is no JSON": ({}, ["--scaling", "data.csv"], 65, "data.csv: is no JSON"),
    "scaling misses a channel": ({}, ["--scaling", "less.json"], 65, 'the scaling has no entry for channel "current"'),
    "std of 0": ({}, ["--scaling", "zero.json"], 65, 'zero.json: channel "pressure": std is 0, expected more than 0'),
    "a std of nearly 0": ({}, ["--scaling", "tiny.json"], 65, "gives numbers that are not finite"),
    "units without =": ({}, ["--units", "flow"], 2, '--units: "flow" is not CHANNEL=UNIT'),
    "unit of no channel": ({}, ["--units", "flwo=l/min"], 65, 'a unit is given for "flwo", which is no channel'),
    "several heads": ({"source": "two.safetensors"}, [], 65, "what follows the linear modules a, b: say --activations, 2 of"),
    "unknown activation": ({}, ["--activations", "gelu"], 65, 'activation "gelu", expected one of linear, relu, sigmoid, tanh'),
    "order of other modules": ({}, ["--order", "rnn,tail"], 65, "--order names rnn, tail; the modules are"),
    "no folder to write in": ({"output": "none/net.elstm"}, [], 2, "none: no such folder to write net.elstm to"),
    "a folder in the way": ({"output": "folder.onnx"}, [], 2, "folder.onnx: is a folder, expected a file to write"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(folder, capsys, case):
    files, arguments, code, message = MISTAKES[case]
    (folder / "folder.onnx").mkdir()
    (folder / "text.safetensors").write_text("these are no tensors, but a line of text")
    lines = (folder / "data.csv").read_text().splitlines()
    (folder / "short.csv").write_text("\n".join(lines[:6]))
    (folder / "text.csv").write_text("\n".join([*lines[:4], "3,200,off,30", *lines[5:]]))
    scaling = json.loads((folder / "scaling.json").read_text())
    (folder / "less.json").write_text(json.dumps({name: scaling[name] for name in NAMES[:2]}))
    (folder / "zero.json").write_text(json.dumps(scaling | {"pressure": {"mean": 2, "std": 0}}))
    (folder / "tiny.json").write_text(json.dumps(scaling | {"pressure": {"mean": 2, "std": 1e-300}}))
    assert convert(*arguments, **files) == code
    printed = capsys.readouterr()
    assert printed.err.startswith("edgelstm: ")
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err
    assert printed.out == ""
    assert not (folder / "net.elstm").exists()


@pytest.mark.parametrize(
    ("arguments", "output", "message"),
    [
        ([], "net.safetensors", "net.safetensors: is a file that is read"),
        ([], "./data.csv", "data.csv: is a file that is read"),
        (["--scaling", "scaling.json"], "scaling.json", "scaling.json: is a file that is read"),
        (["--report", "data.csv"], "net.elstm", "data.csv: is a file that is read"),
        (["--report", "net.elstm"], "net.elstm", "net.elstm: is a file that is read or written here already"),
        (["--window", "0"], "net.elstm", "--window 0: a window has 1 sample or more"),
    ],
)
def test_what_is_read_is_never_written(folder, capsys, arguments, output, message):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert convert(*arguments, output=output) == 2
    assert capsys.readouterr().err.startswith(f"edgelstm: {message}")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("path", "message"), [("none.elstm", "no such file"), ("data.csv", "damaged or no model file")]
)
def test_inspecting_what_is_no_model_is_one_line(folder, capsys, path, message):
    assert main(["inspect", path]) == 69
    printed = capsys.readouterr()
    assert printed.err.startswith(f"edgelstm: {path}: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1


def test_a_missing_option_is_told_with_the_usage(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["convert", "net.safetensors", "-o", "net.elstm"])
    assert stopped.value.code == 2
    assert "--calibrate" in capsys.readouterr().err
