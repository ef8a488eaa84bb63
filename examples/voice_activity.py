"""Speech or not, block by block: a network that was trained elsewhere (Silero VAD), int8, one block of sound in, one probability out.

    pip install --no-deps silero-vad                # the trained network, an ONNX file in a package
    pip install 'edgelstm[onnx]'
    python examples/voice_activity.py speech.wav    # 16,000 samples a second, one channel, 16 bits

The network begins with a magnitude spectrum, which is no layer of edgelstm: that part stays outside, and is computed here with
NumPy from the file's own basis. `convert --from` makes the model begin behind it. The sound calibrates the scales, so give
some that has speech in it.
"""

import importlib.util
import sys
import wave
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgelstm.stream import LoadedModel
from edgelstm_converters import convert_with_report

RATE, BLOCK, CONTEXT, WINDOW, HOP = 16_000, 512, 64, 256, 128
START = "/stft/Sqrt_output_0"


def network_file() -> Path:
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        sys.exit("the trained network is not installed: pip install --no-deps silero-vad")
    return Path(found.origin).parent / "data" / "silero_vad_16k_sequence.onnx"


def blocks(sound: np.ndarray) -> np.ndarray:
    """Return (blocks, CONTEXT + BLOCK): every block with the end of the one before it."""
    count = len(sound) // BLOCK
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), sound])
    return np.stack([padded[n * BLOCK : n * BLOCK + CONTEXT + BLOCK] for n in range(count)])


def spectra(rows: np.ndarray, path: Path) -> np.ndarray:
    """Return the magnitude spectra of every block, (blocks, 129 * 4), as the network's own front end computes them."""
    tensors = {t.name: t for t in onnx.load(path).graph.initializer}
    basis = numpy_helper.to_array(tensors["stft.forward_basis_buffer"])[:, 0]  # (2 * 129, WINDOW)
    padded = np.pad(rows, [(0, 0), (0, 64)], mode="reflect")
    frames = np.stack([padded[:, n * HOP : n * HOP + WINDOW] for n in range(4)], axis=1)
    parts = frames @ basis.T  # (blocks, 4, 258)
    magnitude = np.hypot(parts[..., :129], parts[..., 129:])
    return np.ascontiguousarray(magnitude.transpose(0, 2, 1).reshape(len(rows), -1), np.float32)


def read_wave(path: str) -> np.ndarray:
    with wave.open(path) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            sys.exit(f"{path}: expected {RATE} samples a second, one channel, 16 bits")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path, sound = network_file(), read_wave(sys.argv[1])
    samples = spectra(blocks(sound), path)
    conversion = convert_with_report(path, calibration=samples, outputs=["speech"], start=START)
    print(
        f"read and proved against {conversion.proof}; int8 {conversion.model.provenance.output_snr_db:.1f} dB from it"
    )
    stream = LoadedModel(conversion.model).stream()
    speaking = False
    for n, sample in enumerate(samples):  # one block in, one probability out
        probability = float(stream.step(sample)[0])
        if (probability > 0.5) != speaking:
            speaking = not speaking
            print(f"{n * BLOCK / RATE:8.2f} s  {'speech' if speaking else 'silence'}  {probability:.2f}")


if __name__ == "__main__":
    main()
