"""What is taken into the weights of a neighbour gives the same numbers, and what cannot be gets a layer of its own."""

import numpy as np
import pytest
from float_layer_cases import Floats

from edgelstm_converters.float_model import FloatModel, with_folded_affine
from edgelstm_converters.layers import FloatAdd, FloatAffine, FloatConcat, FloatDense, FloatLstm
from edgelstm_converters.scaling import fold

X = np.random.default_rng(0).normal(0, 2, (50, 3)).astype(np.float32)
make = Floats(1)


def test_batch_normalisation_goes_into_the_layer_before_it():
    dense, norm = FloatDense("fc", make(5, 3), make(5)), FloatAffine("norm", make(5), make(5), "relu")
    model = FloatModel(3, (dense, norm, FloatDense("head", make(2, 5), make(2))))
    folded = with_folded_affine(model)
    assert [(layer.name, layer.kind) for layer in folded.layers] == [("norm", "dense"), ("head", "dense")]
    np.testing.assert_allclose(folded.run(X), model.run(X), rtol=0, atol=2e-6)


def test_a_chain_of_factors_is_one_layer():
    parts = [FloatAffine(f"a{n}", make(3), make(3)) for n in range(3)]
    model = FloatModel(3, (*parts, FloatLstm("rnn", make(16, 3), make(16, 4), make(16))))
    folded = with_folded_affine(model)
    assert [layer.kind for layer in folded.layers] == ["affine", "lstm"]
    np.testing.assert_allclose(folded.run(X), model.run(X), rtol=0, atol=2e-6)


NOT_FOLDED = {
    "read twice": (
        FloatDense("fc", make(5, 3), make(5)),
        FloatAffine("norm", make(5), make(5)),
        FloatAdd("sum", 5, (1.0, 1.0), sources=("fc", "norm")),
    ),
    "after an activation": (
        FloatDense("fc", make(5, 3), make(5), "tanh"),
        FloatAffine("norm", make(5), make(5)),
    ),
    "at another rate": (
        FloatDense("fc", make(5, 3), make(5), period=2),
        FloatAffine("norm", make(5), make(5)),
    ),
    "after the channels": (FloatAffine("norm", make(3), make(3)), FloatDense("fc", make(5, 3), make(5))),
}


@pytest.mark.parametrize("case", NOT_FOLDED)
def test_what_cannot_be_folded_stays(case):
    model = FloatModel(3, NOT_FOLDED[case])
    assert with_folded_affine(model) is model


def test_an_output_of_the_model_is_not_folded_away():
    model = FloatModel(
        3, (FloatDense("fc", make(5, 3), make(5)), FloatAffine("norm", make(5), make(5))), ("fc", "norm")
    )
    assert with_folded_affine(model) is model


def test_scaling_that_a_layer_cannot_take_in_gets_a_layer():
    head = FloatDense("head", make(2, 6), make(2))
    model = FloatModel(3, (FloatConcat("both", (3, 3), sources=("input", "input")), head))
    scaling = {name: {"mean": 3.0 * n, "std": 2.0 + n} for n, name in enumerate("abc")}
    folded = fold(model, scaling, "abc", ("p", "q"))
    assert [layer.name for layer in folded.layers] == ["scaled input", "both", "head"]
    scaled = (X - np.float32([0, 3, 6])) / np.float32([2, 3, 4])
    np.testing.assert_allclose(folded.run(X), model.run(scaled), rtol=0, atol=2e-6)
