"""The whole line without torch: a safetensors file and a CSV in, a model file out."""

import csv
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import edgelstm
from edgelstm.cli import main
from edgelstm.errors import ConversionError, RecordingError
from edgelstm_converters import convert, convert_with_report, readers

RNG = np.random.default_rng(4)
NAMES = ("flow", "pressure", "current")
X = (np.cumsum(RNG.normal(0, 1, (800, 3)), axis=0) / 8 + [200.0, 2.0, 3.0]).astype(np.float32)
SCALING = {n: {"mean": float(m), "std": float(s)} for n, m, s in zip(NAMES, X.mean(0), X.std(0), strict=True)}


@pytest.fixture
def files(tmp_path):
    """A state_dict, a recording and the scaling that training used."""

    def array(*shape):
        return RNG.normal(0, 0.4, shape).astype(np.float32)

    weights = {
        "rnn.weight_ih_l0": array(48, 3),
        "rnn.weight_hh_l0": array(48, 12),
        "rnn.bias_ih_l0": array(48),
    }
    weights |= {"rnn.bias_hh_l0": array(48), "head.weight": array(3, 12), "head.bias": array(3)}
    save_file(weights, tmp_path / "net.safetensors")
    with open(tmp_path / "data.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *NAMES])
        writer.writerows([n, *row] for n, row in enumerate(X.tolist()))
    (tmp_path / "scaling.json").write_text(json.dumps(SCALING))
    return tmp_path


def test_from_the_command_line_and_back(files, capsys):
    command = ["convert", str(files / "net.safetensors"), "--calibrate", str(files / "data.csv")]
    command += [
        "--scaling",
        str(files / "scaling.json"),
        "-o",
        str(files / "net.elstm"),
        "--units",
        "flow=l/min",
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "rnn    lstm" in printed
    assert "output SNR" in printed
    loaded = edgelstm.load(files / "net.elstm")
    assert loaded.channel_names == loaded.output_names == NAMES
    assert loaded.model.channels[0].unit == "l/min"
    provenance = loaded.model.provenance
    assert (provenance.source, provenance.calibration) == ("net.safetensors", "data.csv")
    assert provenance.calibration_samples == len(X)
    assert provenance.output_snr_db > 25
    assert main(["inspect", str(files / "net.elstm")]) == 0
    assert "flow      l/min" in capsys.readouterr().out
    assert main(["inspect", "--json", str(files / "net.elstm")]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == loaded.digest


def test_scaling_is_folded_into_the_weights(files):
    """Unscaled in, unscaled out: what scaling, network and unscaling give."""
    network = readers.read(files / "net.safetensors").model
    conversion = convert_with_report(
        files / "net.safetensors", calibration=X, channels=NAMES, scaling=files / "scaling.json"
    )
    mean, std = X.mean(axis=0), X.std(axis=0)
    exact = network.run((X - mean) / std) * std + mean
    np.testing.assert_allclose(conversion.float_model.run(X), exact, rtol=1e-4)
    found = edgelstm.stream.LoadedModel(conversion.model).stream().run(X)
    assert (np.abs(found - exact).max(axis=0) < 0.05 * std).all()


def test_missing_values_of_the_calibration_are_left_out(files):
    x = X.copy()
    x[::7, 1] = np.nan
    model = convert(files / "net.safetensors", calibration=x, scaling=None, channels=NAMES)
    assert model.provenance.calibration_samples == len(X) - len(X[::7])


def test_the_same_input_makes_the_same_model(files):
    digests = {
        edgelstm.model_file.digest(convert(files / "net.safetensors", calibration=X)) for _ in range(2)
    }
    assert len(digests) == 1


MISTAKES = {
    "too few channels": ({"calibration": X[:, :2]}, ConversionError, "the model has 3 inputs but .* has 2 channels"),
    "too few samples": ({"calibration": X[:5]}, ConversionError, "5 complete samples, expected at least 20"),
    "wrong outputs": ({"outputs": ["a"]}, ConversionError, "3 outputs but 1 are named"),
    "scaling without a channel": (
        {"scaling": {"flow": {"mean": 0, "std": 1}}, "channels": NAMES}, ConversionError, 'no entry for channel "pressure"',
    ),
    "scaling too much": (
        {"scaling": SCALING | {"x": {"mean": 0, "std": 1}}, "channels": NAMES}, ConversionError, 'entry "x"',
    ),
    "forgotten scaling": ({"calibration": X * 1e9}, ConversionError, "see --scaling"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named(files, case):
    options, error, message = MISTAKES[case]
    with pytest.raises(error, match=message):
        convert(files / "net.safetensors", **{"calibration": X, **options})


def test_a_recording_with_text_is_named_by_row(files):
    path = files / "data.csv"
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace(",2.", ",high", 1) if ",2." in lines[5] else "4,1,off,3"
    path.write_text("\n".join(lines))
    with pytest.raises(RecordingError, match=r"data\.csv: row 6"):
        convert(files / "net.safetensors", calibration=path)


COMMANDS = {
    "no source": (["convert", "none.pt", "--calibrate", "data.csv", "-o", "o.elstm"], 65, "none.pt: no such file"),
    "kind": (["convert", "data.csv", "--calibrate", "data.csv", "-o", "o.elstm"], 65, "unknown kind of model"),
    "no data": (["convert", "net.safetensors", "--calibrate", "no.csv", "-o", "o.elstm"], 65, "no.csv"),
    "scaling": (
        ["convert", "net.safetensors", "--calibrate", "data.csv", "--scaling", "data.csv", "-o", "o.elstm"], 65, "is no JSON",
    ),
    "folder": (["convert", "net.safetensors", "--calibrate", "data.csv", "-o", "no/o.elstm"], 69, "cannot be written"),
    "units": (
        ["convert", "net.safetensors", "--calibrate", "data.csv", "--units", "flow", "-o", "o.elstm"], 65, "CHANNEL=UNIT",
    ),
    "inspect": (["inspect", "data.csv"], 69, "damaged or no model file"),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_a_mistake_on_the_command_line_is_one_line(files, capsys, monkeypatch, case):
    command, code, message = COMMANDS[case]
    monkeypatch.chdir(files)
    assert main(command) == code
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("edgelstm: ")
    assert message in printed.err
    assert not (files / "o.elstm").exists()
