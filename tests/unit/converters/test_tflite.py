"""TFLite files built with LiteRT's schema and proved by its interpreter; damaged ones end in one line."""

import contextlib

import numpy as np
import pytest

pytest.importorskip(
    "ai_edge_litert", reason="ai-edge-litert is not installed: TFLite files can be neither built nor run"
)
pytest.importorskip("flatbuffers")
pytestmark = pytest.mark.engines

import tflite_cases  # noqa: E402
from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm_converters import readers  # noqa: E402
from tflite_cases import H, I  # noqa: E402


def test_the_fused_lstm(tmp_path):
    reading = readers.read(tflite_cases.fused_lstm(tmp_path / "m.tflite"))
    assert [(layer.kind, layer.inputs, layer.units) for layer in reading.model.layers] == [
        ("lstm", I, H),
        ("dense", H, 2),
    ]
    assert reading.proof.startswith("litert: within")


def test_int8_weights_are_the_numbers_they_stand_for(tmp_path):
    """The engine quantises the signal too, so it agrees to a few digits only, and the proof says so."""
    reading = readers.read(tflite_cases.fused_lstm(tmp_path / "m.tflite", int8=True))
    assert "computes it in int8" in reading.proof
    gate = reading.model.layers[0].input_weights[:H]
    steps = gate / (np.abs(gate).max() / 127)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_an_lstm_inside_a_while(tmp_path):
    reading = readers.read(tflite_cases.while_lstm(tmp_path / "m.tflite"))
    assert [(layer.kind, layer.units) for layer in reading.model.layers] == [("lstm", H), ("dense", 2)]
    assert reading.proof.startswith("litert: within")


VARIANTS = {
    "coupled": {"coupled": True},
    "clipped": {"clip": 0.5},
    "relu": {"activation": 1},
    "peepholes": {"peephole": True},
    "peepholes, clipped": {"peephole": True, "clip": 10.0},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_fused_lstm(tmp_path, name):
    reading = readers.read(tflite_cases.fused_lstm(tmp_path / "m.tflite", **VARIANTS[name]))
    assert reading.proof.startswith("litert: within")


def test_what_is_refused_is_refused_by_operator(tmp_path):
    path = tflite_cases.fused_lstm(tmp_path / "m.tflite", activation=5)
    with pytest.raises(
        ConversionError, match=r"m\.tflite: operator .*SEQUENCE_LSTM\): it has activation number 5"
    ):
        readers.read(path)


def test_damage_anywhere_ends_in_one_line(tmp_path):
    """Bytes changed, cut off and repeated: an error of ours, or a model that can be read."""
    content = tflite_cases.while_lstm(tmp_path / "m.tflite").read_bytes()
    rng = np.random.default_rng(0)
    for trial in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), rng.integers(1, 12)):
            damaged[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(0, 256)])
        (tmp_path / "d.tflite").write_bytes(
            damaged[: rng.integers(0, len(damaged))] if trial % 5 == 0 else damaged
        )
        with contextlib.suppress(ConversionError):
            readers.read(tmp_path / "d.tflite", verify=False)
