"""The formulas by themselves: logarithm, tail, budget, settings."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector_cases import plain_model, settings_for
from edgelstm.budget import interval_s
from edgelstm.detector_arrays import constants_of
from edgelstm.detector_settings import DetectorSettings, SettingsError
from edgelstm.kernels.detection.logarithm import log10
from edgelstm.kernels.detection.tail import CAP, learn_tail, surprise
from edgelstm.tail_fit import fit, kth_largest, return_level

CONSTANTS = constants_of(settings_for(plain_model().channel_names))


@given(st.floats(1.0, 1e150))
def test_our_logarithm_is_the_logarithm(x):
    assert math.isclose(log10(x), math.log10(x), rel_tol=4e-15, abs_tol=4e-16)


@pytest.mark.parametrize("power", range(0, 40, 3))
def test_it_is_near_exact_at_powers_of_ten(power):
    assert abs(log10(10.0**power) - power) <= 4e-15 * max(power, 1)


@given(st.floats(0.0, 0.44), st.floats(0.0, 50.0), st.floats(0.01, 10.0))
def test_surprise_is_minus_log_of_the_tail_probability(shape, excess, scale):
    mean = scale / (1.0 - shape)
    square = mean**2 * 2.0 * (1.0 - shape) / (1.0 - 2.0 * shape)
    tail = np.array([2.0, mean, square, 0.0, 0.0])
    if shape < 1e-3:
        expected = 2.0 + excess / scale / math.log(10.0)
    else:
        expected = 2.0 + math.log10(1.0 + shape * excess / scale) / shape
    found = surprise(2.0 + excess, CONSTANTS, tail, 0)
    assert found == pytest.approx(min(expected, CAP), rel=1e-2 if shape < 1e-3 else 1e-6)


def test_surprise_rises_from_nothing_and_is_capped():
    tail = np.array([2.0, 0.4, 0.3, 0.0, 0.0])
    found = [surprise(signal, CONSTANTS, tail, 0) for signal in np.linspace(0.0, 30.0, 300)]
    assert found[0] == 0.0
    assert found == sorted(found)
    assert found[-1] == CAP


def test_an_adaptive_tail_finds_its_quantile():
    """From a wrong start it comes to hold about one in a hundred of an exponential signal."""
    rng = np.random.default_rng(0)
    tail = np.array([1.0, 0.5, 0.5, 0.0, 0.0])
    signals = rng.exponential(size=60_000)
    for signal in signals:
        learn_tail(signal, CONSTANTS, tail, 0, 0.5, 0.05)
    assert 0.005 < math.exp(-tail[0]) < 0.02
    assert 0.6 < tail[1] < 1.8


def test_a_run_is_learned_once_when_it_ends():
    tail = np.array([1.0, 0.5, 0.5, 0.0, 0.0])
    for _ in range(30):
        learn_tail(4.0, CONSTANTS, tail, 0, 0.5, 0.05)
    assert tail[1] == 0.5, "nothing is learned of a fault that goes on"
    learn_tail(0.0, CONSTANTS, tail, 0, 0.5, 0.05)
    assert 0.5 < tail[1] < 0.7
    assert tail[4] == 0.0


def test_fit_extrapolates_from_a_short_history():
    signal = np.random.default_rng(1).exponential(size=300)
    tail = fit(signal, 0.01, 0.1, 0.01)
    assert 3.0 < tail.threshold < 6.5  # 4.6
    assert fit(np.full(10, np.nan), 0.01, 0.5, 0.05).threshold == 0.5


def test_kth_largest_is_what_raises():
    scores = np.array([1.0, 5.0, 2.0, 6.0, 3.0, 0.0, 0.0])
    np.testing.assert_array_equal(kth_largest(scores, 2, 3), [2.0, 5.0, 3.0, 3.0, 0.0])


def test_return_level_grows_with_the_time_between():
    raising = np.random.default_rng(2).exponential(0.43, size=20_000)
    levels = [return_level(raising, 50, samples)[0] for samples in (1e3, 1e4, 1e6, 1e8)]
    assert levels == sorted(levels)
    assert return_level(raising, 50, 1e8)[1]
    assert not return_level(raising, 50, 1e3)[1]
    assert levels[2] == pytest.approx(0.43 * math.log(1e6), rel=0.25)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 per week", 604_800),
        ("2 per day", 43_200),
        ("1 per 12 h", 43_200),
        ("3/hour", 1200),
        ("1 every 2 weeks", 1_209_600),
        ("0.5 per day", 172_800),
    ],
)
def test_budgets(text, seconds):
    assert interval_s(text) == seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", float("nan")),
        ("period_ns", 0),
        ("raise_after", 9),
        ("clear_ratio", 2.0),
        ("channels", ()),
        ("raise_window", 61),
        ("threshold_low", 9.0),
    ],
)
def test_settings_out_of_range_name_themselves(name, value):
    good = settings_for(["a"])
    fields = {field: getattr(good, field) for field in good.__struct_fields__}
    with pytest.raises(SettingsError, match=name.split("_")[0]):
        DetectorSettings(**{**fields, name: value})


def test_a_wrong_settings_document_is_one_line():
    document = msgspec.json.encode(settings_for(["a"])).replace(b'"clear_ratio":0.7', b'"clear_ratio":7.0')
    with pytest.raises(msgspec.ValidationError, match=r"clear_ratio is 7\.0, expected 0 to 1"):
        msgspec.json.decode(document, type=DetectorSettings)
    document = document.replace(b'"clear_ratio":7.0', b'"claer_ratio":0.7')
    with pytest.raises(msgspec.ValidationError, match="claer_ratio"):
        msgspec.json.decode(document, type=DetectorSettings)


def test_warm_up_compiles_without_a_model():
    from edgelstm.detector import warm_up

    warm_up()
