"""The twin against the mathematics it stands for, and the table against its definition."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgelstm.reference.activations import sigmoid, tanh, tanh_of_cell
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate31, saturate32
from edgelstm.reference.sigmoid_table import POSITIVE_KNOTS

INT32 = st.integers(-(2**31), 2**31 - 1)


def one(value):
    return np.array([value], np.int64)


@given(INT32, INT32)
def test_mulr_is_the_rounded_half_of_the_high_word(a, b):
    assert mulr(one(a), one(b))[0] == (a * b + 2**30) // 2**31


@given(INT32, st.integers(1, 31))
def test_rshift_rounds_halves_up(value, bits):
    assert rshift(one(value), bits)[0] == math.floor(value / 2**bits + 0.5)


@given(st.integers(-(2**40), 2**40))
def test_saturation(value):
    assert saturate16(one(value))[0] == max(-(2**15), min(value, 2**15 - 1))
    assert saturate31(one(value))[0] == max(-(2**30), min(value, 2**30 - 1))
    assert saturate32(one(value))[0] == max(-(2**31), min(value, 2**31 - 1))


def test_every_knot_is_the_rounded_logistic_function():
    exact = [1.0 / (1.0 + math.exp(-k / 32.0)) for k in range(POSITIVE_KNOTS.size)]
    np.testing.assert_allclose(POSITIVE_KNOTS / 2**31, exact, rtol=0, atol=0.51 * 2.0**-31)


def test_activations_are_close_to_the_functions():
    z = np.linspace(-20, 20, 200_001)
    q = np.rint(z * 65536).astype(np.int64)
    assert np.abs(sigmoid(q) / 2**31 - 1 / (1 + np.exp(-z))).max() < 2.0**-15
    assert np.abs(tanh(q) / 2**30 - np.tanh(z)).max() < 2.0**-14
    cell = np.rint(z * 2**23).astype(np.int64)
    assert np.abs(tanh_of_cell(cell) / 2**30 - np.tanh(z)).max() < 2.0**-14


@given(INT32)
def test_activations_are_symmetric_and_never_reach_one(z):
    assert sigmoid(one(z))[0] + sigmoid(one(-z))[0] == 2**31
    assert tanh(one(z))[0] == -tanh(one(-z))[0]
    assert tanh_of_cell(one(z))[0] == -tanh_of_cell(one(-z))[0]
    assert 0 < sigmoid(one(z))[0] < 2**31
    assert abs(int(tanh(one(z))[0])) < 2**30


def test_a_forget_gate_comes_near_one_and_never_reaches_it():
    z = np.arange(0, 2**21, 7)
    assert (np.diff(sigmoid(z)) >= 0).all()
    assert sigmoid(one(2**30))[0] == 2**31 - 249
