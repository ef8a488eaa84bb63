"""How many words g2p-en pronounces otherwise in int8, and what a word costs; g2p-en has to be installed.

    python bench/phonemes.py

Calibrated on its list of homographs, tried on the words of Python's own help texts.
"""

import re
import sys
import tempfile
import time
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
from phoneme_cases import letters_of, listed, pronounced, written  # noqa: E402

from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters.conversion import convert_with_report  # noqa: E402


def main() -> None:
    known = listed()
    words = sorted({*re.findall(r"\b[a-z]{3,14}\b", " ".join(topics.values()))} - {*known})
    with tempfile.TemporaryDirectory() as folder:
        arrays = written(Path(folder))
        made = convert_with_report(
            arrays, calibration=letters_of(known[::2]), architecture=Path(folder) / "g2p.toml"
        )
    x, exact = letters_of(words), pronounced(words)
    ends = np.flatnonzero(x[:, 0] == 2)
    stream = LoadedModel(made.model).stream()
    start = time.perf_counter()
    found = stream.run(x)[ends]
    taken = time.perf_counter() - start
    in_float = made.float_model.run(x)[ends]
    for what, y in (("float32", in_float), ("int8", found)):
        differ = int((y != exact).any(axis=1).sum())
        print(
            f"{what:8} {differ} of {len(words)} words differ from the package ({100 * differ / len(words):.1f} %)"
        )
    print(f"{1e6 * taken / len(words):.0f} us a word")


if __name__ == "__main__":
    main()
