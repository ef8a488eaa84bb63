"""Variants of the recurrent operators that ONNX's own cases leave out: each is proved by an engine, or refused by name."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from onnx_cases import H, I, constant, write  # noqa: E402

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
CASES = {
    "lstm, coupled": ("LSTM", "", {"input_forget": 1}),
    "lstm, coupled, no bias": ("LSTM", "-B", {"input_forget": 1}),
    "lstm, relu": ("LSTM", "", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
    "lstm, hard gates": ("LSTM", "", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}),
    "lstm, hard gates of another slope": ("LSTM", "", {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [1 / 6], "activation_beta": [0.5]}),
    "lstm, peepholes": ("LSTM", "P", {}),
    "lstm, peepholes, no bias": ("LSTM", "P-B", {}),
    "lstm, initial h": ("LSTM", "h", {}),
    "lstm, initial h and c": ("LSTM", "hc", {}),
    "gru, reset before, bias": ("GRU", "", {"linear_before_reset": 0}),
    "gru, reset after, bias": ("GRU", "", {"linear_before_reset": 1}),
    "gru, no bias": ("GRU", "-B", {}),
    "gru, initial h": ("GRU", "h", {"linear_before_reset": 1}),
    "gru, reset before, initial h": ("GRU", "h", {}),
    "lstm, a limit that is none": ("LSTM", "", {"clip": 20.0}),
    "lstm, limited gates": ("LSTM", "", {"clip": 0.1}),
    "lstm, limited gates, peepholes": ("LSTM", "P", {"clip": 0.4}),
    "lstm, limited gates, coupled": ("LSTM", "", {"clip": 0.4, "input_forget": 1}),
    "lstm, limited gates, initial c": ("LSTM", "hc", {"clip": 0.3}),
    "lstm, limited gates, relu": ("LSTM", "", {"clip": 20.0, "activations": ["Sigmoid", "Relu", "Tanh"]}),
    "gru, a limit that is none": ("GRU", "", {"clip": 17.0}),
    "rnn, relu": ("RNN", "", {"activations": ["Relu"]}),
    "rnn, initial h": ("RNN", "h", {}),
    "whole lengths": ("LSTM", "n", {}),
}  # fmt: skip
REFUSED = {
    "clip": ("GRU", "", {"clip": 0.1}, "limits what its activations read to 0.1"),
    "clip beyond what gates hold": ("LSTM", "", {"clip": 200.0, "activations": ["Sigmoid", "Relu", "Tanh"]}, "limits what its activations read to 200"),
    "clip of relu": ("RNN", "", {"clip": 20.0, "activations": ["Relu"]}, "limits what its activations read to 20"),
    "no length": ("LSTM", "0", {}, "its sequence_lens are 0 of 12 samples"),
    "a state of another width": ("LSTM", "w", {}, "its initial_c has 7 values, expected 5. ONNX has no projection"),
    "gru, relu": ("GRU", "", {"activations": ["Sigmoid", "Relu"]}, "activations are sigmoid, relu"),
    "hard gates of no known slope": ("LSTM", "", {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3]}, "slope 0.3"),
}  # fmt: skip
T = 12


def graph(path, kind, inputs, attributes):
    gates = GATES[kind]
    values = [constant("W", 1, gates * H, I), constant("R", 1, gates * H, H)]
    names = ["x", "W", "R", "", "", "", "", ""]
    if "-B" not in inputs:
        values.append(constant("B", 1, 2 * gates * H))
        names[3] = "B"
    lengths = {"n": T, "0": 0}.get(inputs)
    if lengths is not None:
        values.append(numpy_helper.from_array(np.array([lengths], np.int32), "lengths"))
        names[4] = "lengths"
    for key, place, shape in (("h", 5, (1, 1, H)), ("c", 6, (1, 1, H)), ("P", 7, (1, 3 * H))):
        if key in inputs:
            values.append(constant(key, *shape))
            names[place] = key
    if inputs == "w":
        values += [constant("h", 1, 1, H), constant("c", 1, 1, H + 2)]
        names[5:7] = "h", "c"
    while not names[-1]:
        names.pop()
    nodes = [
        helper.make_node(kind, names, ["seq"], name="rnn", hidden_size=H, **attributes),
        helper.make_node("Squeeze", ["seq", "axis"], ["y"]),
    ]
    values.append(numpy_helper.from_array(np.array([1]), "axis"))
    return write(path, nodes, values, x=(T, 1, I), y=(T, 1, H))


@pytest.mark.parametrize("name", CASES)
def test_a_variant_in_float_and_int8(tmp_path, name):
    kind, inputs, attributes = CASES[name]
    path = graph(tmp_path / "m.onnx", kind, inputs, attributes)
    samples = np.random.default_rng(1).normal(0, 1, (300, I)).astype(np.float32)
    found = convert_with_report(path, calibration=samples)
    assert "within" in found.proof
    x = samples[100:140]
    y, exact = LoadedModel(found.model).stream().run(x), found.float_model.run(x)
    np.testing.assert_allclose(y, exact, rtol=0, atol=4 * found.model.provenance.layers[-1].max_error)


@pytest.mark.parametrize("name", REFUSED)
def test_a_variant_that_is_refused(tmp_path, name):
    kind, inputs, attributes, message = REFUSED[name]
    path = graph(tmp_path / "m.onnx", kind, inputs, attributes)
    with pytest.raises(ConversionError, match=rf'node "rnn" \({kind}\): .*{message}'):
        readers.read(path)
