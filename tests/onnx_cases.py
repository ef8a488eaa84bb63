"""Parts of ONNX graphs that the converter's tests are built of: one LSTM or GRU, its weights, and a head."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

I, H, O = 3, 5, 2  # noqa: E741


def constant(name, *shape, value=None):
    """Return a constant, random by its name and shape alone, so that no test depends on which ones ran before it."""
    if value is None:
        value = np.random.default_rng([1, *name.encode(), *shape]).normal(0, 0.4, shape).astype(np.float32)
    return numpy_helper.from_array(value, name)


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def write(path, nodes, initializers, *, x=("t", 1, I), inputs=(), y=("t", 1, "n"), outputs=(), opset=17):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x), *inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y), *outputs],
        initializers,
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def recurrent(kind="LSTM", inputs="x W R B", name="rnn", **attributes):
    outputs = ["seq"]
    return helper.make_node(kind, inputs.split(" "), outputs, name=name, hidden_size=H, **attributes)


def weights(gates):
    return [constant("W", 1, gates * H, I), constant("R", 1, gates * H, H), constant("B", 1, 2 * gates * H)]


def dense(kind="MatMul", *, source="h", name="fc"):
    return helper.make_node(kind, [source, "M"], ["m"], name=name)


def head_weights():
    return [constant("M", H, O), constant("bias", O)]


SQUEEZE = helper.make_node("Squeeze", ["seq", "axis"], ["h"], name="squeeze")
AXIS = numpy_helper.from_array(np.array([1]), "axis")
TAIL = helper.make_node("Squeeze", ["seq", "axis"], ["y"])
HEAD = [dense(), helper.make_node("Add", ["m", "bias"], ["a"], name="add")]
