"""Names of weights, as PyTorch writes them, to layers; and what is refused by its name."""

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.modules import assemble

RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def lstm(prefix="lstm.", inputs=3, units=4, layers=1, gates=4, bias=True):
    weights = {}
    for layer in range(layers):
        columns = inputs if layer == 0 else units
        weights[f"{prefix}weight_ih_l{layer}"] = array(gates * units, columns)
        weights[f"{prefix}weight_hh_l{layer}"] = array(gates * units, units)
        if bias:
            weights[f"{prefix}bias_ih_l{layer}"] = array(gates * units)
            weights[f"{prefix}bias_hh_l{layer}"] = array(gates * units)
    return weights


def linear(prefix, inputs, outputs, bias=True):
    weights = {f"{prefix}weight": array(outputs, inputs)}
    return weights | ({f"{prefix}bias": array(outputs)} if bias else {})


def read(weights, *, in_order=True, order=None, activations=None, inputs=None):
    return assemble(weights, in_order=in_order, order=order, activations=activations, inputs=inputs)


def test_a_stacked_lstm_and_its_head():
    weights = lstm(layers=2) | linear("head.", 4, 2)
    model = read(weights)
    assert [layer.name for layer in model.layers] == ["lstm_0", "lstm_1", "head"]
    assert (model.inputs, model.outputs) == (3, 2)
    np.testing.assert_array_equal(
        model.layers[0].bias, weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"]
    )


def test_a_gru_without_bias_and_without_a_prefix():
    model = read(lstm("", gates=3, bias=False))
    assert model.layers[0].kind == "gru"
    assert not model.layers[0].input_bias.any()
    assert model.layers[0].reset_after


def test_cells_are_layers():
    model = read({"cell.weight_ih": array(16, 3), "cell.weight_hh": array(16, 4)})
    assert [(layer.name, layer.kind) for layer in model.layers] == [("cell", "lstm")]


def test_order_is_found_by_sizes_where_the_file_has_none():
    weights = linear("a_head.", 6, 2) | linear("b_mid.", 4, 6) | lstm("z.")
    model = read(weights, in_order=False, activations=["relu", "linear"])
    assert [layer.name for layer in model.layers] == ["z", "b_mid", "a_head"]
    assert [layer.activation for layer in model.layers[1:]] == ["relu", "linear"]


def test_order_that_sizes_leave_open_is_asked_for():
    weights = lstm("z.") | linear("a.", 4, 4) | linear("b.", 4, 4)
    with pytest.raises(ConversionError, match=r"2 orders fit: say --order z,a,b"):
        read(weights, in_order=False, activations=["relu", "linear"])
    model = read(weights, in_order=False, order=["z", "b", "a"], activations=["relu", "linear"])
    assert [layer.name for layer in model.layers] == ["z", "b", "a"]


