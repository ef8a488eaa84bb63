"""Graphs over all samples of a window: what an encoder ends with at every row, means, the largest, matrices on the whole."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402
from edgelstm_converters.execution import Execution  # noqa: E402
from onnx_cases import H, I, O, constant, integers, write  # noqa: E402

T = 7
RANKS = {2: ("a", "b"), 3: ("a", "b", "c")}
FLAT = ("largest", "matrix", "matrix, tanh")
ENCODER = helper.make_node("LSTM", ["x", "W", "R", "B"], ["seq", "last"], name="encoder", hidden_size=H)
ROWS = helper.make_node("Squeeze", ["seq", "one"], ["rows"], name="rows")
WEIGHTS = [
    constant("W", 1, 4 * H, I),
    constant("R", 1, 4 * H, H),
    constant("B", 1, 8 * H),
    constant("W2", 1, 3 * H, H),
    constant("R2", 1, 3 * H, H),
    constant("M", H, O),
    constant("whole", T * H, O),
    constant("bias", O),
    integers("one", 1),
    integers("zero", 0),
    integers("flat", 1, T * H),
    integers("times", T, 1, 1),
    integers("shape", T, 1, H),
]
DECODER = [
    helper.make_node("GRU", ["repeated", "W2", "R2"], ["decoded"], name="decoder", hidden_size=H),
    helper.make_node("Squeeze", ["decoded", "one"], ["h"], name="h"),
    helper.make_node("MatMul", ["h", "M"], ["y"], name="head"),
]
POOLED = [helper.make_node("Transpose", ["rows"], ["front"], perm=[1, 2, 0], name="front")]
WAYS = {
    "tiled": [ENCODER, helper.make_node("Tile", ["last", "times"], ["repeated"], name="repeat"), *DECODER],
    "expanded": [ENCODER, helper.make_node("Expand", ["last", "shape"], ["repeated"], name="repeat"), *DECODER],
    "mean": [ENCODER, ROWS, helper.make_node("ReduceMean", ["rows"], ["y"], axes=[0], name="mean")],
    "sum": [ENCODER, ROWS, helper.make_node("ReduceSum", ["rows", "zero"], ["y"], name="sum")],
    "largest": [ENCODER, ROWS, helper.make_node("ReduceMax", ["rows"], ["y"], axes=[0], keepdims=0, name="largest")],
    "pooled": [ENCODER, ROWS, *POOLED, helper.make_node("GlobalAveragePool", ["front"], ["y"], name="pool")],
    "largest, pooled": [ENCODER, ROWS, *POOLED, helper.make_node("GlobalMaxPool", ["front"], ["y"], name="pool")],
    "matrix": [ENCODER, ROWS, helper.make_node("Reshape", ["rows", "flat"], ["f"], name="f"), helper.make_node("Gemm", ["f", "whole", "bias"], ["y"], name="head")],
    "matrix, tanh": [ENCODER, ROWS, helper.make_node("Reshape", ["rows", "flat"], ["f"], name="f"), helper.make_node("MatMul", ["f", "whole"], ["m"], name="head"), helper.make_node("Tanh", ["m"], ["y"], name="act")],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_window_as_graphs_spell_it(tmp_path, way):
    path = write(tmp_path / "m.onnx", WAYS[way], WEIGHTS, x=(T, 1, I), y=RANKS[2 if way in FLAT else 3])
    proof = readers.read(path).proof
    assert "within" in proof
    assert "decibel" not in proof


def test_a_decoder_runs_over_windows_of_its_length_only(tmp_path):
    model = readers.read(
        write(tmp_path / "m.onnx", WAYS["tiled"], WEIGHTS, x=(T, 1, I), y=RANKS[3]), verify=False
    ).model
    x = np.random.default_rng(0).normal(size=(30, I)).astype(np.float32)
    found = Execution(window=T).apply(model).run(x)
    for t in range(T - 1, 30):
        np.testing.assert_allclose(found[t], model.run(x[t - T + 1 : t + 1])[-1], rtol=0, atol=1e-6)
    late = Execution(window=T, lookahead=2).apply(model).run(x)
    np.testing.assert_allclose(late[-1], model.run(x[-T:])[-3], rtol=0, atol=1e-6)
    for execution in (Execution(), Execution(window=T + 1)):
        with pytest.raises(
            ConversionError, match=rf'layer ".*rows" repeats what a window of {T} samples ends with'
        ):
            execution.apply(model)


def test_a_length_that_is_left_open(tmp_path):
    path = write(tmp_path / "m.onnx", WAYS["mean"], WEIGHTS, x=("t", 1, I), y=RANKS[3])
    with pytest.raises(
        ConversionError, match=r"goes over all samples of a sequence, and the input does not say how many"
    ):
        readers.read(path)


def test_a_mask_is_refused_as_one(tmp_path):
    nodes = [
        helper.make_node("Equal", ["x", "none"], ["masked"], name="mask"),
        helper.make_node("Cast", ["masked"], ["y"], to=1),
    ]
    none = helper.make_tensor("none", 1, [], [0.0])
    path = write(tmp_path / "m.onnx", nodes, [none], x=(T, 1, I), y=RANKS[3])
    with pytest.raises(
        ConversionError,
        match=r'node "mask" \(Equal\): it compares the signal with a number, as Masking of Keras',
    ):
        readers.read(path)
