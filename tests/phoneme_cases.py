"""The trained network of g2p-en, words to phonemes: its arrays, its architecture, and what its own formulas give."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
G2P = """
[[layers]]
kind = "embedding"
name = "letters"
weights = "enc_emb"
{encoder}
[decoder]
ends_with = 2
start = 2
end = 3
steps = 20
[[decoder.layers]]
kind = "embedding"
name = "phonemes"
weights = "dec_emb"
{decoder}
[[decoder.layers]]
kind = "dense"
name = "head"
weights = "fc_w"
bias = "fc_b"
"""
CELL = """
[[{place}]]
kind = "gru"
name = "{name}"
gates = "run"
input_weights = "{name}_w_ih"
hidden_weights = "{name}_w_hh"
input_bias = "{name}_b_ih"
hidden_bias = "{name}_b_hh"
"""


def installed():
    return find_spec("g2p_en") is not None


def arrays_path():
    return Path(find_spec("g2p_en").origin).parent / "checkpoint20.npz"


def written(folder):
    """Write the architecture as g2p.toml; return the path of the arrays."""
    places = {"enc": "layers", "dec": "decoder.layers"}
    encoder, decoder = (CELL.format(place=place, name=name) for name, place in places.items())
    (folder / "g2p.toml").write_text(G2P.format(encoder=encoder, decoder=decoder))
    return arrays_path()


def listed():
    """The words of the package's list of homographs."""
    lines = (arrays_path().parent / "homographs.en").read_text().splitlines()
    words = [line.split("|")[0].lower() for line in lines if line and not line.startswith("#")]
    return [word for word in words if set(word) <= set(ALPHABET)]


def numbers_of(word):
    return [*(ALPHABET.index(letter) + 3 for letter in word), 2]


def letters_of(words):
    """One word after another, the symbol 2 behind each: float32 (letters, 1)."""
    return np.concatenate([numbers_of(word) for word in words]).astype(np.float32)[:, None]


def pronounced(words):
    """What `G2p.predict` of the package computes, formula by formula: symbols (words, 20), filled up with 3."""
    v = dict(np.load(arrays_path()))

    def cell(x, h, part):
        ih, hh = x @ v[f"{part}_w_ih"].T + v[f"{part}_b_ih"], h @ v[f"{part}_w_hh"].T + v[f"{part}_b_hh"]
        r, z = np.split(1 / (1 + np.exp(-(ih[:512] + hh[:512]))), 2)
        return (1 - z) * np.tanh(ih[512:] + r * hh[512:]) + z * h

    found = []
    for word in words:
        h, said = np.zeros(256, np.float32), [2]
        for letter in numbers_of(word):
            h = cell(v["enc_emb"][letter], h, "enc")
        while len(said) <= 20 and said[-1] != 3:
            h = cell(v["dec_emb"][said[-1]], h, "dec")
            said.append(int((h @ v["fc_w"].T + v["fc_b"]).argmax()))
        found.append((said[1:] + [3] * 20)[:20])
    return np.array(found)
