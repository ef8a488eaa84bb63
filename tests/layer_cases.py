"""For every family of layers: random integer layers for the kernels, and trained-like float layers for the converter."""

import numpy as np

from edgelstm.layers import (
    Add,
    Affine,
    Attention,
    Clockwork,
    Concat,
    Conv1d,
    ConvLstm,
    Dense,
    ElementProduct,
    Embedding,
    Gru,
    Lstm,
    Multiply,
    Normalization,
    Pool,
    Rnn,
    Select,
    Variational,
    Window,
)
from edgelstm.model import Channel, Model, Output
from edgelstm_converters.layers import (
    FloatAdd,
    FloatAffine,
    FloatAttention,
    FloatClockwork,
    FloatConcat,
    FloatConv1d,
    FloatConvLstm,
    FloatDense,
    FloatEmbedding,
    FloatGru,
    FloatLstm,
    FloatMultiply,
    FloatNormalization,
    FloatPool,
    FloatRnn,
    FloatSelect,
    FloatWindow,
    bidirectional,
    variational,
)
from factories import random_product


class Integers:
    """Makes random integer records; `extreme` takes the largest values that are allowed."""

    def __init__(self, seed, extreme):
        self.rng, self.extreme = np.random.default_rng(seed), extreme

    def rows(self, rows, columns):
        return random_product(self.rng, rows, columns, extreme=self.extreme)

    def elements(self, count, parts=1):
        """`parts` of them may be added without leaving int32."""
        high = (2**30 - 1) // parts if self.extreme else 2**28
        shifts = self.rng.integers(0, 31 if self.extreme else 8, count)
        multipliers = (
            self.rng.choice([-high, high], count) if self.extreme else self.rng.integers(-high, high, count)
        )
        bias = self.rng.integers(-(2**18), 2**18, count)
        return ElementProduct(*(part.astype(np.int32) for part in (multipliers, shifts, bias)))

    def int16(self, *shape):
        return self.rng.integers(-32768, 32768, shape).astype(np.int16)

    def words(self, high, *shape):
        return self.rng.integers(-high, high, shape).astype(np.int32)


def _lstm(make, columns, units, gates=4, **options):
    return (Lstm("l", make.rows(gates * units, columns), make.rows(gates * units, units), **options),)


