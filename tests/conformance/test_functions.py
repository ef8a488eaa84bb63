"""Functions of each value by itself, as activations are: one table each, however an exporter spells them, beside the source's engine."""

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402
from edgelstm_converters.report import snr_db  # noqa: E402
from onnx_cases import AXIS, SQUEEZE, H, I, constant, recurrent, weights, write  # noqa: E402


def number(name, value):
    return numpy_helper.from_array(np.array([value], np.float32), name)


NUMBERS = [
    number("one", 1.0),
    number("half", 0.5),
    number("two", 2.0),
    number("zero", 0.0),
    number("root", 2.0**0.5),
    number("never", -np.inf),
]
OPERATORS = {
    "Gelu": {}, "Gelu tanh": {"approximate": "tanh"}, "Elu": {"alpha": 0.7}, "Celu": {"alpha": 1.3}, "Selu": {}, "Softplus": {}, "Softsign": {},
    "Mish": {}, "HardSwish": {}, "Swish": {"alpha": 1.4}, "Erf": {}, "Exp": {}, "Sin": {}, "Cos": {}, "ThresholdedRelu": {"alpha": 0.2},
    "Shrink": {"lambd": 0.3, "bias": 0.1}, "LeakyRelu": {"alpha": 0.3}, "Sign": {},
}  # fmt: skip
SPELLED = {
    "gelu": "a=Div m root,b=Erf a,c=Add b one,d=Mul m c,e=Mul d half",
    "silu": "a=Sigmoid m,e=Mul a m",
    "mish": "a=Exp m,b=Add a one,c=Log b,d=Tanh c,e=Mul d m",
    "log of sigmoid": "a=Sigmoid m,e=Log a",
    "bent identity": "a=Mul m m,b=Add a one,c=Sqrt b,d=Sub c one,f=Div d two,e=Add f m",
    "softsign": "a=Abs m,b=Add a one,e=Div m b",
    "elu": "a=Greater m zero,b=Exp m,c=Sub b one,e=Where a m c",
    "a dead zone": "a=Greater m half,b=Neg m,c=Greater b half,d=Or a c,e=Where d m zero",
    "not above": "a=LessOrEqual m half,b=Not a,c=Mul m two,e=Where b c m",
    "within": "a=Less m half,b=GreaterOrEqual m zero,c=And a b,e=Where c m zero",
    "one slope": "e=PRelu m half",
    "a shifted sine": "a=Sin m,b=Mul a a,e=Add m b",
}


def nodes_of(text):
    """The nodes of "y=Op a b,..."."""
    found = []
    for line in text.split(","):
        output, call = line.split("=")
        op, *inputs = call.split()
        found.append(helper.make_node(op, inputs, [output], name=op))
    return found


def network(path, function, *, opset=20):
    """An LSTM, a matrix, what `function` makes of its values `m` as `e`, a matrix and a bias."""
    nodes = [recurrent(), SQUEEZE, helper.make_node("MatMul", ["h", "M"], ["n"]), helper.make_node("Add", ["n", "bias"], ["m"], name="fc"),
             *function, helper.make_node("MatMul", ["e", "K"], ["y"], name="out")]  # fmt: skip
    given = [*weights(4), AXIS, constant("M", H, 6), constant("bias", 6), constant("K", 6, 2), *NUMBERS]
    return write(path, nodes, given, y=("t", 1, 2), opset=opset)


def assert_one_curve(path):
    reading = readers.read(path)
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense", "curve", "dense"]
    assert "within" in reading.proof


@pytest.mark.engines
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_one_curve(tmp_path, name):
    op, opset = name.split()[0], 24 if name.startswith("Swish") else 20
    node = helper.make_node(op, ["m"], ["e"], name=op, **OPERATORS[name])
    if op == "Swish" and onnx.defs.onnx_opset_version() < opset:
        pytest.skip("this onnx has no Swish")
    assert_one_curve(network(tmp_path / "m.onnx", [node], opset=opset))


@pytest.mark.engines
@pytest.mark.parametrize("name", SPELLED)
def test_a_function_that_is_spelled_out_is_one_curve(tmp_path, name):
    assert_one_curve(network(tmp_path / "m.onnx", nodes_of(SPELLED[name])))


@pytest.mark.engines
@pytest.mark.parametrize("name", ["gelu", "mish", "softsign"])
def test_int8_is_close_to_what_was_trained(tmp_path, name):
    x = np.random.default_rng([*name.encode()]).normal(0, 1, (600, I)).astype(np.float32)
    found = convert_with_report(network(tmp_path / "m.onnx", nodes_of(SPELLED[name])), calibration=x)
    assert snr_db(LoadedModel(found.model).stream().run(x), found.float_model.run(x)) > 35.0


def test_functions_one_behind_the_other_are_one(tmp_path):
    path = network(tmp_path / "m.onnx", nodes_of("a=Erf m,b=Mul a m,c=Exp b,e=Mul c half"))
    assert [layer.kind for layer in readers.read(path).model.layers] == ["lstm", "dense", "curve", "dense"]


