"""For every family of layers: random integer layers for the kernels."""

from dataclasses import replace

import numpy as np

from edgelstm.layers import (
    Add,
    Affine,
    Attention,
    Clockwork,
    Concat,
    Conv1d,
    ConvLstm,
    Curve,
    Decoder,
    Dense,
    ElementProduct,
    Embedding,
    Gru,
    Lstm,
    Masking,
    Multiply,
    Normalization,
    Pool,
    Rnn,
    Select,
    SequenceLayers,
    Variational,
    Window,
)
from edgelstm.model import Channel, Model, Output
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
    "lstm clipped gates": lambda m, c, u: _lstm(m, c, u, gate_clip=1 << 15, peephole=m.words(2**24, 3, u)),
    "lstm normalised": lambda m, c, u: _lstm(m, c, u, norm=m.elements(4 * u), norm_epsilon=2**40 + 3),
    "lstm normalised peephole": lambda m, c, u: _lstm(
        m, c, u, norm=m.elements(4 * u), peephole=m.words(2**26, 3, u), cell_clip=3 << 23
    ),
    "lstm normalised coupled": lambda m, c, u: _lstm(
        m,
        c,
        u,
        gates=3,
        coupled=True,
        norm=m.elements(3 * u),
        peephole=m.words(2**26, 2, u),
        gate_clip=1 << 17,
    ),
    "lstm projected": _projected,
    "lstm projected linear": lambda m, c, u: _projected(
        m, c, u, output_activation="linear", output_exponent=10
    ),
    "lstm projected clipped": lambda m, c, u: _projected(
        m, c, u, projection_clip=1 << 18, norm=m.elements(4 * u)
    ),
    "gru": lambda m, c, u: (Gru("l", m.rows(3 * u, c), m.rows(3 * u, u)),),
    "gru before": lambda m, c, u: (Gru("l", m.rows(3 * u, c), m.rows(3 * u, u), False),),
    "gru initial": lambda m, c, u: (
        Gru("l", m.rows(3 * u, c), m.rows(3 * u, u), initial_state=m.words(2**23, u)),
    ),
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
    "curve": lambda m, c, u: (Curve("l", m.elements(c), m.words(2**29, 513)), Dense("d", m.rows(u, c))),
    "embedding": lambda m, c, u: (
        Select("s", 0, 1),
        Embedding("l", m.int16(9, u), ElementProduct(*np.int32([[2**29], [6], [2**18]]))),
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
            (*_lstm(m, c, u), Gru("g", m.rows(9, u), m.rows(9, 3), False), Dense("d", m.rows(2, 3))),
            m.rng.integers(0, 2, (5, c + 2 * u + 3 + 3)).astype(np.int8),
        ),
        Rnn("r", m.rows(3, 4), m.rows(3, 3)),
    ),
    "variational clockwork": lambda m, c, u: (
        Variational("l", (_clockwork(m, c, u, "tanh"),), m.rng.integers(0, 2, (3, c + u)).astype(np.int8)),
    ),
    "conv_lstm": lambda m, c, u: (
        Dense("d", m.rows(3 * 4 * 2, c), "tanh"),
        ConvLstm("l", m.rows(4 * (u % 5 + 1), 9 * 2), m.rows(4 * (u % 5 + 1), 9 * (u % 5 + 1)), 3, 4, 3),
    ),
    "masking": lambda m, c, u: (
        Masking("l", tuple(range(c)), (MASKED,) * c),
        Lstm("a", m.rows(4 * u, c), m.rows(4 * u, u), sources=("input",), when="l"),
        Dense("d", m.rows(u, u), "tanh", when="l", period=2, phase=1),
        Dense("e", m.rows(3, u), when="l"),
    ),
    "sequence": lambda m, c, u: (
        Masking("e", (0,), (MASKED,), matches=True),
        SequenceLayers(
            "l",
            (
                *(
                    replace(layer, name="a")
                    for layer in _lstm(m, c, u, initial_cell=m.words(2**29, u), cell_exponent=9)
                ),
                Select("s", 0, u),
                Gru("g", m.rows(9, u), m.rows(9, 3), initial_state=m.words(2**23, 3)),
            ),
            ("g", "a"),
            sources=("input", "e"),
        ),
        Dense("d", m.rows(2, 2 * u + 3)),
    ),
    "decoder": lambda m, c, u: (
        Gru("a", m.rows(3 * u, c), m.rows(3 * u, u)),
        Decoder(
            "l",
            (
                Embedding("e", m.int16(5, 4), ElementProduct(*np.int32([[2**29], [16], [0]]))),
                Gru("g", m.rows(3 * u, 4), m.rows(3 * u, u)),
                Dense("d", m.rows(5, u)),
            ),
            6,
            "d",
            ("g",),
            ElementProduct(*np.int32([[2**28] * u, [11] * u, [0] * u])),
            np.int16([8]),
            3,
        ),
        Dense("o", m.rows(4, 6)),
    ),
    "decoder of values": lambda m, c, u: (
        Masking("e", (0,), (MASKED,), matches=True),
        Lstm("a", m.rows(4 * u, c), m.rows(4 * u, u), cell_exponent=9, sources=("input",)),
        Decoder(
            "l",
            (Lstm("g", m.rows(4 * u, 2), m.rows(4 * u, u)), Dense("d", m.rows(2, u), "tanh")),
            5,
            "d",
            ("g",),
            m.elements(2 * u),
            m.int16(2),
            feed=m.elements(2),
            sources=("a",),
            when="e",
        ),
        Dense("o", m.rows(4, 10)),
    ),
    "masking a window": lambda m, c, u: (
        Masking("l", (c - 1,), (MASKED,), matches=True),
        Window(
            "w",
            5,
            (
                Gru("f", m.rows(3 * u, c), m.rows(3 * u, u), when="l"),
                Rnn("b", m.rows(u, c), m.rows(u, u), sources=("input",), when="l"),
                Concat("c", (u, u), sources=("f", "b")),
            ),
            ("c",),
            (4,),
            backward=("b",),
            sources=("input", "l"),
        ),
        Dense("d", m.rows(3, 2 * u)),
    ),
}
"""Name, which begins with the kind, to a function (Integers, columns, units) -> layers."""

ROWS = "embedding"
"""How cases begin whose first channel is the number of a row, 0 to 8."""
MASKED = 0.375
"""What every channel of a masked sample is."""


def loud(case, seed, samples, columns):
    """Samples of a case, far beyond what channels hold where any value will do."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_t(2, (samples, columns)) * 3).astype(np.float32)
    if case.startswith(ROWS):
        x[:, 0] = rng.integers(0, 9, samples)
    if case.startswith(("masking", "sequence", "decoder")):
        x[rng.random(samples) < 0.4] = MASKED
    return x


def integer_model(case, seed, columns=4, units=7, extreme=False):
    """A model of one case, on `columns` channels."""
    layers = INTEGER_CASES[case](Integers(seed, extreme), columns, units)
    rng = np.random.default_rng(seed)
    offsets = rng.normal(size=columns).astype(np.float32)
    if case.startswith(ROWS):
        offsets[0] = 4.0
    return Model(
        channels=tuple(
            Channel(name=f"c{n}", offset=float(offset), gain=2.0**12) for n, offset in enumerate(offsets)
        ),
        outputs=tuple(Output(name=f"y{n}", scale=2.0**-20) for n in range(layers[-1].units)),
        layers=layers,
    )
