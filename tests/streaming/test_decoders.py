"""Sequences that end with a symbol, and what is decoded behind them; what cannot be is refused."""

import dataclasses

import numpy as np
import pytest
from layer_cases import Integers, integer_model

from edgelstm.errors import ModelFileError
from edgelstm.layers import Embedding, Gru, Lstm, Masking, Rnn, SequenceLayers
from edgelstm.model import Channel, Model, Output
from edgelstm.model_check import check
from edgelstm.stream import LoadedModel

END = 0.25
RNG = np.random.default_rng(0)
X = RNG.normal(0, 2, (40, 3)).astype(np.float32)
X[[6, 7, 19, 39], 0] = END


def model_of(*layers):
    channels = tuple(Channel(name=f"c{n}", gain=2.0**12) for n in range(3))
    outputs = tuple(Output(name=f"y{n}", scale=2.0**-15) for n in range(layers[-1].units))
    return Model(channels, outputs, layers)


def of_inner(*inner, heads=None, sources=("input", "e")):
    mask = Masking("e", (0,), (END,), matches=True)
    return model_of(mask, SequenceLayers("s", inner, heads or (inner[-1].name,), sources=sources))


def test_a_sequence_is_a_new_stream_after_its_end():
    """To the bit, through several streams and a snapshot at each place."""
    make = Integers(1, False)
    inner = (
        Lstm("a", make.rows(20, 3), make.rows(20, 5), initial_cell=make.words(2**29, 5)),
        Gru("b", make.rows(12, 5), make.rows(12, 4), initial_state=make.words(2**23, 4)),
    )
    loaded, alone = LoadedModel(of_inner(*inner)), LoadedModel(model_of(*inner))
    expected = np.concatenate([alone.stream().run(part) for part in np.split(X, [7, 8, 20])])
    np.testing.assert_array_equal(loaded.stream().run(X), expected)
    for cut in (6, 7, 8, 9):
        stream, successor = loaded.stream(), loaded.stream()
        stream.run(X[:cut])
        successor.restore(stream.snapshot())
        np.testing.assert_array_equal(successor.run(X[cut:]), expected[cut:])


@pytest.mark.parametrize("phase", [0, 2])
def test_a_layer_that_first_runs_later_gives_zeros_until_then(phase):
    """Its initial state is where it begins, not what it gave."""
    make = Integers(2, False)
    lstm = Lstm("a", make.rows(20, 3), make.rows(20, 5), initial_hidden=make.int16(5), period=3, phase=phase)
    rnn = Rnn("b", make.rows(5, 3), make.rows(5, 5), initial_hidden=make.int16(5), period=3, phase=phase)
    gru = Gru(
        "c", make.rows(15, 3), make.rows(15, 5), initial_state=make.words(2**23, 5), period=3, phase=phase
    )
    for layer in (lstm, rnn, gru):
        found = LoadedModel(model_of(layer)).stream().run(X)
        every = LoadedModel(model_of(dataclasses.replace(layer, period=1, phase=0))).stream().run(X[phase::3])
        np.testing.assert_array_equal(found[:phase], 0.0)
        np.testing.assert_array_equal(found[phase:], np.repeat(every, 3, axis=0)[: len(X) - phase])


def test_a_sequence_that_cannot_run_is_refused():
    make = Integers(3, False)
    gru = Gru("g", make.rows(12, 3), make.rows(12, 4))
    for model, message in (
        (of_inner(gru, heads=("x",)), r'layer "s": "x" is none of its layers'),
        (
            of_inner(gru, sources=("input",)),
            r'layer "s": its sources give 3 values, expected those it reads, and 1',
        ),
        (of_inner(gru, sources=("input", "input")), r'layer "s": its sources give 3, 3 values'),
    ):
        with pytest.raises(ModelFileError, match=message):
            check(model)


WRONG = {
    "no step": ({"steps": 0}, r'layer "l": 0 steps, expected 1 to 1024'),
    "no such layer": ({"feedback": "x"}, r'layer "l": gives back "x", which is none of its layers'),
    "no symbol": ({"feedback": "g"}, r'layer "l": "g" is no dense layer'),
    "no recurrent layer": (
        {"begins": ("d",)},
        r'layer "l": begins the state of "d", which is no recurrent layer',
    ),
    "twice": ({"begins": ("g", "g")}, r'layer "l": begins a state twice: g, g'),
    "a state too few": ({"begins": ()}, r'layer "l": its source gives 7 values, its states have 0'),
    "no such symbol": ({"end": 5}, r'layer "l": ends at symbol 5, expected -1 to 4'),
    "a start too far": (
        {"start": np.int16([20])},
        r'layer "l": a table has 5 rows for 5 symbols, and 5 to start with',
    ),
    "two starts": ({"start": np.int16([0, 0])}, r'layer "l": start have shape \(2,\), expected \(1,\)'),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_decoder_that_cannot_run_is_refused(case):
    changes, message = WRONG[case]
    model = integer_model("decoder", 0)
    first, decoder, last = model.layers
    with pytest.raises(ModelFileError, match=message):
        check(dataclasses.replace(model, layers=(first, dataclasses.replace(decoder, **changes), last)))


def test_a_decoder_has_a_row_for_every_symbol():
    model = integer_model("decoder", 0)
    first, decoder, last = model.layers
    embedding, *others = decoder.layers
    assert isinstance(embedding, Embedding)
    short = dataclasses.replace(embedding, table=embedding.table[:4])
    late = dataclasses.replace(embedding, period=2)
    for changed, message in (
        (short, r'layer "l": a table has 4 rows for 5 symbols'),
        (late, r'layer "l": its layer "e" \(embedding\) does not run at every step'),
    ):
        layers = (first, dataclasses.replace(decoder, layers=(changed, *others)), last)
        with pytest.raises(ModelFileError, match=message):
            check(dataclasses.replace(model, layers=layers))


def test_the_symbol_that_ends_fills_the_rest():
    """Random networks: behind the end nothing else comes, and some do end."""
    ended = 0
    for seed in range(12):
        model = integer_model("decoder", seed)
        outputs = tuple(Output(name=f"y{n}", scale=0.25) for n in range(6))
        decoder = dataclasses.replace(model, layers=model.layers[:2], outputs=outputs)
        for row in LoadedModel(decoder).stream().run(RNG.normal(0, 3, (30, 4)).astype(np.float32)):
            assert set(row) <= set(range(5))
            behind = row[row.tolist().index(3) :] if 3 in row else row[:0]
            ended += len(behind) > 1
            assert set(behind) <= {3}
    assert ended > 10