REFUSED = {
    "bidirectional": (
        lstm() | {"lstm.weight_ih_l0_reverse": array(16, 3)},
        "its weight_hh_reverse of layer 0 is missing",
    ),
    "projection": (
        lstm() | {"lstm.weight_hr_l0": array(2, 4)},
        r"weight_hr has shape \(2, 4\), which does not fit",
    ),
    "a mean": (
        lstm() | {"bn.running_mean": array(4)},
        r'"bn\.running_mean" of shape \(4,\) belongs to no',
    ),
    "not finite": ({k: v * np.float32(np.nan) for k, v in lstm().items()}, "not finite"),
    "empty": ({}, "holds no weights"),
    "missing part": (
        {k: v for k, v in lstm(layers=2).items() if k != "lstm.weight_hh_l1"},
        "weight_hh of layer 1 is missing",
    ),
    "missing first layer": (
        {k: v for k, v in lstm(layers=2).items() if not k.endswith("_l0")},
        '"lstm": its weight_ih of layer 0 is missing',
    ),
    "one bias of two": (
        {k: v for k, v in lstm().items() if k != "lstm.bias_hh_l0"},
        "its bias_hh of layer 0 is missing",
    ),
    "bias alone": ({"head.bias": array(4)}, '"head": its weight of layer 0 is missing'),
    "length of a bias": (
        linear("head.", 4, 2) | {"head.bias": array(5)},
        r"bias has shape \(5,\), expected \(2,\)",
    ),
    "length of a gate bias": (
        lstm() | {"lstm.bias_hh_l0": array(4)},
        r"bias_hh has shape \(4,\), expected \(16,\)",
    ),
    "widths inside a stack": (
        lstm(layers=2) | {"lstm.weight_ih_l1": array(16, 9)},
        '"lstm_1" takes 9 values but the layer before it gives 4',
    ),
    "no values": ({"head.weight": array(2, 0)}, r"shape \(2, 0\)"),
    "integers": ({"head.weight": np.ones((2, 4), np.int8)}, "int8 of shape .* expected floating point"),
    "attention": (lstm() | {"attn.in_proj_weight": array(12, 4)}, '"attn.in_proj_weight" .* belongs to no'),
    "convolution": (
        lstm() | {"conv.weight": array(8, 4, 3)},
        r'"conv.weight" has shape \(8, 4, 3\), as of a Conv1d of 3 taps: .* an architecture file does \(kind = "conv1d"',
    ),
    "an image": (
        lstm() | {"cnn.0.weight": array(8, 1, 3, 3)},
        "as of a convolution along 2 axes, which is not found",
    ),
    "batch norm": (
        lstm() | {"bn.weight": array(4), "bn.bias": array(4), "bn.running_mean": array(4)},
        '"bn.weight" .*, as of a batch normalisation',
    ),
    "layer norm": (lstm() | {"ln.weight": array(4)}, "a layer normalisation is said in an architecture file"),
    "vanilla": (lstm(gates=1), "is a plain RNN, and the file does not say whether with tanh or relu"),
    "linear in front": (
        linear("in.", 3, 3) | lstm(),
        "what follows the linear modules in: say --activations, 1 of",
    ),
    "five gates": (lstm(gates=5), r"no LSTM \(4 gates\), GRU \(3\) or RNN \(1\)"),
    "two heads": (
        lstm() | linear("a.", 4, 8) | linear("b.", 8, 2),
        r"say --activations, 2 of linear.*; more converts out of a graph",
    ),
    "sizes": (lstm() | linear("head.", 5, 2), r'"lstm" gives 4 values but "head" after it takes 5'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    weights, message = REFUSED[case]
    with pytest.raises(ConversionError, match=message):
        read(weights)


def test_wrong_activations_are_named():
    with pytest.raises(
        ConversionError,
        match=r'activation "gelu", expected one of linear.*softmax; more converts out of a graph',
    ):
        read(lstm() | linear("head.", 4, 2), activations=["gelu"])
    with pytest.raises(ConversionError, match="2 activations for 1 linear"):
        read(lstm() | linear("head.", 4, 2), activations=["relu", "relu"])


def test_the_number_of_channels_decides_an_order_that_sizes_leave_open():
    """lstm and head feed each other in a circle: only one of them takes three channels."""
    weights = linear("a_head.", 4, 3) | lstm("z.")
    with pytest.raises(ConversionError, match="2 orders fit: say --order a_head,z"):
        read(weights, in_order=False)
    assert [layer.name for layer in read(weights, in_order=False, inputs=3).layers] == ["z", "a_head"]
    with pytest.raises(ConversionError, match=r"3 or 4 inputs but the calibration has 7 channels"):
        read(weights, in_order=False, inputs=7)


def test_a_linear_layer_in_front_is_not_put_at_the_end():
    weights = linear("in.", 3, 4) | lstm("rnn.", inputs=4) | linear("out.", 4, 3)
    model = read(weights, in_order=False, inputs=3, activations=["tanh", "linear"])
    assert [layer.name for layer in model.layers] == ["in", "rnn", "out"]
    assert [layer.activation for layer in (model.layers[0], model.layers[2])] == ["tanh", "linear"]


def test_many_modules_without_an_order_are_asked_for_it():
    weights = {}
    for name in "abcdefgh":
        weights |= linear(f"{name}.", 4, 4)
    with pytest.raises(ConversionError, match="order of its 8 modules: say --order a,b,c,d,e,f,g,h"):
        read(weights, in_order=False, activations=["linear"] * 8)


def test_sizes_that_fit_in_no_order():
    with pytest.raises(ConversionError, match="lstm, head fit together in no order"):
        read(lstm() | linear("head.", 7, 9), in_order=False)


def test_an_order_that_names_another_module():
    with pytest.raises(ConversionError, match="--order names lstm, had; the modules are lstm, head"):
        read(lstm() | linear("head.", 4, 2), order=["lstm", "had"])


def test_gru_cells_and_modules_in_modules():
    weights = {"net.0.weight_ih": array(12, 3), "net.0.weight_hh": array(12, 4)} | linear("net.1.", 4, 2)
    assert [(layer.name, layer.kind) for layer in read(weights).layers] == [
        ("net.0", "gru"),
        ("net.1", "dense"),
    ]


def test_half_precision_weights_become_float32():
    model = read({name: tensor.astype(np.float16) for name, tensor in lstm().items()})
    assert model.layers[0].input_weights.dtype == np.float32


@pytest.mark.parametrize("activations", [None, ["relu"]])
def test_a_single_head_is_linear_unless_said_otherwise(activations):
    model = read(lstm() | linear("head.", 4, 2, bias=False), activations=activations)
    assert model.layers[1].activation == (activations or ["linear"])[0]
    assert not model.layers[1].bias.any()
