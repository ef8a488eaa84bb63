"""Attention that ONNX graphs spell out, in all the ways that it can be spelled: the same layer, proved by ONNX Runtime; refused where it is none."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import helper, numpy_helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import convert, readers  # noqa: E402
from edgelstm_converters.execution import Execution  # noqa: E402
from onnx_cases import H, I, constant, integers, recurrent, weights, write  # noqa: E402

T = 8
PAST = np.triu(np.full((T, T), -np.inf, np.float32), 1)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(" "), [output], name=output, **attributes)


def network(*nodes):
    """Return nodes that end in `y`, behind an LSTM whose outputs are `h`, time first, and `hb`, batch first."""
    front = [recurrent(), node("Squeeze", "seq axis", "h"), node("Transpose", "h", "hb", perm=[1, 0, 2])]
    return [*front, *nodes]


def shared(**more):
    values = {"scale": np.array(0.4, np.float32), "past": PAST, "low": np.maximum(PAST, -1e9)}
    named = [numpy_helper.from_array(value, name) for name, value in {**values, **more}.items()]
    matrices = [constant(name, H, H) for name in ("Q", "K", "V")]
    vectors = [constant("bq", H), constant("v", H, 1)]
    return [*weights(4), integers("axis", 1), *matrices, *vectors, *named]


PROJECTED = [
    node("MatMul", "hb Q", "q0"), node("Add", "q0 bq", "q"), node("MatMul", "hb K", "k"), node("MatMul", "hb V", "w"),
    node("Transpose", "k", "kt", perm=[0, 2, 1]),
]  # fmt: skip
SCORES = [node("MatMul", "q kt", "s0"), node("Mul", "s0 scale", "s")]
OUT = [node("MatMul", "p w", "c"), node("Transpose", "c", "y", perm=[1, 0, 2])]
LAST = [integers("last", -1), integers("first", 1)]
CAUSAL = {
    "mask added": [*PROJECTED, *SCORES, node("Add", "s past", "m"), node("Softmax", "m", "p", axis=-1), *OUT],
    "mask a large number": [*PROJECTED, *SCORES, node("Add", "s low", "m"), node("Softmax", "m", "p", axis=-1), *OUT],
    "mask chosen": [*PROJECTED, *SCORES, node("Where", "seen s past", "m"), node("Softmax", "m", "p", axis=-1), *OUT],
    "rows of nothing": [*PROJECTED, *SCORES, node("Add", "s past", "m"), node("Softmax", "m", "p0", axis=-1), node("IsNaN", "p0", "nan"),
                        node("Where", "nan past0 p0", "p"), *OUT],
    "keys on the left": [*PROJECTED, node("Transpose", "q", "qt", perm=[0, 2, 1]), node("MatMul", "k qt", "st"), node("Transpose", "st", "s0", perm=[0, 2, 1]),
                         node("Mul", "s0 scale", "s"), node("Add", "s past", "m"), node("Softmax", "m", "p", axis=-1), *OUT],
    "einsum": [*PROJECTED, node("Einsum", "q k", "s", equation="btd,bsd->bts"), node("Add", "s past", "m"), node("Softmax", "m", "p", axis=-1),
               node("Einsum", "p w", "y", equation="bts,bsd->tbd")],
    "operator": [*PROJECTED, node("Attention", "q k w", "c", is_causal=1, q_num_heads=1, kv_num_heads=1), node("Transpose", "c", "y", perm=[1, 0, 2])],
    "operator with a mask": [*PROJECTED, node("Attention", "q k w seen", "c", scale=0.7, q_num_heads=5, kv_num_heads=5), node("Transpose", "c", "y", perm=[1, 0, 2])],
}  # fmt: skip
NEWEST = [node("Slice", "hb last end first", "hq"), node("MatMul", "hq Q", "q")]
LAST_ROW = {
    "not masked": [*PROJECTED, *SCORES, node("Softmax", "s", "p", axis=-1), node("MatMul", "p w", "c"), node("Slice", "c last end first", "y")],
    "one query": [*NEWEST, node("Transpose", "hb", "kt", perm=[0, 2, 1]), node("MatMul", "q kt", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p hb", "y")],
    "sums of products": [*NEWEST, node("Mul", "q hb", "qk"), node("ReduceSum", "qk two", "s"), node("Softmax", "s", "p", axis=1), node("Mul", "p hb", "pw"),
                         node("ReduceSum", "pw first", "y")],
    "additive": [*NEWEST, node("MatMul", "hb K", "k"), node("Add", "q k", "z0"), node("Add", "z0 bq", "z"), node("Tanh", "z", "u"), node("MatMul", "u v", "s"),
                 node("Softmax", "s", "p", axis=1), node("Mul", "p hb", "pw"), node("ReduceSum", "pw first", "y")],
    "pooled": [node("MatMul", "hb K", "k"), node("Tanh", "k", "u"), node("MatMul", "u v", "s"), node("Softmax", "s", "p", axis=1), node("Transpose", "p", "pt", perm=[0, 2, 1]),
               node("MatMul", "pt hb", "y")],
    "last rows alone": [node("Slice", "hb few end first", "kb"), *NEWEST, node("Transpose", "kb", "kt", perm=[0, 2, 1]), node("MatMul", "q kt", "s"),
                        node("Softmax", "s", "p", axis=-1), node("MatMul", "p kb", "y")],
}  # fmt: skip


def written(path, nodes, *, time=T, y=("t", 1, "n"), **more):
    more = {"seen": PAST == 0.0, "past0": np.zeros((T, T), np.float32), **more}
    extra = [*LAST, integers("end", 1 << 30), integers("few", -3), integers("two", 2)]
    opset = 23 if any(n.op_type == "Attention" for n in nodes) else 17
    return write(path, network(*nodes), [*shared(**more), *extra], x=(time, 1, I), y=y, opset=opset)


def attention_of(reading):
    (found,) = [layer for layer in reading.model.layers if layer.kind == "attention"]
    return found


@pytest.mark.parametrize("case", CAUSAL)
def test_attention_masked_to_the_past_is_one_layer(tmp_path, case):
    reading = readers.read(written(tmp_path / "m.onnx", CAUSAL[case]))
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "attention"]
    assert attention_of(reading).window == T
    assert reading.proof.startswith("onnxruntime: within ")


@pytest.mark.parametrize("case", LAST_ROW)
def test_attention_read_at_the_last_row_is_one_layer(tmp_path, case):
    reading = readers.read(written(tmp_path / "m.onnx", LAST_ROW[case], y=(1, 1, H)))
    assert attention_of(reading).window == (3 if case == "last rows alone" else T)
    assert reading.proof.startswith("onnxruntime: within ")


def test_states_that_are_query_key_and_value_themselves_need_no_matrix(tmp_path):
    nodes = [node("Slice", "hb last end first", "q"), *LAST_ROW["one query"][2:]]
    found = attention_of(readers.read(written(tmp_path / "m.onnx", nodes, y=(1, 1, H))))
    assert found.query_weights is found.key_weights is found.value_weights is None


def banded(length):
    """Return a mask to the last 4 samples, computed for a sequence of any length, and the rest of the attention."""
    mask = [node("Shape", "h", "sizes"), node("Gather", "sizes zero", "t"), node("Range", "zero t one", "r"), node("Unsqueeze", "r one1", "column"),
            node("Sub", "column r", "age"), node("Less", "age zero", "later"), node("GreaterOrEqual", "age length", "old"), node("Or", "later old", "out"),
            node("Where", "out never none", "band")]  # fmt: skip
    more = {"zero": np.array(0), "one": np.array(1), "one1": np.array([1]), "length": np.array(length),
            "never": np.array(-np.inf, np.float32), "none": np.array(0.0, np.float32)}  # fmt: skip
    return [
        *PROJECTED,
        *SCORES,
        *mask,
        node("Add", "s band", "m"),
        node("Softmax", "m", "p", axis=-1),
        *OUT,
    ], more


@pytest.mark.parametrize("length", [4, 40])
def test_a_mask_that_ends_bounds_a_sequence_of_any_length(tmp_path, length):
    nodes, more = banded(length)
    reading = readers.read(written(tmp_path / "m.onnx", nodes, time="t", **more))
    assert attention_of(reading).window == length
    assert reading.proof.endswith("over 1000 samples")


def test_attention_over_all_of_a_stream_is_refused_with_what_to_do(tmp_path):
    nodes, more = banded(1 << 30)
    path = written(tmp_path / "m.onnx", nodes, time="t", **more)
    with pytest.raises(ConversionError, match=r'layer "c" goes over all samples so far.*say --window N'):
        readers.read(path)
    reading = readers.read(path, window=20)
    assert attention_of(reading).window == 20
    assert reading.proof.endswith("over 20 samples")


def test_a_window_runs_attention_over_as_many_samples(tmp_path):
    nodes, more = banded(1 << 30)
    path = written(tmp_path / "m.onnx", nodes, time="t", **more)
    samples = np.random.default_rng(0).normal(0, 1, (60, I)).astype(np.float32)
    model = convert(path, calibration=samples, execution=Execution(window=12), max_loss=30.0)
    assert [layer.kind for layer in model.layers] == ["window"]


def positions():
    ages = np.subtract.outer(np.arange(T), np.arange(T)).astype(np.float32)
    return {"slope": np.where(ages < 0, -np.inf, -0.1 * ages).astype(np.float32)}


REFUSED = {
    "samples to come": ([*PROJECTED, *SCORES, node("Softmax", "s", "p", axis=-1), *OUT], {}, r'node "c": it reads samples that come after its own'),
    "relative positions": ([*PROJECTED, *SCORES, node("Add", "s slope", "m"), node("Softmax", "m", "p", axis=-1), *OUT], positions(),
                           r'node "c": it adds a number to each score that depends on how old'),
    "no softmax": ([*PROJECTED, node("MatMul", "q kt", "p"), *OUT], {}, r'node "c": it multiplies two values that both depend on the signal'),
    "the newest left out": ([*PROJECTED, *SCORES, node("Add", "s before", "m"), node("Softmax", "m", "p", axis=-1), *OUT],
                            {"before": np.where(np.triu(np.ones((T, T)), 0) > 0, -np.inf, 0.0).astype(np.float32)}, r'node "c": the newest sample that it reads is not'),
    "cache": ([*PROJECTED, node("Unsqueeze", "h zero1", "cache"), node("Attention", "q k w  cache cache", "c", q_num_heads=1, kv_num_heads=1),
               node("Transpose", "c", "y", perm=[1, 0, 2])], {"zero1": np.array([0])}, r'node "c" \(Attention\): it carries keys and values'),
    "a trace": ([*PROJECTED, node("Einsum", "q k", "y", equation="btd,btd->b")], {}, r'node "y"'),
    "an axis summed alone": ([*PROJECTED, node("Einsum", "q k", "y", equation="btd,bsd->bt")], {}, r'node "y" \(Einsum\): its equation is btd,bsd->bt, which sums'),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_attention_over_the_past_is_refused_by_node(tmp_path, case):
    nodes, more, message = REFUSED[case]
    with pytest.raises(ConversionError, match=message):
        readers.read(written(tmp_path / "m.onnx", nodes, **more))


def test_a_mask_is_no_weight(tmp_path):
    nodes = network(node("MatMul", "h past5", "y"))
    more = numpy_helper.from_array(np.ascontiguousarray(PAST[:H, :H]), "past5")
    path = write(tmp_path / "m.onnx", nodes, [*weights(4), integers("axis", 1), more], y=("t", 1, H))
    with pytest.raises(
        ConversionError, match=r'node "y" \(MatMul\).*weights hold numbers that are not finite'
    ):
        readers.read(path)
