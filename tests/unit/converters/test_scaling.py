"""Scaling that a network was trained with, read from a file and folded into its first and last layer."""

import json

import numpy as np
import pytest

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLstm, FloatModel
from edgelstm_converters.scaling import fold, read_scaling

RNG = np.random.default_rng(0)
CHANNELS = ("flow", "pressure")
SCALING = {"flow": {"mean": 200.0, "std": 25.0}, "pressure": {"mean": -3.0, "std": 0.5}}
MEAN, STD = np.array([200.0, -3.0]), np.array([25.0, 0.5])
X = RNG.normal(MEAN, STD, (300, 2)).astype(np.float32)
SCALED = ((X - MEAN) / STD).astype(np.float32)


def array(*shape):
    return RNG.normal(0, 0.4, shape).astype(np.float32)


FIRST = {
    "lstm": FloatLstm("first", array(20, 2), array(20, 5), array(20)),
    "gru": FloatGru("first", array(15, 2), array(15, 5), array(15), array(15)),
    "dense": FloatDense("first", array(5, 2), array(5), "tanh"),
}


def network(kind="lstm", activation="linear"):
    return FloatModel(2, (FIRST[kind], FloatDense("head", array(2, 5), array(2), activation)))


@pytest.mark.parametrize("kind", FIRST)
def test_folded_is_scale_run_unscale(kind):
    model = network(kind)
    found = fold(model, SCALING, CHANNELS, CHANNELS).run(X)
    np.testing.assert_allclose(found, model.run(SCALED) * STD + MEAN, rtol=0, atol=2e-4)


def test_only_outputs_that_are_channels_are_unscaled():
    model = network()
    found = fold(model, SCALING, CHANNELS, ("score", "flow")).run(X)
    exact = model.run(SCALED) * [1.0, 25.0] + [0.0, 200.0]
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-4)


def test_outputs_by_other_names_leave_the_last_layer_alone():
    model = network(activation="tanh")
    folded = fold(model, SCALING, CHANNELS, ("a", "b"))
    assert folded.layers[1] is model.layers[1]


def test_a_model_of_one_dense_layer_is_scaled_at_both_ends():
    model = FloatModel(2, (FloatDense("only", array(2, 2), array(2)),))
    found = fold(model, SCALING, CHANNELS, CHANNELS).run(X)
    np.testing.assert_allclose(found, model.run(SCALED) * STD + MEAN, rtol=0, atol=2e-4)


def test_the_model_that_is_folded_is_not_changed():
    model = network()
    before = model.run(SCALED)
    fold(model, SCALING, CHANNELS, CHANNELS)
    np.testing.assert_array_equal(model.run(SCALED), before)


def test_a_last_layer_that_is_not_linear_cannot_be_unscaled():
    with pytest.raises(
        ConversionError, match=r'output "flow" is a forecast .* last layer "head" is not linear'
    ):
        fold(network(activation="sigmoid"), SCALING, CHANNELS, CHANNELS)


def test_a_recurrent_last_layer_cannot_be_unscaled():
    model = FloatModel(2, (FloatLstm("rnn", array(8, 2), array(8, 2), array(8)),))
    with pytest.raises(ConversionError, match='last layer "rnn" is not linear'):
        fold(model, SCALING, CHANNELS, CHANNELS)


def test_a_channel_without_an_entry_and_an_entry_without_a_channel():
    with pytest.raises(ConversionError, match='no entry for channel "current"; it has: flow, pressure'):
        fold(network(), SCALING, ("flow", "current"), ("a", "b"))
    with pytest.raises(ConversionError, match='entry "presure", which is no channel: flow, pressure'):
        fold(network(), SCALING | {"presure": SCALING["flow"]}, CHANNELS, CHANNELS)


def test_what_the_training_example_writes_can_be_read(tmp_path):
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps(SCALING))
    assert read_scaling(path) == SCALING


WRONG = {
    "no JSON": ("mean,std\n1,2\n", "is no JSON"),
    "empty": ("", "is no JSON"),
    "a list": ("[1, 2]", "the scaling is not of the form"),
    "an entry that is a number": ('{"flow": 3}', 'channel "flow": expected .* found 3'),
    "no std": ('{"flow": {"mean": 1}}', 'channel "flow": expected'),
    "std 0": ('{"flow": {"mean": 1, "std": 0}}', 'channel "flow": std is 0, expected more than 0'),
    "std below 0": ('{"flow": {"mean": 1, "std": -2.5}}', r"std is -2\.5, expected more than 0"),
    "text": ('{"flow": {"mean": "1", "std": 2}}', 'channel "flow": expected'),
    "true": ('{"flow": {"mean": true, "std": 2}}', 'channel "flow": expected'),
    "NaN": ('{"flow": {"mean": NaN, "std": 2}}', 'channel "flow": expected'),
    "infinity": ('{"flow": {"mean": 1, "std": Infinity}}', 'channel "flow": expected'),
    "a number past every float": ('{"flow": {"mean": 1' + "0" * 400 + ', "std": 2}}', 'channel "flow": expected'),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_with_its_channel(tmp_path, case):
    content, message = WRONG[case]
    path = tmp_path / "scaling.json"
    path.write_text(content)
    with pytest.raises(ConversionError, match=rf"scaling\.json: .*{message}"):
        read_scaling(path)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(ConversionError, match=r"none\.json: cannot be read: No such file"):
        read_scaling(tmp_path / "none.json")
    with pytest.raises(ConversionError, match="cannot be read: Is a directory"):
        read_scaling(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConversionError, match=r"bytes\.json: is no JSON"):
        read_scaling(tmp_path / "bytes.json")


def test_a_table_given_from_python_is_checked_too():
    with pytest.raises(ConversionError, match="std is 0, expected more than 0"):
        fold(network(), SCALING | {"flow": {"mean": 1.0, "std": 0}}, CHANNELS, CHANNELS)
    folded = fold(
        network(),
        {n: {"mean": m, "std": s} for n, m, s in zip(CHANNELS, MEAN, STD, strict=True)},
        CHANNELS,
        CHANNELS,
    )
    assert np.isfinite(folded.run(X)).all()
