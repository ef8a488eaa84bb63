"""The whole line without torch: a safetensors file and a CSV in, a model file out."""

import csv
import hashlib
import json
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import edgelstm
from edgelstm.cli import main
from edgelstm.errors import ConversionError, RecordingError
from edgelstm_converters import convert, convert_with_report, readers, report

NAMES = ("flow", "pressure", "current")
X = (np.cumsum(np.random.default_rng(4).normal(0, 1, (800, 3)), axis=0) / 8 + [200.0, 2.0, 3.0]).astype(
    np.float32
)
SCALING = {n: {"mean": float(m), "std": float(s)} for n, m, s in zip(NAMES, X.mean(0), X.std(0), strict=True)}


@pytest.fixture
def files(tmp_path):
    """A state_dict, a recording and the scaling that training used."""

    rng = np.random.default_rng(5)

    def array(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

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
    network = readers.read(files / "net.safetensors", inputs=3).model
    conversion = convert_with_report(
        files / "net.safetensors", calibration=X, channels=NAMES, scaling=files / "scaling.json"
    )
    mean, std = X.mean(axis=0), X.std(axis=0)
    exact = network.run((X - mean) / std) * std + mean
    np.testing.assert_allclose(conversion.float_model.run(X), exact, rtol=1e-4, atol=1e-5)
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
    "too few channels": ({"calibration": X[:, :2]}, ConversionError, "the model has 3 or 12 inputs but .* has 2 channels"),
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
    "folder": (["convert", "net.safetensors", "--calibrate", "data.csv", "-o", "no/o.elstm"], 2, "no such folder"),
    "units": (
        ["convert", "net.safetensors", "--calibrate", "data.csv", "--units", "flow", "-o", "o.elstm"], 2, "CHANNEL=UNIT",
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


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("seed", range(3))
def test_a_random_smooth_model_keeps_30_db(tmp_path, kind, seed):
    """Weights as training starts from, samples that move slowly: the int8 model follows the float one."""
    rng = np.random.default_rng(seed)
    gates, h = (4 if kind == "lstm" else 3), 24

    def array(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(h))

    weights = {}
    for layer, columns in enumerate((3, h)):
        weights[f"rnn.weight_ih_l{layer}"] = array(gates * h, columns)
        weights[f"rnn.weight_hh_l{layer}"] = array(gates * h, h)
        weights[f"rnn.bias_ih_l{layer}"], weights[f"rnn.bias_hh_l{layer}"] = (
            array(gates * h),
            array(gates * h),
        )
    save_file(weights | {"head.weight": array(3, h), "head.bias": array(3)}, tmp_path / "net.safetensors")
    conversion = convert_with_report(
        tmp_path / "net.safetensors", calibration=X, channels=NAMES, scaling=SCALING
    )
    provenance = conversion.model.provenance
    assert provenance.output_snr_db >= 30
    assert [layer.layer for layer in provenance.layers] == ["rnn_0", "rnn_1", "head"]
    assert all(layer.snr_db >= 30 and layer.saturated == 0 for layer in provenance.layers)
    assert conversion.clipped_inputs == conversion.incomplete_rows == 0
    found = edgelstm.stream.LoadedModel(conversion.model).stream().run(X)
    largest = np.abs(found - conversion.float_model.run(X)).max()
    assert provenance.layers[-1].max_error == pytest.approx(largest)


def test_the_model_says_where_it_comes_from(files):
    source, data = files / "net.safetensors", files / "data.csv"
    provenance = convert(source, calibration=data).provenance
    assert provenance.source == "net.safetensors"
    assert provenance.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert provenance.converter == f"edgelstm {edgelstm.__version__}"
    assert provenance.calibration == "data.csv"
    assert provenance.calibration_sha256 == hashlib.sha256(X.tobytes()).hexdigest()
    from_array = convert(source, calibration=X, channels=NAMES).provenance
    assert from_array.calibration == "array"
    assert from_array.calibration_sha256 == provenance.calibration_sha256


def test_an_npz_recording_gives_the_same_model_as_the_csv(files):
    np.savez(files / "data.npz", values=X, times=np.arange(len(X), dtype=np.float64), names=np.array(NAMES))
    models = [
        convert(files / "net.safetensors", calibration=files / f"data.{kind}") for kind in ("csv", "npz")
    ]
    for left, right in zip(models[0].layers, models[1].layers, strict=True):
        product = "product" if left.kind == "dense" else "inputs"
        np.testing.assert_array_equal(getattr(left, product).weights, getattr(right, product).weights)
    assert models[0].channels == models[1].channels


def test_rows_with_missing_or_infinite_values_are_counted(files):
    x = X.copy()
    x[3, 0], x[4, 1], x[5] = np.nan, np.inf, -np.inf
    assert convert_with_report(files / "net.safetensors", calibration=x).incomplete_rows == 3


def test_names_of_channels_and_of_outputs_without_any_given(files):
    model = convert(files / "net.safetensors", calibration=X)
    assert (
        [channel.name for channel in model.channels] == [y.name for y in model.outputs] == ["x0", "x1", "x2"]
    )


def test_a_model_is_not_run_past_what_was_calibrated_in_silence(files):
    """Headroom is twofold: three times the calibrated range saturates, and that is counted."""
    model = convert(files / "net.safetensors", calibration=X)
    assert report.clipped_inputs(model, X) == 0
    far = X.mean(axis=0) + 9 * (X - X.mean(axis=0))
    assert report.clipped_inputs(model, far.astype(np.float32)) > 0


def test_without_torch_the_report_says_that_nothing_was_proved(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert readers.read(files / "net.safetensors", inputs=3).proof.endswith("; torch is not installed")
    with pytest.raises(ConversionError, match="a list is neither a path nor a torch module"):
        readers.read([1, 2])


MORE_MISTAKES = {
    "names of an array": ({"channels": ["a", "b"]}, "has 3 channels but 2 are named: a, b"),
    "a name twice": ({"channels": ["a", "a", "b"]}, 'two channels are named "a"'),
    "text": ({"calibration": [["a", "b", "c"]] * 30}, "the calibration array is not made of numbers"),
    "one row": ({"calibration": X[0]}, r"has shape \(3,\), expected \(samples, channels\)"),
    "nothing complete": ({"calibration": np.full((50, 3), np.nan)}, "0 complete samples"),
    "unit": ({"units": {"x9": "bar"}}, 'a unit is given for "x9", which is no channel: x0, x1, x2'),
}  # fmt: skip


@pytest.mark.parametrize("case", MORE_MISTAKES)
def test_a_mistake_of_a_python_caller_is_named(files, case):
    options, message = MORE_MISTAKES[case]
    with pytest.raises(ConversionError, match=message):
        convert(files / "net.safetensors", **{"calibration": X, **options})


def test_integers_in_a_safetensors_file_are_no_weights(tmp_path):
    save_file({"head.weight": np.ones((2, 3), np.int8)}, tmp_path / "net.safetensors")
    with pytest.raises(
        ConversionError, match=r'"head.weight" is I8 of shape \(2, 3\), expected floating point'
    ):
        readers.read(tmp_path / "net.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_safetensors_file_that_was_cut_off(files, kept):
    path = files / "net.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        ConversionError, match=r"net\.safetensors: is (damaged or no safetensors file: \S|empty)"
    ):
        readers.read(path)
