"""Ways to run one network: state carried, over windows, or several times with masks."""

import dataclasses

import numpy as np
import pytest
from float_layer_cases import FLOAT_CASES, Floats

import edgelstm
from edgelstm.cli import main
from edgelstm.errors import ConversionError
from edgelstm_converters import Execution, convert_with_report
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatConv1d, FloatDense, FloatGru, FloatLstm
from edgelstm_converters.layers.float_layer import FloatRecurrent

ENDLESS = ("sequence", "conv_lstm", "variational")
NOW_AND_THEN = ("conv1d strided", "pool average", "window bidirectional")
X = np.random.default_rng(0).normal(0, 1, (60, 2)).astype(np.float32)


def network(seed=1):
    make = Floats(seed)
    return FloatModel(
        2, (FloatLstm("rnn", make(24, 2), make(24, 6), make(24)), FloatDense("head", make(2, 6), make(2)))
    )


def test_a_window_gives_what_the_network_gives_for_it_alone():
    model = network()
    found = Execution(window=8).apply(model).run(X)
    for t in range(7, 60):
        np.testing.assert_allclose(found[t], model.run(X[t - 7 : t + 1])[-1], rtol=0, atol=1e-6)
    hopping = Execution(window=8, hop=5).apply(model).run(X)
    for t in range(7, 60):
        np.testing.assert_array_equal(hopping[t], found[t - (t - 7) % 5])


def test_outputs_of_different_units_are_as_fine_in_a_window_as_without():
    """What leaves a window has one step for all values of a layer; the last linear layer stands behind it, and gives 32 bits."""
    x = np.random.default_rng(3).normal(0, 1, (400, 2)).astype(np.float32) * np.float32([100, 0.01])
    scaling = {"big": {"mean": 5000.0, "std": 100.0}, "small": {"mean": 0.02, "std": 0.01}}
    x += np.float32([5000, 0.02])
    found = convert_with_report(
        network(), calibration=x, channels=("big", "small"), scaling=scaling, execution=Execution(8)
    )
    assert [layer.kind for layer in found.model.layers] == ["window", "dense"]
    assert found.model.provenance.output_snr_db > 40
    assert sum(errors.saturated for errors in found.model.provenance.layers) == 0


def test_a_head_behind_a_window_that_hops_has_the_windows_pace():
    """Before the first window it gives zeros, as the window does."""
    found = Execution(window=8, hop=5).apply(network()).run(X)
    assert not found[:2].any()
    assert found[2].any()


def test_windowed_and_stateful_are_one_where_nothing_is_carried():
    """Then no window is made of it; a shorter one, and one that hops or is late, is another matter."""
    make = Floats(2)
    model = FloatModel(2, (FloatConv1d("c", make(4, 2, 3), make(4)), FloatDense("d", make(2, 4), make(2))))
    assert model.span == 3
    for window in (3, 40):
        assert Execution(window).apply(model) is model
    for execution in (Execution(2), Execution(3, hop=2), Execution(4, lookahead=1)):
        assert [layer.kind for layer in execution.apply(model).layers] == ["window", "dense"]
    assert FloatModel(2, model.layers, backward=("d",)).span is None


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_the_span_of_a_model_is_the_shortest_window_that_is_the_same(case):
    """And none of a layer that carries its state, or gives something new at some samples only."""
    layers = FLOAT_CASES[case](Floats(6), 3)
    model = FloatModel(3, layers)
    x = np.random.default_rng(6).normal(0, 1, (40, 3)).astype(np.float32)
    if case.startswith("embedding"):
        x[:, 0] = np.random.default_rng(6).integers(0, 5, 40)
    expected, span = model.run(x), model.span
    endless = any(isinstance(layer, FloatRecurrent) or layer.kind in ENDLESS for layer in layers)
    assert (span is None) == (endless or case in NOW_AND_THEN)
    if span is None:
        return
    for t in (span - 1, span, 39):
        np.testing.assert_allclose(model.run(x[t - span + 1 : t + 1])[-1], expected[t], rtol=0, atol=1e-5)
    if span > 1 and case != "window of channels":  # which is longer than what is in it needs
        shorter = [model.run(x[t - span + 2 : t + 1])[-1] for t in range(20, 40)]
        assert np.abs(shorter - expected[20:]).max() > 1e-4


def test_masked_runs_scatter_around_the_network():
    model = network()
    execution = Execution(runs=128, dropout=0.1)
    found = execution.apply(model).run(X)
    assert execution.output_names(("a", "b")) == ("a", "b", "a spread", "b spread")
    mean, spread = np.split(found, 2, axis=1)
    assert (spread > 0.0).all()
    assert np.abs(mean - model.run(X)).mean() < spread.mean()


