"""ONNX's own tests of its recurrent operators, through reader, float path and int8; a batch is as many streams."""

import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case import node as node_cases
    from onnx.backend.test.case.node import gru, lstm, rnn

    assert gru and lstm and rnn  # importing them collects their cases
from onnx import numpy_helper  # noqa: E402

from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import Execution, convert_with_report  # noqa: E402

CASES = {
    case.name: case
    for case in node_cases._NodeTestCases
    if any(k in case.name for k in ("lstm", "gru", "rnn"))
}


def with_weights(case, path):
    """Write the case with all inputs but the sequence made constants; return the sequence and what has to come out."""
    model, (values, expected) = onnx.ModelProto(), case.data_sets[0]
    model.CopyFrom(case.model)
    graph, names = model.graph, [value.name for value in case.model.graph.input]
    for name, value in zip(names[1:], values[1:], strict=True):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    del graph.input[1:]
    onnx.save(model, path)
    batchwise = any(a.name == "layout" and a.i == 1 for a in graph.node[0].attribute)
    x = np.asarray(values[0])
    return (
        (x if batchwise else x.swapaxes(0, 1)),
        dict(zip([o.name for o in graph.output], expected, strict=True)),
        batchwise,
    )


def test_there_are_as_many_as_onnx_has():
    assert len(CASES) >= 18


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_case_through_float_and_int8(name, tmp_path):
    path = tmp_path / f"{name}.onnx"
    x, expected, batchwise = with_weights(CASES[name], path)  # (batch, time, channels)
    last = x.shape[1] - 1
    if "reverse" not in name and "bidirectional" not in name:
        check(path, x, expected, batchwise, None, 0)
    elif "Y" not in expected:
        check(path, x, expected, batchwise, Execution(window=last + 1), 0)
    for lookahead in range(last + 1) if "Y" in expected else ():  # an output for every sample, so late
        check(
            path,
            x,
            {"Y": expected["Y"]},
            batchwise,
            Execution(window=last + 1, lookahead=lookahead),
            lookahead,
        )


def check(path, x, expected, batchwise, execution, late):
    """The last row that a model gives is the one `late` samples before the last that the case expects; all, without a window."""
    around = np.random.default_rng(0).uniform(x.min() - 1, x.max() + 1, (400, x.shape[2])).astype(np.float32)
    found = convert_with_report(path, calibration=around, execution=execution)
    assert "within" in found.proof
    allowed = 4 * found.model.provenance.layers[-1].max_error
    for n, row in enumerate(x):
        y = found.float_model.run(row)
        for value in (expected[name] for name in ("Y", "Y_h") if name in expected):
            exact = (value[n] if batchwise else np.moveaxis(value, -2, 0)[n]).reshape(-1, y.shape[1])
            exact = exact if execution is None else exact[len(exact) - 1 - late :][:1]
            np.testing.assert_allclose(y[-len(exact) :], exact, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(LoadedModel(found.model).stream().run(row), y, rtol=0, atol=allowed)
