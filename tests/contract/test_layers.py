"""Every family of the table keeps the promises: kernel = twin, streaming is exact, the file keeps it, int8 costs its weights."""

import numpy as np
import pytest
from float_layer_cases import FLOAT_CASES, Floats, converted, fed
from layer_cases import INTEGER_CASES, integer_model, loud
from rounded_weights import Products

from edgelstm import model_file
from edgelstm.backend import kernels
from edgelstm.layers import FAMILIES
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FLOAT_FAMILIES
from edgelstm_converters.report import snr_db

compiled = pytest.mark.skipif(
    not kernels().compiled.COMPILES, reason="Numba is switched off: nothing to compare"
)


def test_every_family_has_its_cases():
    for families, cases in ((FAMILIES, INTEGER_CASES), (FLOAT_FAMILIES, FLOAT_CASES)):
        assert {name.split()[0] for name in cases} == set(families)
    assert set(FAMILIES) == set(FLOAT_FAMILIES)


@compiled
@pytest.mark.parametrize("case", INTEGER_CASES)
def test_the_kernels_have_the_bits_of_the_twin(case):
    for seed, (columns, units) in enumerate([(4, 7), (1, 1), (3, 16), (17, 5), (2, 33), (6, 24)]):
        for extreme in (False, True):
            loaded = LoadedModel(integer_model(case, seed, columns, units, extreme))
            x = loud(case, seed, 25, columns)
            stream = loaded.stream()
            y = stream.run(x)
            state, expected = loaded.program.initial_state(), np.full_like(y, np.nan)
            context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch())
            assert twin.execute_block(context, x, expected) == -1
            np.testing.assert_array_equal(y.view(np.int32), expected.view(np.int32))
            np.testing.assert_array_equal(stream._state, state)
            assert extreme or units < 5 or np.unique(y).size > 3  # they do compute something


@pytest.mark.parametrize("case", INTEGER_CASES)
def test_streaming_is_exact(case):
    loaded, x = LoadedModel(integer_model(case, 1)), loud(case, 1, 40, 4)
    block = loaded.stream().run(x)
    stream = loaded.stream()
    np.testing.assert_array_equal(np.array([stream.step(row) for row in x]), block)
    for cut in (1, 7, 22):
        stream, successor = loaded.stream(), LoadedModel(loaded.model).stream()
        stream.run(x[:cut])
        successor.run(x[:3])
        successor.restore(stream.snapshot())
        np.testing.assert_array_equal(successor.run(x[cut:]), block[cut:])
    many = loaded.streams(3)
    shifted = np.stack([x, np.roll(x, 5, axis=0), loud(case, 3, 40, 4)], axis=1)
    together = np.array([many.step(np.ascontiguousarray(rows)) for rows in shifted])
    for index in range(3):
        alone = loaded.stream()
        np.testing.assert_array_equal(together[:, index], alone.run(np.ascontiguousarray(shifted[:, index])))
        assert many.snapshot(index) == alone.snapshot()
        many.reset(index)
        assert many.snapshot(index) == loaded.stream().snapshot()


ENDLESS = {"lstm", "gru", "rnn", "clockwork", "conv_lstm", "sequence", "masking", "decoder", "variational"}
"""Kinds whose state, or that of what their cases hold, remembers without an end."""


@pytest.mark.parametrize("case", INTEGER_CASES)
def test_an_output_rests_on_as_many_samples_as_it_says(case):
    """Samples further back have no part in it, to the bit; the furthest that it names has, at one place at least."""
    loaded, x, other = LoadedModel(integer_model(case, 1)), loud(case, 1, 60, 4), loud(case, 7, 60, 4)
    memory = loaded.model.memory
    if memory is None:
        layers = [
            *loaded.model.layers,
            *(inner for each in loaded.model.layers for inner in getattr(each, "layers", ())),
        ]
        assert any(layer.kind in ENDLESS for layer in layers)
        return
    y, reached = loaded.stream().run(x), False
    for changed in range(1, 60 - memory):
        found = loaded.stream().run(np.concatenate([other[:changed], x[changed:]]))
        np.testing.assert_array_equal(found[changed + memory :], y[changed + memory :])
        reached |= (found[changed + memory - 1] != y[changed + memory - 1]).any()
    assert reached


@pytest.mark.parametrize("case", INTEGER_CASES)
def test_the_model_file_keeps_it(case, tmp_path):
    model = integer_model(case, 2)
    model_file.save(model, tmp_path / "m.elstm")
    again = model_file.load(tmp_path / "m.elstm")
    assert model_file.digest(again) == model_file.digest(model)
    x = loud(case, 2, 12, 4)
    np.testing.assert_array_equal(LoadedModel(again).stream().run(x), LoadedModel(model).stream().run(x))


LEAST_DB = 30.0
"""Where rounded weights leave less, the network magnifies any difference, and what is lost is chance."""


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_int8_loses_what_its_weights_lose(case):
    """Every random network: the noise of its rounded weights alone, 0.2 dB, and 60 dB below the signal; half of them 0.1 dB.

    Beside weights rounded each to its nearest it mostly gains; half of them lose no more than 0.1 dB by it, and none more
    than 1 dB: which rounding is better is judged on a part of the samples.
    """
    beside_weights_db, beyond_nearest_db = [], []
    for seed in range(3):
        model, x = FloatModel(3, FLOAT_CASES[case](Floats(seed), 3)), fed(case, seed, 800)
        products = Products()
        with products.recorded():
            conversion = converted(model, x)
        exact, rounding = model.run(x), conversion.model.provenance.rounding
        int8_db = snr_db(conversion.found, exact)
        assert int8_db < 150.0  # there is a signal
        for rounded, excess_db in ((rounding, beside_weights_db), ("nearest", beyond_nearest_db)):
            rounded_db = snr_db(products.into(conversion.float_model, rounded).run(x), exact)
            if rounded_db > LEAST_DB:
                excess_db.append(-10.0 * np.log10(10.0 ** (-rounded_db / 10) + 1e-6) - int8_db)
    assert np.median(beside_weights_db) <= 0.1, beside_weights_db
    assert max(beside_weights_db) <= 0.2, beside_weights_db
    assert np.median(beyond_nearest_db) <= 0.1, beyond_nearest_db
    assert max(beyond_nearest_db) <= 1.0, beyond_nearest_db


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_nothing_that_calibration_saw_is_called_saturated(case):
    """Whatever steps a family's values have: their end is where these samples do not come."""
    model, x = FloatModel(3, FLOAT_CASES[case](Floats(0), 3)), fed(case, 0, 200)
    assert [
        errors.saturated for errors in converted(model, x).model.provenance.layers if errors.saturated
    ] == []
