"""Small files that ask for more memory than a machine has: refused by name, before anything is allocated."""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper  # noqa: E402

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402
from onnx_cases import AXIS, TAIL, H, constant, integers, recurrent, weights, write  # noqa: E402

HUGE = 1 << 33
MOST_BYTES = 100 << 20


def refused(path, message, **asked):
    """See that reading fails with the one line, and how many bytes were allocated at most."""
    tracemalloc.start()
    try:
        with pytest.raises(ConversionError, match=message) as told:
            readers.read(path, verify=False, **asked)
        assert "\n" not in str(told.value)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


SHAPES = {
    "samples": ((1 << 40, 1, 3), r'input "x" has \d+ samples: export a shorter sequence'),
    "samples behind the batch": ((4, 1 << 40, 3), r'input "x" has \d+ samples: export a shorter sequence'),
    "a batch": ((4, 5000, 3), 'input "x" has a batch of 5000: export it with one of 1'),
    "samples of a batch": ((1 << 14, 1 << 10, 3), 'input "x" has 50,331,648 numbers'),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_signal_of_an_endless_shape(name, tmp_path):
    shape, message = SHAPES[name]
    write(tmp_path / "m.onnx", [recurrent(), TAIL], [*weights(4), AXIS], x=shape, y=(*shape[:2], H))
    refused(tmp_path / "m.onnx", message)


MAKERS = {
    "Expand": ([constant("one", 1), integers("size", HUGE)], "one size", {}),
    "Tile": ([constant("one", 1), integers("size", HUGE)], "one size", {}),
    "Pad": ([constant("one", 1), integers("size", 0, HUGE)], "one size", {}),
    "ConstantOfShape": ([integers("size", HUGE)], "size", {}),
    "OneHot": ([integers("row", 1), integers("size", HUGE), constant("two", 2)], "row size two", {}),
    "MatMul": ([constant("a", 1 << 15, 1), constant("b", 1, 1 << 15)], "a b", {}),
    "Add": ([constant("a", 1 << 15, 1), constant("b", 1, 1 << 15)], "a b", {}),
    "Gather": ([constant("a", 1, 1 << 15), integers("zeros", *[0] * (1 << 12))], "a zeros", {}),
    "RandomNormal": ([], "", {"shape": [HUGE]}),
    "HannWindow": ([integers("size", HUGE)], "size", {}),
}  # fmt: skip


@pytest.mark.parametrize("op", MAKERS)
def test_a_constant_that_is_made_of_little(op, tmp_path):
    constants, names, attributes = MAKERS[op]
    nodes = [
        helper.make_node(op, names.split(), ["big"], name="big", **attributes),
        helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
        helper.make_node("Add", ["x", "most"], ["moved"]),
        recurrent(inputs="moved W R B"),
        TAIL,
    ]
    write(tmp_path / "m.onnx", nodes, [*constants, *weights(4), AXIS])
    refused(tmp_path / "m.onnx", rf'node "big" \({op}\): it (makes a tensor of [0-9,]+ numbers|has no input)')


@pytest.mark.parametrize("op", ["Expand", "Tile"])
def test_a_signal_that_is_repeated_without_end(op, tmp_path):
    nodes = [helper.make_node(op, ["x", "size"], ["much"], name="much"), recurrent(inputs="much W R B"), TAIL]
    write(tmp_path / "m.onnx", nodes, [integers("size", 1, HUGE, 1), *weights(4), AXIS])
    refused(tmp_path / "m.onnx", rf'node "much" \({op}\): it makes a tensor of [0-9,]+ numbers')


def pickle_of(count, rows):
    """Return the pickle of a state_dict with one tensor of a storage of so many floats."""
    text = b"cTYPE\n".replace(b"cTYPE", b"ctorch\nFloatStorage")
    storage = b"(X\x07\0\0\0storage" + text + b"X\x01\0\0\x000X\x03\0\0\0cpuL%dL\ntQ" % count
    size = b"(L%dL\nK\x03t(K\x03K\x01t" % rows
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + size + b"\x89}tR"
    return b"\x80\x02}X\x06\0\0\0weight" + tensor + b"s."


def container(pickled, numbers, name="data/0"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr(f"m/{name}", numbers)
    return stream.getvalue()


TORCH = {
    "numbers that are not there": (container(pickle_of(HUGE, 4), bytes(48)), "has 48 bytes, expected 34,359,738,368"),
    "a shape beyond them": (container(pickle_of(12, HUGE), bytes(48)), '"weight" reaches beyond its 12 numbers'),
    "a member that is missing": (container(pickle_of(12, 4), bytes(48), "data/1"), 'its tensor data "0" is missing'),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_tensors_of_pytorch_that_are_not_in_the_file(name, tmp_path):
    content, message = TORCH[name]
    (tmp_path / "m.pt").write_bytes(content)
    refused(tmp_path / "m.pt", message)


def test_a_tensor_of_pytorch_that_is(tmp_path):
    numbers = np.arange(12, dtype="<f4")
    (tmp_path / "m.pt").write_bytes(container(pickle_of(12, 4), numbers.tobytes()))
    found = readers.read(tmp_path / "m.pt", verify=False).model.layers[0].weights
    np.testing.assert_array_equal(found, numbers.reshape(4, 3))


def test_a_compressed_container_of_pytorch(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(300 << 20))
    refused(tmp_path / "m.pt", r'is no PyTorch file: "m/data\.pkl" is compressed')


def test_code_of_torchscript_that_does_not_unpack(tmp_path):
    """Found by fuzzing: what zlib raises is none of zipfile's errors."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/constants.pkl", b"", zipfile.ZIP_STORED)
        archive.writestr("m/code/net.py", b"def forward(self): pass\n" * 9)
    packed = bytearray(stream.getvalue())
    start = packed.index(b"net.py") + len("net.py")
    packed[start : start + 4] = b"\xff" * 4
    (tmp_path / "m.pt").write_bytes(packed)
    refused(tmp_path / "m.pt", r"is damaged: Error -3 while decompressing")


@pytest.mark.parametrize("length", [HUGE, (1 << 64) - 1, 60])
def test_a_header_of_safetensors(length, tmp_path):
    head = json.dumps({"weight": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", length) + head.ljust(80))
    refused(tmp_path / "m.safetensors", r"m\.safetensors: is damaged or no safetensors file")


def test_a_header_of_numpy(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (HUGE, 3)})
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("w.npy", stream.getvalue() + bytes(48))
    (tmp_path / "net.toml").write_text('[[layers]]\nkind = "dense"\nname = "d"\nweights = "w"\n')
    refused(tmp_path / "m.npz", r"m\.npz: is damaged", architecture=tmp_path / "net.toml")
