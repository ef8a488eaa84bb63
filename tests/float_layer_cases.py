"""For every family of layers: float layers with weights of the size that training gives them, for the converter."""

from unittest import mock

import numpy as np

from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.layers import (
    FloatAdd,
    FloatAffine,
    FloatAttention,
    FloatClockwork,
    FloatConcat,
    FloatConv1d,
    FloatConvLstm,
    FloatCurve,
    FloatDecoder,
    FloatDense,
    FloatEmbedding,
    FloatGru,
    FloatLstm,
    FloatMasking,
    FloatMultiply,
    FloatNormalization,
    FloatPool,
    FloatRnn,
    FloatSelect,
    FloatSequence,
    FloatWindow,
    bidirectional,
    variational,
)
from edgelstm_converters.layers.pointwise import Pointwise
from edgelstm_converters.readers import Reading


class Floats:
    """Makes random weights of the size that training gives them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape, spread=1.0):
        scale = spread / np.sqrt(shape[-1]) if len(shape) > 1 else 0.3 * spread
        return self.rng.normal(0, scale, shape).astype(np.float32)


def _float_lstm(make, columns, gates=4, units=12, outputs=None, spread=1.0, **options):
    outputs = outputs or units
    weights = make(gates * units, columns), make(gates * units, outputs, spread=spread)
    return (FloatLstm("l", *weights, make(gates * units), **options),)


def _float_pair(make, columns):
    first = FloatDense("a", make(6, columns), make(6), "tanh", sources=("input",))
    return first, FloatRnn("b", make(6, columns), make(6, 6), make(6), sources=("input",))


SILU = Pointwise((("x",), ("sigmoid", 0), ("product", 0, 1)))


FLOAT_CASES = {
    "lstm": _float_lstm,
    "lstm hard": lambda m, c: _float_lstm(m, c, gate_activation="hard_sigmoid"),
    "lstm hard 6": lambda m, c: _float_lstm(
        m, c, gate_activation="hard_sigmoid_6", output_activation="hard_sigmoid"
    ),
    "lstm relu": lambda m, c: _float_lstm(m, c, cell_activation="relu", output_activation="relu", spread=0.3),
    "lstm linear": lambda m, c: _float_lstm(m, c, output_activation="linear", cell_clip=1.5),
    "lstm peephole": lambda m, c: _float_lstm(m, c, peephole=m(3, 12)),
    "lstm coupled": lambda m, c: _float_lstm(m, c, gates=3, coupled=True, peephole=m(2, 12)),
    "lstm initial": lambda m, c: _float_lstm(m, c, initial_cell=m(12), initial_hidden=np.tanh(m(12))),
    "lstm clipped gates": lambda m, c: _float_lstm(m, c, gate_clip=0.7, peephole=m(3, 12)),
    "lstm normalised": lambda m, c: _float_lstm(m, c, norm_factor=1 + m(48), norm_shift=m(48)),
    "lstm normalised peephole": lambda m, c: _float_lstm(
        m, c, norm_factor=1 + m(48), norm_shift=m(48), peephole=m(3, 12), norm_epsilon=1e-8
    ),
    "lstm normalised coupled": lambda m, c: _float_lstm(
        m, c, gates=3, coupled=True, norm_factor=1 + m(36), peephole=m(2, 12), gate_clip=1.5
    ),
    "lstm projected clipped": lambda m, c: _float_lstm(
        m, c, outputs=5, projection_weights=m(5, 12), projection_clip=0.3, norm_factor=1 + m(48)
    ),
    "lstm projected": lambda m, c: _float_lstm(
        m, c, outputs=5, projection_weights=m(5, 12), projection_bias=m(5)
    ),
    "lstm projected relu": lambda m, c: _float_lstm(
        m, c, outputs=5, projection_weights=m(5, 12), output_activation="relu"
    ),
    "gru": lambda m, c: (FloatGru("l", m(36, c), m(36, 12), m(36), m(36)),),
    "gru before": lambda m, c: (FloatGru("l", m(36, c), m(36, 12), m(36), m(36), False),),
    "gru initial": lambda m, c: (
        FloatGru("l", m(36, c), m(36, 12), m(36), m(36), initial_hidden=np.tanh(m(12))),
    ),
    "rnn": lambda m, c: (
        FloatRnn("l", m(12, c), m(12, 12, spread=0.7), m(12), initial_hidden=np.tanh(m(12))),
    ),
    "rnn relu": lambda m, c: (FloatRnn("l", m(12, c), m(12, 12, spread=0.5), m(12), "relu"),),
    **{
        f"dense {name}": lambda m, c, name=name: (FloatDense("l", m(9, c), m(9), name),)
        for name in ("linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_6", "softmax")
    },
    "affine": lambda m, c: (FloatAffine("l", m(c), m(c)), FloatDense("d", m(5, c), m(5))),
    "affine sigmoid": lambda m, c: (
        FloatDense("d", m(5, c), m(5), "relu"),
        FloatAffine("l", m(5), m(5), "sigmoid"),
    ),
    "concat": lambda m, c: (
        *_float_pair(m, c),
        FloatConcat("l", (6, c, 6), sources=("a", "input", "b")),
        FloatDense("d", m(4, 12 + c), m(4)),
    ),
    "select": lambda m, c: (FloatSelect("l", 1, c - 1, c), FloatDense("d", m(4, c - 1), m(4))),
    "add": lambda m, c: (*_float_pair(m, c), FloatAdd("l", 6, (1.0, -0.5), "relu", sources=("a", "b"))),
    "multiply": lambda m, c: (*_float_pair(m, c), FloatMultiply("l", 6, sources=("a", "b"))),
    "multiply channels": lambda m, c: (FloatMultiply("l", c, sources=("input", "input")),),
    "conv1d": lambda m, c: (FloatConv1d("l", m(8, c, 5), m(8)),),
    "conv1d dilated": lambda m, c: (
        FloatConv1d("l", m(8, c, 3), m(8), 4, "relu"),
        FloatDense("d", m(4, 8), m(4)),
    ),
    "conv1d strided": lambda m, c: (
        FloatConv1d("l", m(8, c, 4), m(8), activation="tanh", stride=3, due=2),
        FloatRnn("r", m(5, 8), m(5, 5), m(5), period=3, phase=2),
    ),
    "pool max": lambda m, c: (FloatPool("l", "max", c, 4), FloatDense("d", m(4, c), m(4))),
    "pool average": lambda m, c: (
        FloatPool("l", "average", c, 5, stride=5, due=4),
        FloatDense("d", m(4, c), m(4), period=5, phase=4),
    ),
    "curve": lambda m, c: (
        FloatDense("a", m(12, c, spread=4.0), m(12)),
        FloatCurve("l", SILU, 1 + m(12), m(12)),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "curve of channels": lambda m, c: (FloatCurve("l", SILU, 1 + m(c), m(c)), FloatDense("d", m(4, c), m(4))),
    "curve at the end": lambda m, c: (
        FloatDense("a", m(5, c), m(5)),
        FloatCurve("l", Pointwise((("x",), ("erf", 0))), 4 + m(5), m(5)),
    ),
    "normalization layer": lambda m, c: (
        FloatRnn("r", m(12, c), m(12, 12), m(12)),
        FloatNormalization("l", "layer", 1 + m(12), m(12)),
    ),
    "normalization rms": lambda m, c: (
        FloatRnn("r", m(12, c), m(12, 12), m(12)),
        FloatNormalization("l", "rms", 1 + m(12), m(12)),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "normalization l2": lambda m, c: (
        FloatNormalization("l", "l2", np.ones(c, np.float32), np.zeros(c, np.float32), 1e-3),
    ),
    "embedding": lambda m, c: (
        FloatSelect("s", 0, 1, c),
        FloatEmbedding("l", m(7, 5)),
        FloatDense("d", m(4, 5), m(4)),
    ),
    "window": lambda m, c: (FloatWindow("l", c, 10, _float_lstm(m, c), ("l",), (9,)),),
    "window bidirectional": lambda m, c: (
        bidirectional(
            "l", *_float_lstm(m, c), FloatGru("b", m(36, c), m(36, 12), m(36), m(36)), 9, lookahead=3, hop=2
        ),
        FloatDense("d", m(4, 24), m(4), period=2),
    ),
    "window of channels": lambda m, c: (
        FloatWindow(
            "l",
            c,
            5,
            (FloatNormalization("n", "layer", m(c), m(c)), FloatConv1d("k", m(6, c, 2), m(6), 1, "relu")),
            ("k",),
            (4,),
        ),
    ),
    "attention": lambda m, c: (
        FloatRnn("r", m(8, c), m(8, 8), m(8)),
        FloatAttention("l", 8, 1, 12, 3.0),
    ),
    "attention heads": lambda m, c: (
        FloatAttention(
            "l",
            c,
            4,
            16,
            0.5,
            query_weights=m(16, c, spread=3),
            query_bias=m(16),
            key_weights=m(16, c, spread=3),
            value_weights=m(8, c),
            value_bias=m(8),
        ),
        FloatDense("d", m(4, 8), m(4)),
    ),
    "attention additive": lambda m, c: (
        FloatRnn("r", m(8, c), m(8, 8), m(8)),
        FloatAttention(
            "l",
            8,
            1,
            12,
            query_weights=m(6, 8),
            query_bias=m(6),
            key_weights=m(6, 8, spread=3),
            score_weights=m(6, spread=10),
        ),
    ),
    "clockwork": lambda m, c: (
        FloatClockwork("l", m(12, c), m(12, 12, spread=0.7), m(12), (5, 4, 3), (1, 2, 8)),
    ),
    "clockwork relu": lambda m, c: (
        FloatClockwork("l", m(12, c), m(12, 12, spread=0.3), m(12), (6, 6), (1, 3), "relu"),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "variational": lambda m, c: (
        variational("l", (*_float_lstm(m, c), FloatDense("d", m(4, 12), m(4))), 6, 0.2),
    ),
    "variational two": lambda m, c: (
        variational(
            "l",
            (FloatGru("g", m(24, c), m(24, 8), m(24), m(24), False), FloatRnn("r", m(6, 8), m(6, 6), m(6))),
            4,
            0.3,
        ),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "variational clockwork": lambda m, c: (
        variational(
            "l", (FloatClockwork("k", m(9, c), m(9, 9, spread=0.7), m(9), (4, 3, 2), (1, 2, 8)),), 4, 0.3
        ),
    ),
    "conv_lstm": lambda m, c: (
        FloatDense("d", m(4 * 3, c), m(4 * 3)),
        FloatConvLstm("l", m(12, 3, 3, 1), m(12, 3, 3, 3, spread=0.7), m(12), 4, 3),
        FloatDense("h", m(4, 36), m(4)),
    ),
    "conv_lstm of channels": lambda m, c: (
        FloatConvLstm("l", m(8, 3, 3, 1), m(8, 3, 3, 2, spread=0.7), m(8), 1, 3),
    ),
    "masking": lambda m, c: (
        FloatMasking("m", c, tuple(range(c)), (MASKED,) * c),
        FloatLstm("l", m(48, c), m(48, 12), m(48), sources=("input",), when="m"),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "sequence": lambda m, c: (
        FloatMasking("e", c, (0, c - 1), (MASKED, MASKED), matches=True),
        FloatSequence(
            "l", c, (FloatGru("g", m(36, c), m(36, 12), m(36), m(36)),), ("g",), sources=("input", "e")
        ),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "decoder": lambda m, c: (
        *_float_lstm(m, c, with_cells=True),
        FloatDecoder(
            "d",
            (FloatLstm("g", m(48, 2), m(48, 12), m(48)), FloatDense("h", m(2, 12), m(2))),
            5,
            "h",
            ("g",),
            m(2),
            symbols=False,
        ),
    ),
    "decoder of relu": lambda m, c: (
        FloatRnn("l", m(12, c), m(12, 12, spread=0.5), m(12), "relu"),
        FloatDecoder(
            "d",
            (FloatRnn("g", m(12, 2), m(12, 12, spread=0.5), m(12), "relu"), FloatDense("h", m(2, 12), m(2))),
            3,
            "h",
            ("g",),
            m(2),
            symbols=False,
        ),
    ),
    "masking a window": lambda m, c: (
        FloatMasking("m", c, (0, c - 1), (MASKED, MASKED)),
        FloatWindow(
            "w",
            c,
            8,
            (FloatGru("g", m(36, c), m(36, 12), m(36), m(36), when="m"),),
            ("g",),
            (7,),
            sources=("input", "m"),
        ),
    ),
}
"""Name, which begins with the kind, to a function (Floats, columns) -> float layers."""
MASKED = 0.375
"""What every channel of a masked sample is."""


def walk(seed, samples, columns=3):
    """A signal with a slow and a fast part, about 1 in size, each channel at a level of its own."""
    rng = np.random.default_rng(seed)
    slow = np.cumsum(rng.normal(0, 0.05, (samples, columns)), axis=0)
    x = np.sin(slow) + rng.normal(0, 0.3, (samples, columns)) + rng.normal(0, 0.3, columns)
    return x.astype(np.float32)


def fed(case, seed, samples):
    x = walk(seed, samples)
    if case.startswith("embedding"):
        x[:, 0] = np.random.default_rng(seed).integers(0, 7, samples)
    if case.startswith(("masking", "sequence")):
        x[np.random.default_rng(seed).random(samples) < 0.3] = MASKED
    return x


def converted(model, x):
    with mock.patch("edgelstm_converters.readers.read", return_value=Reading(model, "")):
        return convert_with_report(object(), calibration=x)


def assert_same(found, exact):
    """Require 1e-5 over the first samples, 1e-4 over all, of the largest value where that is above 1."""
    assert found.shape == exact.shape
    size = max(1.0, float(np.abs(exact).max()))
    assert np.abs(found[:200] - exact[:200]).max() <= 1e-5 * size
    assert np.abs(found - exact).max() <= 1e-4 * size
