"""What each family refuses, as docs/layers.md lists it: one line that names the layer, and the value where there is one."""

import dataclasses

import numpy as np
import pytest
from layer_cases import INTEGER_CASES, Integers, integer_model

from edgelstm.errors import ModelFileError
from edgelstm.layers import FAMILIES, Dense, ElementProduct, Select
from edgelstm.model_check import check

COLUMNS, UNITS = 4, 6
MAKE = Integers(9, False)


def with_bias(product, value):
    return dataclasses.replace(product, bias=np.full_like(product.bias, value))


REFUSED = [
    ("lstm", {"gate_activation": "tanh"}, 'gate_activation is "tanh", expected one of sigmoid, hard_sigmoid, hard_sigmoid_6'),
    ("lstm", {"cell_activation": "softmax"}, 'cell_activation is "softmax", expected one of linear, relu'),
    ("lstm", {"output_activation": "elu"}, 'output_activation is "elu", expected one of linear, relu'),
    ("lstm", {"cell_clip": 128 << 23}, "cell_clip is 1073741824, expected 0 to 2**30 - 1"),
    ("lstm", {"output_exponent": 14}, "output_exponent is 14, expected 15 to 15"),
    ("lstm", {"cell_exponent": 23}, "cell_exponent is 23, expected 0 to 22"),
    ("lstm", {"hidden": MAKE.rows(4 * UNITS, UNITS - 1)}, "hidden.weights have shape (24, 5), which is not 4 x 5 rows"),
    ("lstm", {"inputs": MAKE.rows(4 * UNITS, 3)}, "inputs.weights have shape (24, 3), expected (24, 4)"),
    ("lstm", {"hidden_mask": np.ones(5, np.int8)}, "hidden_mask have shape (5,), expected (6,)"),
    ("lstm peephole", {"peephole": np.full((3, UNITS), 64 << 24, np.int32)}, "peephole[0, 0] is 1073741824, expected"),
    ("lstm clipped gates", {"gate_clip": 2**23}, "gate_clip is 8388608, expected 0 to"),
    ("lstm normalised", {"norm_epsilon": 2**60}, "norm_epsilon is 1152921504606846976, expected 0 to"),
    ("lstm normalised", {"norm": ElementProduct(*np.ones((3, 3), np.int32))}, "norm.multipliers have shape (3,), expected (24,)"),
    ("lstm projected clipped", {"projection_clip": -1}, "projection_clip is -1, expected 0 to"),
    ("lstm peephole", {"peephole": np.zeros((2, UNITS), np.int32)}, "peephole have shape (2, 6), expected (3, 6)"),
    ("lstm initial", {"initial_cell": np.full(UNITS, 128 << 23, np.int32)}, "initial_cell[0] is 1073741824, expected"),
    ("lstm initial", {"initial_hidden": np.zeros(5, np.int16)}, "initial_hidden have shape (5,), expected (6,)"),
    ("lstm projected", {"exponent": 65}, "exponent is 65, expected -64 to 64"),
    ("gru", {"hidden": with_bias(MAKE.rows(3 * UNITS, UNITS), 2**30)}, "which is not below 2**30"),
    ("gru", {"inputs": MAKE.rows(4 * UNITS, COLUMNS)}, "inputs.weights have shape (24, 4), expected (18, 4)"),
    ("gru", {"hidden_mask": np.ones(UNITS)}, "hidden_mask are float64, expected int8"),
    ("gru initial", {"initial_state": np.full(UNITS, 2**23 + 1, np.int32)}, "initial_state[0] is 8388609, expected -8388608 to"),
    ("rnn", {"activation": "softmax"}, 'activation is "softmax", expected one of linear, relu'),
    ("rnn", {"exponent": -65}, "exponent is -65, expected -64 to 64"),
    ("rnn relu", {"initial_hidden": np.zeros(UNITS)}, "initial_hidden are float64, expected int16"),
    ("rnn", {"hidden_mask": np.ones(5, np.int8)}, "hidden_mask have shape (5,), expected (6,)"),
    ("dense linear", {"activation": "gelu"}, 'activation is "gelu", expected one of linear, relu, sigmoid, tanh'),
    ("dense linear", {"product": MAKE.rows(UNITS, 3)}, "product.weights have shape (6, 3), expected (6, 4)"),
    ("dense linear", {"product": with_bias(MAKE.rows(UNITS, COLUMNS), 2**31 - 1)}, "which is not below 2**31"),
    ("affine", {"activation": "swish"}, 'activation is "swish", expected one of linear'),
    ("affine", {"product": MAKE.elements(3)}, "product.multipliers have shape (3,), expected (4,)"),
    ("concat", {"widths": (UNITS, COLUMNS, UNITS + 1)}, "widths are (6, 4, 7), its sources give (6, 4, 6)"),
    ("concat", {"sources": ("input",) * 65, "widths": (COLUMNS,) * 65}, "reads 65 layers, expected 1 to 64"),
    ("concat rescaled", {"product": MAKE.elements(3)}, "product.multipliers have shape (3,), expected (16,)"),
    ("select", {"first": 3}, "takes 4 values from 3 on, but its source gives 6"),
    ("select", {"first": -1}, "takes 4 values from -1 on, but its source gives 6"),
    ("select", {"count": 0}, "0 units, expected 1 to 8192"),
    ("add", {"sources": ("a", "input")}, '"input" gives 4 values, expected 6'),
    ("add", {"sources": ("a",)}, "reads 1 layers, expected 2 to 64"),
    ("add", {"activation": "mish"}, 'activation is "mish", expected one of linear'),
    ("add", {"product": MAKE.elements(UNITS)}, "product.multipliers have shape (6,), expected (12,)"),
    ("multiply", {"sources": ("a", "b", "a")}, "reads 3 layers, expected 2 to 2"),
    ("multiply", {"sources": ("a", "input")}, '"input" gives 4 values, expected 6'),
    ("conv1d", {"taps": 0}, "0 taps, 1 apart"),
    ("conv1d", {"dilation": 0}, "3 taps, 0 apart"),
    ("conv1d", {"dilation": 4096}, "reaches over 8193 samples, expected 1 to 8192"),
    ("conv1d", {"stride": 8193}, "stride is 8193, expected 1 to 8192"),
    ("conv1d", {"stride": 3, "due": 3}, "due is 3, expected less than its stride"),
    ("conv1d", {"taps": 4}, "product.weights have shape (6, 12), expected (6, 16)"),
    ("conv1d", {"activation": "selu"}, 'activation is "selu", expected one of linear'),
    ("conv1d", {"initial": np.zeros(3, np.int16)}, "initial have shape (3,), expected (4,)"),
    ("pool max", {"mode": "min"}, 'mode is "min", expected one of max, average'),
    ("pool max", {"window": 0}, "reaches over 0 samples, expected 1 to 8192"),
    ("pool max", {"window": 8193}, "reaches over 8193 samples, expected 1 to 8192"),
    ("pool max", {"initial": np.zeros(3, np.int16)}, "initial have shape (3,), expected (4,)"),
    ("normalization rms", {"epsilon": -1}, "epsilon is -1, expected 0 to 2**61 - 1"),
    ("normalization rms", {"exponent": 99}, "exponent is 99, expected -64 to 64"),
    ("normalization rms", {"product": MAKE.elements(3)}, "product.multipliers have shape (3,), expected (4,)"),
    ("embedding", {"sources": ("input",)}, "reads 4 values, expected 1; select one"),
    ("embedding", {"table": np.zeros((16_385, 2), np.int16)}, "16385 rows, expected 1 to 16384"),
    ("embedding", {"table": np.zeros((9, 2), np.int32)}, "table are int32, expected int16"),
    ("curve", {"knots": np.zeros(512, np.int32)}, "knots have shape (512,), expected (513,)"),
    ("curve", {"knots": np.full(513, 2**29, np.int32)}, "knots[0] is 536870912, expected -536870911 to 536870911"),
    ("curve", {"product": MAKE.elements(3)}, "product.multipliers have shape (3,), expected (4,)"),
    ("curve", {"exponent": 65}, "exponent is 65, expected -64 to 64"),
    ("masking", {"channels": (7,), "values": (0.0,)}, "looks at channel 7, but its source gives 4 values"),
    ("sequence", {"heads": ()}, "has no heads"),
    ("sequence", {"sources": ("input", "input")}, "its sources give 4, 4 values, expected those it reads, and 1 that ends"),
    ("decoder", {"steps": 1025}, "1025 steps, expected 1 to 1024"),
    ("decoder of values", {"end": 0}, "ends at symbol 0, but gives back values"),
    ("window", {"length": 4097}, "length is 4097, expected 1 to 4096"),
    ("window", {"hop": 4097}, "hop is 4097, expected 1 to 4096"),
    ("window", {"heads": (), "rows": ()}, "has no heads"),
    ("window", {"rows": (5, 5)}, "2 rows for 1 heads"),
    ("window", {"initial": np.zeros(3, np.int16)}, "initial have shape (3,), expected (4,)"),
    ("attention", {"window": 4097}, "window is 4097, expected 1 to 4096"),
    ("attention", {"heads": 3}, "4 values of keys are no 3 heads"),
    ("attention", {"multiplier": 2**30}, "multiplier is 1073741824"),
    ("attention", {"shift": 31}, "shift is 31, expected 0 to 30"),
    ("attention", {"width": 3}, "width is 3, expected 4"),
    ("attention", {"sources": ("input",) * 3}, "reads 3 layers, expected 1 or 2"),
    ("attention heads", {"queries": MAKE.rows(4, COLUMNS)}, "queries have 4 values, keys 12"),
    ("attention heads", {"values": MAKE.rows(5, COLUMNS)}, "5 values of values are no 2 heads"),
    ("attention additive", {"heads": 5}, "6 values of values are no 5 heads"),
    ("attention additive", {"keys": None, "queries": MAKE.rows(UNITS, COLUMNS)}, "has no queries or keys"),
    ("attention additive", {"score_weights": np.full(5, 8192 << 17, np.int32)}, "score_weights[0] is 1073741824, expected"),
    ("attention additive", {"queries": with_bias(MAKE.rows(5, COLUMNS), 2**30)}, "which is not below 2**30"),
    ("clockwork", {"sizes": (2, 2, 1)}, "groups have 5 units, expected 6"),
    ("clockwork", {"sizes": (6, 0, 0)}, "a group has 0 units"),
    ("clockwork", {"sizes": (), "periods": ()}, "0 groups, expected 1 to 64"),
    ("clockwork", {"periods": (1, 2)}, "3 groups have 2 periods"),
    ("clockwork", {"periods": (1, 5, 2)}, "periods are (1, 5, 2), expected the fastest first"),
    ("clockwork", {"periods": (1, 2, 1 << 21)}, "a period is 2097152, expected 1 to 1048576"),
    ("clockwork", {"hidden": MAKE.rows(UNITS, UNITS)}, "group 1 sees a faster one"),
    ("clockwork", {"activation": "softmax"}, 'activation is "softmax", expected one of linear'),
    ("variational", {"masks": np.ones((1, COLUMNS + 2 * UNITS + 6), np.int8)}, "1 runs, expected 2 to 128"),
    ("variational", {"masks": np.ones((129, COLUMNS + 2 * UNITS + 6), np.int8)}, "129 runs, expected 2 to 128"),
    ("variational", {"masks": np.full((2, COLUMNS + 2 * UNITS + 6), 2, np.int8)}, "masks[0, 0] is 2, expected 0 to 1"),
    ("variational", {"masks": np.ones((2, 5), np.int8)}, "masks have shape (2, 5), expected (2, 22)"),
    ("conv_lstm", {"kernel": 2}, "kernel is 2, expected odd"),
    ("conv_lstm", {"kernel": 17}, "kernel is 17, expected odd"),
    ("conv_lstm", {"rows": 5}, "24 values are no grid of 5 x 4"),
    ("conv_lstm", {"rows": 0}, "a grid of 0 x 4"),
    ("conv_lstm", {"kernel": 5}, "inputs.weights have shape (8, 18), expected (8, 50)"),
]  # fmt: skip
"""A case of `INTEGER_CASES`, what is changed of its layer "l", and what the line says behind the layer's name."""


