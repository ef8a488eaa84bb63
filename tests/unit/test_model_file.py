"""The model file: what is written comes back, and what is damaged is refused in one line."""

import dataclasses
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgelstm
from edgelstm import model_file
from edgelstm.errors import ModelFileError
from edgelstm.model import Channel, Output
from edgelstm.model_check import check
from factories import random_model

LAYERS = (("lstm", 6), ("gru_before", 3), ("relu", 5), ("linear", 2))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "pump.elstm"
    model_file.save(random_model(1, 3, LAYERS), path)
    return path


def test_what_is_written_comes_back(saved):
    model, again = random_model(1, 3, LAYERS), model_file.load(saved)
    assert model_file.digest(model) == model_file.digest(again)
    assert again.channels == model.channels and again.outputs == model.outputs
    assert [layer.kind for layer in again.layers] == [layer.kind for layer in model.layers]
    x = np.ones((5, 3), np.float32)
    streams = edgelstm.load(saved).stream(), edgelstm.stream.LoadedModel(model).stream()
    np.testing.assert_array_equal(*(stream.run(x) for stream in streams))


def test_it_is_a_safetensors_file_with_one_document(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="numpy") as file:
        assert list(file.metadata()) == ["edgelstm"]
        document = json.loads(file.metadata()["edgelstm"])
        assert file.get_tensor("0.inputs.weights").dtype == np.int8
    assert document["format_version"] == 1 and document["layers"][0] == {"kind": "lstm", "name": "lstm_0"}


def test_saving_over_a_file_keeps_it_whole(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ModelFileError, match=r"pump\.elstm: cannot be written: No space left"):
        model_file.save(random_model(2), saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["pump.elstm"]


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=150)
def test_every_flipped_bit_is_noticed(tmp_path_factory, position, bit):
    path = tmp_path_factory.getbasetemp() / "flipped.elstm"
    model_file.save(random_model(1, 2, [("gru", 4), ("linear", 1)]), path)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        loaded = model_file.load(path)
    except ModelFileError as exc:
        assert str(exc).startswith(str(path)) and "\n" not in str(exc)
    else:  # a flip between the entries of the header, such as in their order, may leave everything as it was
        assert model_file.digest(loaded) == model_file.digest(random_model(1, 2, [("gru", 4), ("linear", 1)]))


@pytest.mark.parametrize("kept", [0, 3, 8, 100, -1])
def test_a_cut_file(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ModelFileError, match=r"pump\.elstm: is damaged or no model file"):
        model_file.load(saved)


def test_missing_directory_and_foreign_files(tmp_path, saved):
    with pytest.raises(ModelFileError, match=r"none\.elstm: no such file"):
        model_file.load(tmp_path / "none.elstm")
    with pytest.raises(ModelFileError, match=r"is a folder, expected a model file"):
        model_file.load(tmp_path)
    from safetensors.numpy import save

    saved.write_bytes(save({"a": np.zeros(3)}))
    with pytest.raises(ModelFileError, match="no edgelstm model; convert it with"):
        model_file.load(saved)


def rewrite(path, change):
    """Change the JSON document of a model file, as an editor would, without the digest."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    document = json.loads(header["__metadata__"]["edgelstm"])
    change(document)
    header["__metadata__"]["edgelstm"] = json.dumps(document)
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content[8 + size :])


CHANGES = {
    "newer format": (lambda d: d.update(format_version=9), "has format version 9; this edgelstm knows 1"),
    "newer arithmetic": (lambda d: d.update(arithmetic_version=7), "has arithmetic version 7"),
    "unknown key": (lambda d: d.update(colour="red"), "unknown field `colour`"),
    "edited name": (lambda d: d.update(name="fan"), "do not match its digest"),
    "no layers": (lambda d: d.update(layers=[]), "no layer uses|0 layers"),
    "wrong type": (lambda d: d.update(channels=3), r"Expected `array`, got `int`"),
    "missing tensor": (
        lambda d: d["layers"].append({"kind": "lstm", "name": "x"}),
        r'layer "x": tensor 4\.inputs',
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_edited_document(saved, case):
    change, message = CHANGES[case]
    rewrite(saved, change)
    with pytest.raises(ModelFileError, match=message):
        model_file.load(saved)


def changed_product(model, **fields):
    layer = model.layers[0]
    return dataclasses.replace(
        model, layers=(dataclasses.replace(layer, inputs=dataclasses.replace(layer.inputs, **fields)),)
    )


ONE_LAYER = random_model(4, 3, [("lstm", 2)])
OUT_OF_BOUNDS = {
    "weight": (changed_product(ONE_LAYER, weights=np.full((8, 3), -128, np.int8)), "-128"),
    "weight type": (changed_product(ONE_LAYER, weights=np.zeros((8, 3), np.int16)), "int16"),
    "multiplier": (changed_product(ONE_LAYER, multipliers=np.full((1, 8), 2**30, np.int32)), "1073741824"),
    "shift": (changed_product(ONE_LAYER, shifts=np.full((1, 8), 31, np.int32)), "31"),
    "bias": (changed_product(ONE_LAYER, bias=np.full(8, 2**31 - 1, np.int32)), r"below 2\*\*31"),
    "rows": (changed_product(ONE_LAYER, weights=np.zeros((7, 3), np.int8)), "7"),
    "columns": (changed_product(ONE_LAYER, weights=np.zeros((8, 2), np.int8)), "2"),
    "gain": (
        dataclasses.replace(ONE_LAYER, channels=(Channel(name="a", gain=float("nan")),) * 3),
        "two channels",
    ),
    "scale": (
        dataclasses.replace(ONE_LAYER, outputs=(Output(name="a", scale=0.0), Output(name="b", scale=1.0))),
        "scale",
    ),
    "outputs": (dataclasses.replace(ONE_LAYER, outputs=ONE_LAYER.outputs[:1]), "2 units but 1 outputs"),
}


@pytest.mark.parametrize("case", OUT_OF_BOUNDS)
def test_what_the_kernels_could_not_run_is_refused(case, tmp_path):
    model, message = OUT_OF_BOUNDS[case]
    with pytest.raises(ModelFileError, match=message):
        check(model)
    with pytest.raises(ModelFileError, match=r"x\.elstm: "):
        model_file.save(model, tmp_path / "x.elstm")
    assert not list(tmp_path.iterdir())
