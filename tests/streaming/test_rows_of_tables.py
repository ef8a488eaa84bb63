"""A number that is in no table is never the nearest row: it is refused, or, by a detector, counted and missing."""

import dataclasses
from unittest import mock

import msgspec
import numpy as np
import pytest
from float_layer_cases import Floats
from layer_cases import integer_model, loud

from detector_cases import settings_for, times
from edgelstm.backend import kernels
from edgelstm.detector import Detector
from edgelstm.errors import ConversionError, ModelFileError, SampleError, UsageError
from edgelstm.layers import Dense, Select, Variational, Window
from edgelstm.model_check import check
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatDense, FloatEmbedding, FloatSelect, FloatWindow
from edgelstm_converters.readers import Reading

MODEL = LoadedModel(integer_model("embedding", 0))
X = loud("embedding", 0, 20, 4)
WRONG = [-0.51, 8.5, 9.0, -1e30, 3e38]
LIMITS = [-0.5, 8.499]


def with_value(value, row=13):
    x = X.copy()
    x[row, 0] = value
    return x


@pytest.mark.parametrize("value", WRONG)
def test_it_is_refused_and_leaves_no_trace(value):
    message = r'channel "c0" is the number of a row of a table, expected 0 to 8'
    x, stream, many = with_value(value), MODEL.stream(), MODEL.streams(4)
    stream.run(X)
    before, others = stream.snapshot(), [many.snapshot(n) for n in range(4)]
    with pytest.raises(SampleError, match=r"the sample at \[0\] is .*" + message):
        stream.step(x[13])
    with pytest.raises(SampleError, match=r"the sample at \[13, 0\] is .*" + message):
        stream.run(x)
    with pytest.raises(SampleError, match=r"the sample at \[1, 0\] is .*" + message):
        many.step(x[12:16])
    assert stream.snapshot() == before
    assert [many.snapshot(n) for n in range(4)] == others


@pytest.mark.parametrize("value", WRONG + LIMITS)
def test_the_twin_refuses_the_same(value):
    x, codes = with_value(value), []
    for engine in (twin, kernels().step) if kernels().compiled.COMPILES else (twin,):
        state = MODEL.program.initial_state()
        context, _owner = engine.bind(MODEL.program.words, state, MODEL.program.new_scratch())
        codes.append(engine.execute_block(context, x, np.empty((len(x), MODEL.outputs), np.float32)))
    assert set(codes) == {-1 if value in LIMITS else 13 * 4}


def test_a_detector_counts_it_as_out_of_range():
    """The same as a value that is missing; the network is never given it."""
    outputs = tuple(msgspec.structs.replace(y, name=f"c{n}") for n, y in enumerate(MODEL.model.outputs))
    loaded = LoadedModel(dataclasses.replace(MODEL.model, outputs=outputs))
    settings = settings_for(loaded.channel_names, warm_up=5)
    found = []
    for value in (9.0, np.nan):
        detector = Detector(loaded, settings)
        scores = detector.push_block(times(20), with_value(value)).scores
        assert detector.counters["out_of_range"] == int(value == 9.0)
        assert detector.counters["missing_values"] == detector.counters["held"] == 1
        found.append(scores)
    np.testing.assert_array_equal(*found)


def test_a_network_for_each_channel_apart_has_no_rows_to_choose():
    model = dataclasses.replace(MODEL.model, channels=MODEL.model.channels[:2])
    with pytest.raises(UsageError, match="chooses rows of a table"):
        Detector(LoadedModel(model), settings_for(["a", "b"], network="apart"))


def converted(layers, x, scaling=None):
    reading = Reading(FloatModel(x.shape[1], layers), "")
    with mock.patch("edgelstm_converters.readers.read", return_value=reading):
        return convert_with_report(object(), calibration=x, scaling=scaling)


def embedded(make):
    return (
        FloatSelect("s", 1, 1, 2),
        FloatEmbedding("e", make(7, 5)),
        FloatDense("d", make(3, 5), make(3)),
    )


def few_rows(samples=60):
    rng = np.random.default_rng(0)
    return np.stack([rng.normal(size=samples), rng.integers(0, 2, samples)], axis=1).astype(np.float32)


def test_every_row_is_there_whichever_calibration_has_seen():
    conversion = converted(embedded(Floats(0)), few_rows())
    x = np.stack([np.zeros(7), np.arange(7)], axis=1).astype(np.float32)
    found = LoadedModel(conversion.model).stream().run(x)
    np.testing.assert_allclose(found, conversion.float_model.run(x), rtol=0, atol=0.02)


def test_a_number_may_pass_through_a_scaling_that_leaves_it_alone():
    scaling = {"x0": {"mean": 1.0, "std": 2.0}, "x1": {"mean": 0.0, "std": 1.0}}
    plain, scaled = (converted(embedded(Floats(0)), few_rows(), each) for each in (None, scaling))
    np.testing.assert_array_equal(plain.found, scaled.found)
    scaling["x1"] = {"mean": 0.0, "std": 2.0}
    with pytest.raises(ConversionError, match=r'layer "e": reads a computed value, expected a channel'):
        converted(embedded(Floats(0)), few_rows(), scaling)


def test_calibration_has_no_number_outside_the_table():
    x = few_rows()
    x[7, 1] = 7.0
    with pytest.raises(
        ConversionError, match=r'layer "e": sample 7 chooses row 7 of a table, expected 0 to 6'
    ):
        converted(embedded(Floats(0)), x)


def test_windows_look_numbers_up_too():
    window = FloatWindow("w", 2, 4, embedded(Floats(0)), ("d",), (3,))
    loaded = LoadedModel(converted((window,), few_rows()).model)
    assert loaded.model.rows_by_channel == {1: 7}
    with pytest.raises(SampleError, match=r'channel "x1" is the number of a row of a table, expected 0 to 6'):
        loaded.stream().step(np.float32([0.0, 7.0]))


def of_layers(*layers, channels=MODEL.model.channels):
    outputs = MODEL.model.outputs[:1] * layers[-1].units
    named = tuple(msgspec.structs.replace(y, name=f"y{n}") for n, y in enumerate(outputs))
    return dataclasses.replace(MODEL.model, layers=layers, channels=channels, outputs=named)


def test_a_model_file_cannot_hide_a_number():
    """Not behind a computed value, a mask, or an input stage that cannot tell rows apart."""
    embedding = dataclasses.replace(MODEL.model.layers[1], name="e")
    dense = integer_model("dense linear", 0, units=1).layers[0]
    chain = (Select("s", 0, 1), embedding)
    hidden = Variational("v", chain, np.ones((2, 5), np.int8))
    for layers in ((dense, embedding), (hidden,), (dense, Window("w", 2, (embedding,), ("e",), (1,)))):
        with pytest.raises(ModelFileError, match=r'layer "e": reads a computed value, expected a channel'):
            check(of_layers(*layers))
    assert isinstance(dense, Dense)
    for changes in ({"offset": -1.0}, {"gain": 2.0**13}, {"gain": 2.0}):
        first, *others = MODEL.model.channels
        channels = (msgspec.structs.replace(first, **changes), *others)
        with pytest.raises(
            ModelFileError, match=r'channel "c0": offset .* do not hold the numbers of 9 rows'
        ):
            check(of_layers(*chain, channels=channels))