@pytest.mark.parametrize(
    ("case", "changes", "message"), REFUSED, ids=[f"{case}: {said}" for case, _, said in REFUSED]
)
def test_what_a_family_refuses(case, changes, message):
    model = integer_model(case, 1, COLUMNS, UNITS)
    layers = tuple(
        dataclasses.replace(layer, **changes) if layer.name == "l" else layer for layer in model.layers
    )
    with pytest.raises(ModelFileError) as refused:
        check(dataclasses.replace(model, layers=layers))
    assert str(refused.value).startswith('layer "l"')
    assert message in str(refused.value)


def test_every_family_refuses_something():
    assert {case.split()[0] for case, *_ in REFUSED} == set(FAMILIES)


INSIDE = {
    "a mask in a window": ("window", lambda inner, mask: (*inner, mask), 'its layer "m" looks at the newest sample only'),
    "a mask in a decoder": ("decoder", lambda inner, mask: (*inner, mask), 'its layer "m" (masking) does not run at every step'),
    "a period in masked runs": ("variational", lambda inner, mask: (dataclasses.replace(inner[0], period=2), *inner[1:]), "runs now and then, expected at"),
    "sources in masked runs": ("variational", lambda inner, mask: (dataclasses.replace(inner[0], sources=("input",)), *inner[1:]), "has sources, expected a chain"),
}  # fmt: skip


