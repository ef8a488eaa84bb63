"""Trained networks out of packages, streamed against their own engine."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.engines
ROOT = Path(__file__).parents[2]

from edgelstm.errors import ConversionError  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters import convert_with_report, readers  # noqa: E402


def package(name):
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        pytest.skip(f"{name} is not installed: its trained network is not tried")
    return Path(found.origin).parent


def voice(seconds, pitch, rate=16_000):
    """Bursts of a vowel: a pulse train of a wavering pitch through three formants."""
    time = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.05 * np.sin(2 * np.pi * 4 * time))) / rate
    source = sum(np.sin(k * phase) / k for k in range(1, 30))
    spectrum, frequency = np.fft.rfft(source), np.fft.rfftfreq(len(time), 1 / rate)
    formants = sum(
        1 / (1 + ((frequency - at) / width) ** 2) for at, width in ((700, 90), (1200, 110), (2600, 160))
    )
    found = np.fft.irfft(spectrum * formants, len(time))
    return 0.5 * found / np.abs(found).max() * np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)


def sound():
    """A minute of silence and vowels: enough for the network to be sure of both."""
    rng = np.random.default_rng(0)
    parts = [part for n in range(24) for part in (np.zeros(16_000), voice(1.5, 90 + 7 * n))]
    joined = np.concatenate(parts)
    return (joined + rng.normal(0, 0.003, len(joined))).astype(np.float32)


def test_voice_activity_block_by_block():
    """The example's way: spectrum outside, network inside. Float within 1e-5 of ONNX Runtime, int8 with the same decisions."""
    ort = pytest.importorskip("onnxruntime")
    package("silero_vad")
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import voice_activity as example
    finally:
        sys.path.pop(0)
    path = example.network_file()
    rows = example.blocks(sound())
    zeros = np.zeros((1, 1, 128), np.float32)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    exact = session.run(["speech_probs"], {"input": rows, "h": zeros, "c": zeros})[0].reshape(-1)
    samples = example.spectra(rows, path)
    found = convert_with_report(path, calibration=samples, start=example.START)
    np.testing.assert_allclose(found.float_model.run(samples)[:, 0], exact, rtol=0, atol=1e-5)
    y = LoadedModel(found.model).stream().run(samples)[:, 0]
    assert 0.05 < (exact > 0.5).mean() < 0.95
    assert ((y > 0.5) != (exact > 0.5)).mean() < 0.01
    assert found.model.provenance.output_snr_db > 30


BRANCH = "If_0_{}_branch__Inline_0__/stft/Sqrt_output_0"
FORMS = {
    "plain": ("silero_vad_half", {"start": "/stft/Sqrt_output_0", "fixed": {"input": 576}}),
    "a rate": ("silero_vad_16k_op15", {"start": "/model/stft/Sqrt_output_0", "fixed": {"sr": 16000, "input": 576}}),
    "static": ("silero_vad_openvino_16k", {"start": f"F0::{BRANCH.format('then')}"}),
    "in a branch": ("silero_vad", {"start": BRANCH.format("then"), "fixed": {"sr": 16000, "input": 576}}),
    "in the other": ("silero_vad", {"start": BRANCH.format("else"), "fixed": {"sr": 8000, "input": 288}}),
    "no LSTM": ("silero_vad_op18_ifless", {"start": "sqrt", "fixed": {"sr": 16000, "input": 576}}),
    "no LSTM, the other": ("silero_vad_op18_ifless", {"start": "sqrt_2", "fixed": {"sr": 8000, "input": 288}}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_same_network_in_every_form_of_the_package(form):
    """One sample at a time, with a state in and a state out, inside of branches, spelled as products and sums."""
    pytest.importorskip("onnxruntime")
    name, options = FORMS[form]
    path = package("silero_vad") / "data" / f"{name}.onnx"
    reading = readers.read(path, **options)
    assert reading.proof.startswith("onnxruntime: within")
    assert [layer.kind for layer in reading.model.layers].count("lstm") == 1
    assert reading.model.inputs == (65 if "other" in form else 129) * 4
    with pytest.raises(
        ConversionError, match=r"node .*: it takes a square root, which cannot be converted.*--from"
    ):
        readers.read(path, **{**options, "start": None})


def test_graphemes_to_phonemes_from_plain_arrays(tmp_path):
    """The encoder of g2p-en, a GRU in an NPZ file, against the package's own formulas in NumPy."""
    path = package("g2p_en") / "checkpoint20.npz"
    names = ("input_weights", "hidden_weights", "input_bias", "hidden_bias")
    keys = dict(zip(names, ("enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh"), strict=True))
    text = "\n".join(f'{name} = "{key}"' for name, key in keys.items())
    (tmp_path / "net.toml").write_text(f'[[layers]]\nkind = "gru"\nname = "encoder"\ngates = "run"\n{text}\n')
    arrays = np.load(path)
    letters = np.random.default_rng(0).integers(3, 29, 600)
    x = arrays["enc_emb"][letters]
    found = convert_with_report(path, calibration=x, architecture=tmp_path / "net.toml")
    h, exact = np.zeros(256, np.float32), []
    for row in x:  # as the package computes it
        ih = row @ arrays["enc_w_ih"].T + arrays["enc_b_ih"]
        hh = h @ arrays["enc_w_hh"].T + arrays["enc_b_hh"]
        r, z = np.split(1 / (1 + np.exp(-(ih[:512] + hh[:512]))), 2)
        n = np.tanh(ih[512:] + r * hh[512:])
        h = (1 - z) * n + z * h
        exact.append(h)
    np.testing.assert_allclose(found.float_model.run(x), np.array(exact), rtol=0, atol=1e-4)
    y = LoadedModel(found.model).stream().run(x)
    assert 10 * np.log10(np.var(exact) / np.square(y - np.array(exact)).mean()) > 30
