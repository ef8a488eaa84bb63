"""ONNX files with bytes changed, cut off and repeated: a model that can be read, or one line."""

import contextlib

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402
from onnx_cases import AXIS, TAIL, H, constant, recurrent, weights, write  # noqa: E402


def test_damage_anywhere_ends_in_one_line(tmp_path):
    path = write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], y=("t", 1, H))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for trial in range(400):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), rng.integers(1, 8)):
            damaged[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(0, 256)])
        if trial % 4 == 0:
            damaged = damaged[: rng.integers(0, len(damaged))]
        path.write_bytes(damaged)
        with contextlib.suppress(ConversionError):
            readers.read(path, verify=False)


def test_structure_that_is_wrong_ends_in_one_line(tmp_path):
    """What parses may still make no sense: names, attributes, shapes and types exchanged at random."""
    base = onnx.load(
        write(
            tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS, constant("M", H, 2)], y=("t", 1, H)
        )
    )
    rng = np.random.default_rng(1)
    names = ["x", "W", "R", "B", "seq", "axis", "y", "", "nothing", "M"]
    kinds = [
        "LSTM",
        "GRU",
        "RNN",
        "Squeeze",
        "Reshape",
        "Gemm",
        "MatMul",
        "Split",
        "Concat",
        "Loop",
        "If",
        "Gather",
        "Pad",
        "Conv",
        "Expand",
        "Slice",
    ]
    for _ in range(300):
        model = onnx.ModelProto()
        model.CopyFrom(base)
        node = model.graph.node[rng.integers(0, 2)]
        for _ in range(rng.integers(1, 4)):
            what = rng.integers(0, 4)
            if what == 0:
                node.op_type = str(rng.choice(kinds))
            elif what == 1 and node.input:
                node.input[rng.integers(0, len(node.input))] = str(rng.choice(names))
            elif what == 2:
                tensor = model.graph.initializer[rng.integers(0, len(model.graph.initializer))]
                tensor.dims[rng.integers(0, len(tensor.dims))] = int(rng.choice([0, 1, 3, 10**10, -1]))
            else:
                node.attribute.append(
                    onnx.helper.make_attribute(
                        str(rng.choice(["axis", "perm", "axes", "layout"])), [int(rng.integers(-9, 9))]
                    )
                )
        (tmp_path / "d.onnx").write_bytes(model.SerializeToString())
        with contextlib.suppress(ConversionError):
            readers.read(tmp_path / "d.onnx", verify=False)
