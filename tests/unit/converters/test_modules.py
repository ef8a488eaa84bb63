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


def read(weights, *, in_order=True, order=None, activations=None):
    return assemble(weights, in_order=in_order, order=order, activations=activations)


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
        "weight_ih_l0_reverse.*bidirectional",
    ),
    "projection": (lstm() | {"lstm.weight_hr_l0": array(2, 4)}, "weight_hr_l0.*projection"),
    "convolution": (lstm() | {"conv.weight": array(4, 3, 5)}, r'"conv\.weight" has shape \(4, 3, 5\)'),
    "batch norm": (
        lstm() | {"bn.running_mean": array(4)},
        r'"bn\.running_mean" of shape \(4,\) belongs to no',
    ),
    "not finite": ({k: v * np.float32(np.nan) for k, v in lstm().items()}, "not finite"),
    "empty": ({}, "holds no weights"),
    "missing part": (
        {k: v for k, v in lstm(layers=2).items() if k != "lstm.weight_hh_l1"},
        "weight_hh_l1 is missing",
    ),
    "five gates": (lstm(gates=5), r"no LSTM \(4 gates\) or GRU \(3\)"),
    "two heads": (lstm() | linear("a.", 4, 8) | linear("b.", 8, 2), "say --activations, 2 of linear"),
    "sizes": (lstm() | linear("head.", 5, 2), r'"lstm" gives 4 values but "head" after it takes 5'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    weights, message = REFUSED[case]
    with pytest.raises(ConversionError, match=message):
        read(weights)


def test_wrong_activations_are_named():
    with pytest.raises(ConversionError, match='activation "gelu", expected one of linear'):
        read(lstm() | linear("head.", 4, 2), activations=["gelu"])
    with pytest.raises(ConversionError, match="2 activations for 1 linear"):
        read(lstm() | linear("head.", 4, 2), activations=["relu", "relu"])