@pytest.mark.parametrize("what", INSIDE)
def test_what_cannot_stand_inside_is_refused_by_name(what):
    case, changed, message = INSIDE[what]
    mask = dataclasses.replace(INTEGER_CASES["masking"](MAKE, 1, 1)[0], name="m", sources=("input",))
    model = integer_model(case, 1, COLUMNS, UNITS)
    layers = []
    for layer in model.layers:
        if layer.name == "l":
            layer = dataclasses.replace(layer, layers=changed(layer.layers, mask))
        layers.append(layer)
    with pytest.raises(ModelFileError) as refused:
        check(dataclasses.replace(model, layers=tuple(layers)))
    assert str(refused.value).startswith('layer "l"')
    assert message in str(refused.value)


def test_a_number_of_layers_and_a_name_are_refused():
    model = integer_model("rnn", 1, COLUMNS, UNITS)
    (layer,) = model.layers
    dense = [Dense(f"d{n}", MAKE.rows(UNITS, UNITS)) for n in range(64)]
    for layers, message in (
        ((layer, *dense), "65 layers, expected 1 to 64"),
        ((), "0 layers, expected 1 to 64"),
        ((layer, Select("l", 0, UNITS)), 'two layers are named "l"'),
        ((dataclasses.replace(layer, name=""),), "a layer has an empty name"),
        ((dataclasses.replace(layer, period=(1 << 20) + 1),), "period is 1048577, expected 1 to 1048576"),
    ):
        with pytest.raises(ModelFileError, match=message):
            check(dataclasses.replace(model, layers=layers, heads=("l",)))