def _projected(make, columns, units, **options):
    outputs = max(1, units // 2)
    products = make.rows(4 * units, columns), make.rows(4 * units, outputs)
    return (Lstm("l", *products, projection=make.rows(outputs, units), exponent=13, **options),)


def _pair(make, columns, units):
    first = Dense("a", make.rows(units, columns), "tanh", sources=("input",))
    return first, Rnn("b", make.rows(units, columns), make.rows(units, units), sources=("input",))


def _clockwork(make, columns, units, activation):
    sizes = (units - 2 * (units // 3), units // 3, units // 3) if units > 2 else (units,)
    hidden, first = make.rows(units, units), 0
    for size in sizes:
        hidden.weights[first : first + size, :first] = 0
        first += size
    return Clockwork("l", make.rows(units, columns), hidden, sizes, (1, 2, 5)[: len(sizes)], activation, 12)


def _hierarchy(make, columns, units):
    """Two bidirectional layers with pooling between: the upper one runs at every second row."""

    def rnn(name, columns, sources, **timing):
        return Rnn(name, make.rows(units, columns), make.rows(units, units), sources=sources, **timing)

    return (
        rnn("f1", columns, ("input",)),
        rnn("b1", columns, ("input",)),
        Concat("c1", (units, units), sources=("f1", "b1")),
        Pool("p1", "max", 2, make.elements(2 * units), stride=2, due=1),
        rnn("f2", 2 * units, ("p1",), period=2, phase=1),
        rnn("b2", 2 * units, ("p1",), period=2, phase=0),
    )


INTEGER_CASES = {
    "lstm": _lstm,
    "lstm hard": lambda m, c, u: _lstm(
        m, c, u, gate_activation="hard_sigmoid", cell_activation="hard_sigmoid_6"
    ),
    "lstm relu": lambda m, c, u: _lstm(
        m, c, u, output_activation="relu", cell_activation="relu", output_exponent=9
    ),
    "lstm linear": lambda m, c, u: _lstm(
        m, c, u, output_activation="linear", output_exponent=22, cell_clip=3 << 23
    ),
    "lstm sigmoid": lambda m, c, u: _lstm(
        m, c, u, output_activation="sigmoid", gate_activation="hard_sigmoid_6"
    ),
    "lstm peephole": lambda m, c, u: _lstm(m, c, u, peephole=m.words(2**28, 3, u)),
    "lstm coupled": lambda m, c, u: _lstm(m, c, u, gates=3, coupled=True, peephole=m.words(2**24, 2, u)),
    "lstm initial": lambda m, c, u: _lstm(m, c, u, initial_cell=m.words(2**29, u), initial_hidden=m.int16(u)),
    "lstm projected": _projected,
    "lstm projected linear": lambda m, c, u: _projected(
        m, c, u, output_activation="linear", output_exponent=10
    ),
    "gru": lambda m, c, u: (Gru("l", m.rows(3 * u, c), m.rows(3 * u, u)),),
    "gru before": lambda m, c, u: (Gru("l", m.rows(3 * u, c), m.rows(3 * u, u), False),),
    "rnn": lambda m, c, u: (Rnn("l", m.rows(u, c), m.rows(u, u)),),
    "rnn relu": lambda m, c, u: (
        Rnn("l", m.rows(u, c), m.rows(u, u), "relu", 11, initial_hidden=m.int16(u)),
    ),
    **{
        f"dense {name}": lambda m, c, u, name=name: (Dense("l", m.rows(u, c), name),)
        for name in ("linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_6", "softmax")
    },
    "affine": lambda m, c, u: (Affine("l", m.elements(c)), Dense("d", m.rows(u, c))),
    "affine softmax": lambda m, c, u: (Affine("l", m.elements(c), "softmax"),),
    "concat": lambda m, c, u: (
        *_pair(m, c, u),
        Concat("l", (u, c, u), sources=("a", "input", "b")),
        Dense("d", m.rows(3, 2 * u + c)),
    ),
    "concat rescaled": lambda m, c, u: (
        *_pair(m, c, u),
        Concat("l", (u, c, u), sources=("a", "input", "b"), product=m.elements(2 * u + c)),
    ),
    "select": lambda m, c, u: (Rnn("a", m.rows(u, c), m.rows(u, u)), Select("l", u // 3, u - u // 3)),
    "add": lambda m, c, u: (*_pair(m, c, u), Add("l", u, m.elements(2 * u, 2), "relu", sources=("a", "b"))),
    "multiply": lambda m, c, u: (
        *_pair(m, c, u),
        Multiply("l", m.elements(u), sources=("a", "b")),
        Dense("d", m.rows(2, u)),
    ),
    "conv1d": lambda m, c, u: (Conv1d("l", m.rows(u, 3 * c), 3),),
    "conv1d dilated": lambda m, c, u: (
        Conv1d("l", m.rows(u, 2 * c), 2, 3, "relu", 10, initial=m.int16(c)),
        Dense("d", m.rows(2, u)),
    ),
    "conv1d strided": lambda m, c, u: (
        Conv1d("l", m.rows(u, 4 * c), 4, activation="tanh", stride=3, due=2),
        Rnn("r", m.rows(3, u), m.rows(3, 3), period=3, phase=2),
    ),
    "pool max": lambda m, c, u: (
        Pool("l", "max", 4, m.elements(c), initial=m.int16(c)),
        Dense("d", m.rows(u, c)),
    ),
    "pool average": lambda m, c, u: (Pool("l", "average", 5, m.elements(c), stride=5, due=4),),
    "normalization layer": lambda m, c, u: (
        Rnn("r", m.rows(u, c), m.rows(u, u)),
        Normalization("l", m.elements(u), True, False, 12345),
    ),
    "normalization l2": lambda m, c, u: (
        Dense("d", m.rows(u, c), "relu"),
        Normalization("l", m.elements(u), False, True, 2**40 + 17),
    ),
    "normalization rms": lambda m, c, u: (
        Normalization("l", m.elements(c), False, False, 0),
        Dense("d", m.rows(u, c)),
    ),
    "embedding": lambda m, c, u: (
        Select("s", 0, 1),
        Embedding("l", m.int16(9, u), ElementProduct(*np.int32([[2**26], [6], [2**18]]))),
    ),
    "window": lambda m, c, u: (
        Window("l", 6, (*_lstm(m, c, u, initial_cell=m.words(2**29, u)),), ("l",), (5,)),
    ),
    "window bidirectional": lambda m, c, u: (
        Window(
            "l",
            7,
            (
                Gru("f", m.rows(3 * u, c), m.rows(3 * u, u)),
                Rnn("b", m.rows(u, c), m.rows(u, u), sources=("input",)),
            ),
            ("f", "b"),
            (4, 4),
            backward=("b",),
            lookahead=2,
            hop=3,
            due=1,
            initial=m.int16(c),
        ),
        Dense("d", m.rows(3, 2 * u), period=3, phase=1),
    ),
    "window hierarchical": lambda m, c, u: (
        Window("l", 8, _hierarchy(m, c, u), ("f2", "b2"), (7, 1), backward=("b1", "b2")),
    ),
    "attention": lambda m, c, u: (Attention("l", 1, 5, 2**29, 3, c), Dense("d", m.rows(u, c))),
    "attention heads": lambda m, c, u: (
        Attention("l", 2, 6, 2**28, 9, queries=m.rows(2 * u, c), keys=m.rows(2 * u, c), values=m.rows(4, c)),
        Dense("d", m.rows(u, 4)),
    ),
    "attention additive": lambda m, c, u: (
        Rnn("r", m.rows(u, c), m.rows(u, u)),
        Attention(
            "l",
            1,
            7,
            0,
            0,
            u,
            queries=m.rows(5, c),
            keys=m.rows(5, u),
            score_weights=m.words(2**19, 5),
            sources=("input", "r"),
        ),
    ),
    "clockwork": lambda m, c, u: (_clockwork(m, c, u, "tanh"),),
    "clockwork relu": lambda m, c, u: (_clockwork(m, c, u, "relu"), Dense("d", m.rows(3, u))),
    "variational": lambda m, c, u: (
        Variational(
            "l",
            (*_lstm(m, c, u), Gru("g", m.rows(9, u), m.rows(9, 3)), Dense("d", m.rows(2, 3))),
            m.rng.integers(0, 2, (5, c + 2 * u + 3 + 3)).astype(np.int8),
        ),
        Rnn("r", m.rows(3, 4), m.rows(3, 3)),
    ),
    "conv_lstm": lambda m, c, u: (
        Dense("d", m.rows(3 * 4 * 2, c), "tanh"),
        ConvLstm("l", m.rows(4 * (u % 5 + 1), 9 * 2), m.rows(4 * (u % 5 + 1), 9 * (u % 5 + 1)), 3, 4, 3),
    ),
}
"""Name, which begins with the kind, to a function (Integers, columns, units) -> layers."""


def integer_model(case, seed, columns=4, units=7, extreme=False):
    """A model of one case, on `columns` channels."""
    layers = INTEGER_CASES[case](Integers(seed, extreme), columns, units)
    rng = np.random.default_rng(seed)
    return Model(
        channels=tuple(
            Channel(name=f"c{n}", offset=float(np.float32(rng.normal())), gain=2.0**12)
            for n in range(columns)
        ),
        outputs=tuple(Output(name=f"y{n}", scale=2.0**-20) for n in range(layers[-1].units)),
        layers=layers,
    )


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
    "lstm projected": lambda m, c: _float_lstm(
        m, c, outputs=5, projection_weights=m(5, 12), projection_bias=m(5)
    ),
    "lstm projected relu": lambda m, c: _float_lstm(
        m, c, outputs=5, projection_weights=m(5, 12), output_activation="relu"
    ),
    "gru": lambda m, c: (FloatGru("l", m(36, c), m(36, 12), m(36), m(36)),),
    "gru before": lambda m, c: (FloatGru("l", m(36, c), m(36, 12), m(36), m(36), False),),
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
            (FloatGru("g", m(24, c), m(24, 8), m(24), m(24)), FloatRnn("r", m(6, 8), m(6, 6), m(6))),
            4,
            0.3,
        ),
        FloatDense("d", m(4, 12), m(4)),
    ),
    "conv_lstm": lambda m, c: (
        FloatDense("d", m(4 * 3, c), m(4 * 3)),
        FloatConvLstm("l", m(12, 3, 3, 1), m(12, 3, 3, 3, spread=0.7), m(12), 4, 3),
        FloatDense("h", m(4, 36), m(4)),
    ),
    "conv_lstm of channels": lambda m, c: (
        FloatConvLstm("l", m(8, 3, 3, 1), m(8, 3, 3, 2, spread=0.7), m(8), 1, 3),
    ),
}
"""Name, which begins with the kind, to a function (Floats, columns) -> float layers."""
