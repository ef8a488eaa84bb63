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

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402

CASES = {
    case.name: case
    for case in node_cases._NodeTestCases
    if any(k in case.name for k in ("lstm", "gru", "rnn"))
}
NEEDS_THE_FUTURE = "direction is (reverse|bidirectional), and a stream has no future"
REFUSED = {
    **{f"test_{kind}_{way}": NEEDS_THE_FUTURE for kind in ("lstm", "gru", "simple_rnn") for way in ("reverse", "bidirectional")},
}  # fmt: skip


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


@pytest.mark.parametrize("name", sorted(set(CASES) - set(REFUSED)))
def test_a_case_through_float_and_int8(name, tmp_path):
    path = tmp_path / f"{name}.onnx"
    x, expected, batchwise = with_weights(CASES[name], path)  # (batch, time, channels)
    rng = np.random.default_rng(0)
    around = rng.uniform(x.min() - 1, x.max() + 1, (400, x.shape[2])).astype(np.float32)
    found = convert_with_report(path, calibration=around)
    assert "within" in found.proof
    allowed = 4 * found.model.provenance.layers[-1].max_error
    for n, row in enumerate(x):
        y = found.float_model.run(row)
        for output, value in expected.items():
            exact = value[n] if batchwise else np.moveaxis(value, -2, 0)[n]
            exact = np.squeeze(exact, exact.ndim - 2)
            np.testing.assert_allclose(
                y if output == "Y" else y[-1:].reshape(exact.shape), exact, rtol=1e-3, atol=1e-6
            )
        np.testing.assert_allclose(LoadedModel(found.model).stream().run(row), y, rtol=0, atol=allowed)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_case_that_is_refused_by_name(name, tmp_path):
    path = tmp_path / f"{name}.onnx"
    with_weights(CASES[name], path)
    with pytest.raises(ConversionError, match=rf"\.onnx: node .*{REFUSED[name]}"):
        readers.read(path)