def test_a_slope_for_each_value_is_no_curve(tmp_path):
    path = network(tmp_path / "m.onnx", nodes_of("e=PRelu m bias"))
    assert "curve" not in [layer.kind for layer in readers.read(path, verify=False).model.layers]


REFUSED = {
    "a division by what may be zero": (
        "e=Reciprocal m",
        'node "Reciprocal": it divides by what depends on the signal',
    ),
    "a logarithm of what may be below zero": ("e=Log m", "its log is not that of one value"),
    "a root of what may be below zero": ("e=Sqrt m", "it takes a square root"),
    "a comparison that chooses what has no end": ("a=Greater m zero,e=Where a m never", "a mask"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_value_somewhere_is_refused(tmp_path, what):
    function, message = REFUSED[what]
    with pytest.raises(ConversionError, match=message):
        readers.read(network(tmp_path / "m.onnx", nodes_of(function)), verify=False)


TORCH = {
    "GELU": {}, "GELU tanh": {"approximate": "tanh"}, "SiLU": {}, "Mish": {}, "Hardswish": {}, "ELU": {"alpha": 0.7}, "SELU": {}, "CELU": {}, "Softplus": {},
    "Softplus beta": {"beta": 2.0}, "Softsign": {}, "LeakyReLU": {}, "PReLU": {}, "LogSigmoid": {}, "Tanhshrink": {}, "Hardshrink": {},
}  # fmt: skip
ROUTES = [(name, "opset 17") for name in TORCH] + [
    (name, route) for name in ("GELU", "GELU tanh", "ELU") for route in ("pt2", "dynamo")
]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "route"), ROUTES)
def test_an_activation_of_torch(tmp_path, name, route):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from torch_cases import INPUTS, export

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(sum(name.encode()))
            self.rnn, self.inner, self.head = (
                torch.nn.LSTM(INPUTS, 8, batch_first=True),
                torch.nn.Linear(8, 12),
                torch.nn.Linear(12, 3),
            )
            self.act = getattr(torch.nn, name.split()[0])(**TORCH[name])

        def forward(self, x):
            return self.head(self.act(self.inner(self.rnn(x)[0])))

    path = tmp_path / ("m.pt2" if route == "pt2" else "m.onnx")
    if route == "pt2":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(Network().eval(), (torch.zeros(1, 12, INPUTS),))
        torch.export.save(program, path)
    else:
        export(Network().eval(), path, dynamo=route == "dynamo")
    reading = readers.read(path)
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense", "curve", "dense"]
    assert "within" in reading.proof


KERAS = (
    "gelu", "elu", "selu", "celu", "softplus", "softsign", "mish", "exponential", "log_sigmoid", "soft_shrink", "hard_shrink", "tanh_shrink", "silu",
    "hard_silu", "leaky_relu",
)  # fmt: skip
KERAS_LAYERS = {
    "ELU": {"alpha": 0.6}, "PReLU": {"shared_axes": [1, 2]}, "ReLU": {"threshold": 0.1}, "ReLU all": {"max_value": 0.4, "negative_slope": 0.1, "threshold": 0.05},
    "LeakyReLU": {"negative_slope": 0.2},
}  # fmt: skip
KERAS_OPS = (
    "gelu",
    "gelu exact",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "exp",
    "erf",
    "leaky_relu",
    "celu",
    "hard_silu",
    "square",
    "sin",
    "log_sigmoid",
)


def of_keras(path, middle):
    """A model whose dense layer's values go through `middle`, with weights that follow from the shapes."""
    keras = pytest.importorskip("keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = keras.layers.Input((12, I))
        inner = keras.layers.Dense(6)(keras.layers.LSTM(H, return_sequences=True)(given))
        model = keras.Model(given, keras.layers.Dense(2)(middle(keras, inner)))
        model.set_weights([np.random.default_rng([*w.shape]).normal(0, 0.5, w.shape) for w in model.weights])
        model.save(path)
    return readers.read(path)


@pytest.mark.engines
@pytest.mark.parametrize("name", KERAS)
def test_an_activation_of_keras(tmp_path, name):
    reading = of_keras(tmp_path / "m.keras", lambda keras, y: keras.layers.Activation(name)(y))
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense", "curve", "dense"]
    assert reading.proof.startswith("keras: within")


@pytest.mark.engines
@pytest.mark.parametrize("name", KERAS_LAYERS)
def test_a_layer_of_keras(tmp_path, name):
    made = lambda keras, y: getattr(keras.layers, name.split()[0])(**KERAS_LAYERS[name])(y)  # noqa: E731
    reading = of_keras(tmp_path / "m.keras", made)
    assert "curve" in [layer.kind for layer in reading.model.layers]
    assert reading.proof.startswith("keras: within")


@pytest.mark.engines
@pytest.mark.parametrize("name", KERAS_OPS)
def test_an_operation_of_keras(tmp_path, name):
    given = {"approximate": False} if name == "gelu exact" else {}
    reading = of_keras(tmp_path / "m.keras", lambda keras, y: getattr(keras.ops, name.split()[0])(y, **given))
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense", "curve", "dense"]
    assert reading.proof.startswith("keras: within")