REFUSED = {
    "both": (Execution(window=4, runs=4, dropout=0.1), "do not go together"),
    "a hop alone": (Execution(hop=3), "a hop of 3 samples needs a window"),
    "a dropout alone": (Execution(dropout=0.5), "a dropout of 0.5 needs a number of runs"),
    "no dropout": (Execution(runs=8), "a dropout rate of 0.0, expected more than 0 and less than 1"),
    "one run": (Execution(runs=1, dropout=0.1), "1 runs, expected 2 to 128"),
    "a long window": (Execution(window=9999), "a window of 9999 samples, expected 1 to 4096"),
    "a negative hop": (Execution(window=9, hop=0), "a hop of 0 samples, expected 1 to 4096"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused(case):
    execution, message = REFUSED[case]
    with pytest.raises(ConversionError, match=message):
        execution.apply(network())


def test_a_cell_that_cannot_be_masked_is_refused_by_name():
    make = Floats(3)
    gru = FloatGru("slow", make(12, 2), make(12, 4), make(12), make(12), period=2)
    with pytest.raises(ConversionError, match=r'layer "slow" \(gru\) cannot take part in masked runs'):
        Execution(runs=4, dropout=0.1).apply(FloatModel(2, (gru,)))


@pytest.fixture
def folder(tmp_path):
    from safetensors.numpy import save_file

    make = Floats(4)
    weights = {
        "rnn.weight_ih_l0": make(32, 2), "rnn.weight_hh_l0": make(32, 8), "rnn.bias_ih_l0": make(32),
        "rnn.bias_hh_l0": make(32), "head.weight": make(2, 8), "head.bias": make(2),
    }  # fmt: skip
    save_file(weights, tmp_path / "m.safetensors")
    rows = "\n".join(f"{t},{a},{b}" for t, (a, b) in enumerate(X))
    (tmp_path / "x.csv").write_text(f"time,flow,level\n{rows}\n")
    return tmp_path


def convert(folder, *arguments):
    files = [folder / "m.safetensors", "--calibrate", folder / "x.csv", "-o", folder / "m.elstm"]
    return main(["convert", *map(str, files), "--order", "rnn,head", "--no-verify", *arguments])


def test_the_command_makes_a_windowed_model(folder, capsys):
    assert convert(folder, "--mode", "windowed", "--window", "6", "--hop", "2") == 0
    model = edgelstm.load(folder / "m.elstm")
    layer, _ = model.model.layers
    assert (layer.kind, layer.length, layer.hop, layer.due) == ("window", 6, 2, 1)
    assert (
        "runs windowed (as asked for): over the last 6 samples from its initial state, at every 2nd sample, which is 3 steps"
        in (capsys.readouterr().out)
    )
    assert model.model.memory == 6
    assert main(["inspect", str(folder / "m.elstm")]) == 0
    assert "memory: an output rests on the newest sample and 6 before it" in capsys.readouterr().out


def test_the_command_says_what_the_mode_means(folder, capsys):
    """A carried state, and where a window is the same."""
    from safetensors.numpy import save_file

    assert convert(folder) == 0
    assert (
        "runs stateful (by default): its state goes on from sample to sample. Trained on windows"
        in capsys.readouterr().out
    )
    make = Floats(4)
    save_file(
        {"a.weight": make(5, 2), "a.bias": make(5), "b.weight": make(2, 5), "b.bias": make(2)},
        folder / "m.safetensors",
    )
    files = [folder / "m.safetensors", "--calibrate", folder / "x.csv", "-o", folder / "m.elstm"]
    options = ["--order", "a,b", "--activations", "tanh,linear", "--no-verify"]
    assert main(["convert", *map(str, files), *options]) == 0
    said = capsys.readouterr().out
    assert (
        "runs stateful, which is the same as windowed, to the bit: an output rests on the newest sample, so any window of as many "
        "or more gives what a stream gives after its first 0\n"
    ) in said
    made = (folder / "m.elstm").read_bytes()
    assert main(["convert", *map(str, files), *options, "--window", "9"]) == 0
    said = capsys.readouterr().out
    assert "runs windowed (as asked for), which is the same as stateful, to the bit" in said
    assert "and it is run so, at 1 step a sample instead of 9\n" in said
    assert (folder / "m.elstm").read_bytes() == made


def test_the_command_gives_mean_and_spread_that_a_detector_can_hear(folder, capsys):
    assert convert(folder, "--uncertainty", "4", "--dropout", "0.2") == 0
    model = edgelstm.load(folder / "m.elstm")
    assert model.output_names == ("flow", "level", "flow spread", "level spread")
    y = model.stream().run(X)
    assert (y[5:, 2:] > 0.0).all()
    history = np.random.default_rng(1).normal(size=(300, 2))
    rows = "".join(f"{n},{a:.6f},{b:.6f}\n" for n, (a, b) in enumerate(history))
    (folder / "history.csv").write_text("time,flow,level\n" + rows)
    made = [str(folder / name) for name in ("m.elstm", "history.csv", "d.elstm")]
    assert main(["calibrate", *made[:2], "-o", made[2], "--signals", "error,spread"]) == 0
    assert "spread       heard of flow, level\n" in capsys.readouterr().out
    assert main(["inspect", made[2]]) == 0
    assert capsys.readouterr().out.count("hears error 1, spread 1") == 2
    assert main(["calibrate", *made[:2], "-o", made[2]]) == 0
    assert (
        "spread       heard of no channel; it foretells no error of flow, level\n" in capsys.readouterr().out
    )


def test_the_command_asks_for_the_window(folder, capsys):
    assert convert(folder, "--mode", "windowed") != 0
    assert "Say --window N" in capsys.readouterr().err
    assert convert(folder, "--mode", "stateful", "--window", "4") != 0
    assert "--window: belongs to --mode windowed" in capsys.readouterr().err


def test_a_network_of_both_directions_needs_a_window_and_a_look_ahead():
    model = dataclasses.replace(network(), backward=("rnn",))
    for execution in (Execution(), Execution(window=8), Execution(window=8, lookahead=8)):
        with pytest.raises(
            ConversionError, match=r"say --window N|a look-ahead of 8 samples, expected 0 to 7"
        ):
            execution.apply(model)
    with pytest.raises(ConversionError, match="a look-ahead of 3 samples needs a window"):
        Execution(lookahead=3).apply(network())
    found = Execution(window=8, lookahead=3).apply(model).run(X)
    for t in range(7, 60):
        np.testing.assert_allclose(found[t], model.run(X[t - 7 : t + 1])[4], rtol=0, atol=1e-6)


def test_what_comes_late_is_no_forecast(folder, capsys):
    window = ("--mode", "windowed", "--window", "6", "--lookahead", "2")
    assert convert(folder, *window, "--outputs", "flow,other") != 0
    assert (
        'output "flow" would be the forecast of a channel, but with a look-ahead' in capsys.readouterr().err
    )
    assert convert(folder, *window) == 0
    assert edgelstm.load(folder / "m.elstm").output_names == ("y0", "y1")
    assert main(["inspect", str(folder / "m.elstm")]) == 0
    assert "an output belongs to the sample 2 before the newest" in capsys.readouterr().out


def test_layers_that_are_put_together_are_converted():
    """As they are, and nothing proves them."""
    found = convert_with_report(network(), calibration=X)
    assert [layer.kind for layer in found.model.layers] == ["lstm", "dense"]
    assert found.model.provenance.proof == "not proved: the layers are what their maker says"


DENSE = FloatDense("d", np.ones((2, 2), np.float32), np.zeros(2, np.float32))
WRONG = {
    "no layer": ((), (), 'the output is to come from "", which is no layer'),
    "two of a name": ((DENSE, DENSE), (), r'layer "d" \(dense\): the name is empty, or taken'),
    "an unknown source": ((dataclasses.replace(DENSE, sources=("e",)),), (), r'layer "d" \(dense\): reads "e", which is no layer before it'),
    "an unknown when": ((dataclasses.replace(DENSE, when="e"),), (), r'layer "d" \(dense\): reads "e", which is no layer before it'),
    "another size": ((DENSE, FloatDense("e", np.ones((2, 3), np.float32), np.zeros(2, np.float32))), (), r'layer "e" \(dense\): reads 3 values, but "d" gives 2'),
    "an unknown head": ((DENSE,), ("e",), 'the output is to come from "e", which is no layer'),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_layers_that_do_not_fit_are_refused(case):
    layers, heads, message = WRONG[case]
    with pytest.raises(ConversionError, match=message):
        convert_with_report(FloatModel(2, layers, heads), calibration=X)


def test_options_of_files_are_refused_for_layers():
    with pytest.raises(ConversionError, match="says itself in what order its layers come"):
        convert_with_report(network(), calibration=X, order=["rnn", "head"])
