"""What a window is equal to, to the bit, and how late it is."""

import dataclasses

import numpy as np
import pytest
from layer_cases import Integers

from edgelstm.errors import ModelFileError
from edgelstm.layers import Conv1d, Dense, Gru, Window
from edgelstm.model import Channel, Model, Output
from edgelstm.model_check import check
from edgelstm.stream import LoadedModel

X = np.random.default_rng(0).normal(0, 2, (60, 3)).astype(np.float32)


def run(*layers, x=X):
    outputs = tuple(Output(name=f"y{n}", scale=2.0**-16) for n in range(layers[-1].units))
    channels = tuple(Channel(name=f"c{n}", gain=2.0**12) for n in range(3))
    return LoadedModel(Model(channels, outputs, layers)).stream().run(x)


def test_a_window_over_what_forgets_is_what_it_holds():
    """A network of finite memory gives the same in a window as in a stream: windowed and stateful are one."""
    conv = Conv1d("c", Integers(1, False).rows(5, 9), 3, 2, "tanh")
    window = Window("w", 5, (conv,), ("c",), (4,))
    head = Dense("d", Integers(9, False).rows(2, 5))  # reads the int16 of either
    np.testing.assert_array_equal(run(window, head), run(conv, head))


def test_a_window_begins_anew_each_time():
    """Its last output is that of a new stream which saw the samples of the window and nothing else."""
    make = Integers(2, False)
    gru = Gru("g", make.rows(12, 3), make.rows(12, 4))
    found = run(Window("w", 7, (gru,), ("g",), (6,)))
    for t in range(6, 60):
        np.testing.assert_array_equal(found[t], run(gru, x=X[t - 6 : t + 1])[-1])


@pytest.mark.parametrize("lookahead", [0, 1, 6])
def test_an_output_is_late_by_its_lookahead(lookahead):
    """What a window says about a sample arrives exactly so many samples later."""
    conv = Conv1d("c", Integers(3, False).rows(4, 3), 1, 1, "tanh")
    window = Window("w", 7, (conv,), ("c",), (6 - lookahead,), lookahead=lookahead)
    head = Dense("d", Integers(9, False).rows(2, 4))
    late, prompt = run(window, head), run(conv, head)
    np.testing.assert_array_equal(late[lookahead:], prompt[: len(X) - lookahead])
    channels = tuple(Channel(name=f"c{n}", gain=2.0**12) for n in range(3))
    assert Model(channels, (), (window,)).latency == lookahead


def test_hops_hold_the_output():
    make = Integers(4, False)
    gru = Gru("g", make.rows(12, 3), make.rows(12, 4))
    every = Window("w", 6, (gru,), ("g",), (5,))
    found, expected = run(dataclasses.replace(every, hop=4, due=1)), run(every)
    for t in range(1, 60):
        np.testing.assert_array_equal(found[t], expected[t - (t - 1) % 4])


WRONG = {
    "no such head": ({"heads": ("x",)}, r'layer "w": "x" is none of its layers'),
    "a row too many": ({"rows": (9,)}, r'layer "w": takes row 9, expected 0 to 5'),
    "too far ahead": ({"lookahead": 6}, r'layer "w": lookahead is 6, expected less than its length'),
    "no length": ({"length": 0}, r'layer "w": length is 0, expected 1 to 4096'),
    "a late hop": ({"hop": 2, "due": 2}, r'layer "w": due is 2, expected less than its hop'),
    "an inner layer that does not fit": (
        {"layers": (Conv1d("g", Integers(3, False).rows(4, 5), 1),)},
        r'layer "g"',
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_window_that_cannot_run_is_refused(case):
    changes, message = WRONG[case]
    conv = Conv1d("g", Integers(3, False).rows(4, 3), 1)
    window = dataclasses.replace(Window("w", 6, (conv,), ("g",), (5,)), **changes)
    channels = tuple(Channel(name=f"c{n}") for n in range(3))
    with pytest.raises(ModelFileError, match=message):
        check(Model(channels, tuple(Output(name=f"y{n}", scale=1.0) for n in range(4)), (window,)))
