"""TFLite files built with LiteRT's schema and proved by its interpreter; damaged ones end in one line."""

import contextlib
import tracemalloc

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
    "peepholes, coupled": {"peephole": True, "coupled": True},
    "time first": {"time_major": True},
    "projected": {"projection": True},
    "projected with a bias": {"projection": "biased"},
    "projected, peepholes, coupled": {"projection": True, "peephole": True, "coupled": True},
    "projected, clipped": {"projection": True, "projection_clip": 0.2},
    "normalised": {"norm": True},
    "normalised, peepholes": {"norm": True, "peephole": True},
    "normalised, coupled": {"norm": True, "coupled": True},
    "normalised, coupled, peepholes": {"norm": True, "coupled": True, "peephole": True},
    "normalised, peepholes, projected, clipped": {
        "norm": True, "peephole": True, "projection": "biased", "clip": 0.5, "projection_clip": 0.3,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_fused_lstm(tmp_path, name):
    reading = readers.read(tflite_cases.fused_lstm(tmp_path / "m.tflite", **VARIANTS[name]))
    assert reading.proof.startswith("litert: within")


@pytest.mark.parametrize(
    "variant",
    [{}, {"time_major": True}, {"clip": 0.5}, {"peephole": True}, {"asymmetric": True}, {"norm": True}],
)
def test_variants_with_int8_weights(tmp_path, variant):
    """The engine computes in float between them, but for the products."""
    reading = readers.read(tflite_cases.fused_lstm(tmp_path / "m.tflite", int8=True, **variant))
    assert "computes it in int8: within" in reading.proof
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense"]


@pytest.mark.parametrize(
    "variant", [{}, {"time_major": True}, {"clip": 0.5}, {"peephole": True}, {"projection": True}]
)
def test_an_lstm_of_whole_numbers_only(tmp_path, variant):
    """As full integer quantisation writes it: int8 in and out, an int16 cell, int32 biases."""
    reading = readers.read(tflite_cases.whole_lstm(tmp_path / "m.tflite", **variant))
    assert "computes it in int8: within" in reading.proof
    assert [layer.kind for layer in reading.model.layers] == ["lstm", "dense"]


def test_an_output_of_another_scale_than_its_state(tmp_path):
    """As TensorFlow writes a Bidirectional in int8: LiteRT is decibels from the weights, which is said, with what to do."""
    path = tflite_cases.whole_lstm(tmp_path / "m.tflite", out_scale=tflite_cases.OUT_SCALE / 4)
    with pytest.raises(ConversionError, match=r'"y8" has scale 0\.00195 .* 0\.00781 .* Export it in float'):
        readers.read(path)


def test_a_signal_of_an_endless_shape(tmp_path):
    """Found by fuzzing: the shape was believed, and made, before it was judged."""
    path = tflite_cases.fused_lstm(tmp_path / "m.tflite", steps=1 << 27)
    tracemalloc.start()
    try:
        with pytest.raises(ConversionError, match=r"m\.tflite: input .* export a shorter sequence"):
            readers.read(path, verify=False)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


TWO_WAYS = {
    "one operator": (tflite_cases.fused_bidirectional, {}),
    "one operator, time first": (tflite_cases.fused_bidirectional, {"time_major": True}),
    "one operator, two outputs": (tflite_cases.fused_bidirectional, {"merged": False}),
    "one operator, peepholes": (tflite_cases.fused_bidirectional, {"peephole": True}),
    "one operator, projected": (tflite_cases.fused_bidirectional, {"projection": True}),
    "two operators": (tflite_cases.two_ways, {}),
}


@pytest.mark.parametrize("name", TWO_WAYS)
def test_both_directions(tmp_path, name):
    make, variant = TWO_WAYS[name]
    reading = readers.read(make(tmp_path / "m.tflite", **variant))
    assert reading.proof.startswith("litert: within")
    assert [layer.kind for layer in reading.model.layers].count("lstm") == 2
    assert any(layer.name in reading.model.backward for layer in reading.model.layers if layer.kind == "lstm")


REFUSED = {
    "sign": ({"activation": 5}, "it has activation number 5"),
    "half normalised": (
        {"norm": "if"},
        "it has 2 of the vectors that normalise its gates, expected one for each",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_by_operator(tmp_path, name):
    variant, message = REFUSED[name]
    path = tflite_cases.fused_lstm(tmp_path / "m.tflite", **variant)
    with pytest.raises(ConversionError, match=rf"m\.tflite: operator .*SEQUENCE_LSTM\): {message}"):
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


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolution_of_each_channel(tmp_path, padding):
    reading = readers.read(tflite_cases.depthwise(tmp_path / "m.tflite", padding))
    assert "conv1d" in [layer.kind for layer in reading.model.layers]
    assert bool(reading.model.backward) == (padding == "SAME")
    assert reading.proof.startswith("litert: within")


@pytest.mark.parametrize("pooled", [False, True])
def test_convolution_along_time(tmp_path, pooled):
    reading = readers.read(tflite_cases.convolved(tmp_path / "m.tflite", pooled=pooled))
    kinds = [layer.kind for layer in reading.model.layers if layer.kind != "affine"]
    assert kinds == ["conv1d", *(["pool"] if pooled else []), "dense"]
    assert reading.proof.startswith("litert: within")


@pytest.mark.parametrize(
    "way", ["layer", "l2", "leaky", "RELU_N1_TO_1", "HARD_SWISH", "ABS", "ELU", "GELU", "EXP"]
)
def test_normalisation_and_limits_spelled_out(tmp_path, way):
    reading = readers.read(tflite_cases.normalised(tmp_path / "m.tflite", way))
    assert reading.proof.startswith("litert: within")
    modes = [layer.mode for layer in reading.model.layers if layer.kind == "normalization"]
    assert modes == ([way] if way in ("layer", "l2") else [])


ONE_STEP = {
    "variables": lambda path: tflite_cases.variables_lstm(path),
    "state tensors": lambda path: tflite_cases.fused_lstm(path, steps=1),
    "given": lambda path: tflite_cases.given_states(path),
    "given, in another order": lambda path: tflite_cases.given_states(path, swapped=True),
}


@pytest.mark.parametrize("name", ONE_STEP)
def test_one_sample_a_run_with_its_state_kept(tmp_path, name):
    reading = readers.read(ONE_STEP[name](tmp_path / "m.tflite"))
    assert [(layer.kind, layer.units) for layer in reading.model.layers] == [("lstm", H), ("dense", 2)]
    assert reading.proof.startswith("litert: within")
    assert reading.proof.endswith("over 1000 samples")
    expected = (
        "it takes one sample a run" if name == "state tensors" else "its 2 states go in and out at every run"
    )
    assert (reading.carried, reading.length) == (expected, None)
