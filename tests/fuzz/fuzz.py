"""Coverage-guided fuzzing of everything that reads what others wrote (atheris, which brings libFuzzer).

    python tests/fuzz/fuzz.py TARGET [-max_total_time=600]     without a target it names them all

Targets are `config`, `model`, `snapshot`, `request`, `frames` (of a serial line), every payload format, and every suffix of a
file that a reader reads (`.script.pt` is a program of TorchScript).
"""

import importlib
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).parent),
    str(Path(__file__).parents[1]),
]  # seeds of files are made by the cases of tests

import atheris

with atheris.instrument_imports(include=["edgelstm"]):
    from edgelstm import config, model_check, model_file, snapshot  # noqa: F401  instrumented as they are imported

from edgelstm import detector

detector.warm_up()  # kernels would no longer compile if they were instrumented

with atheris.instrument_imports(include=["edgelstm"]):
    from edgelstm.daemon import control  # noqa: F401  what it imports is instrumented with it
    from edgelstm.sources import codecs, frames  # noqa: F401

    for module in set(codecs.CODECS.values()):
        importlib.import_module(f"edgelstm.sources.codecs.{module}")

with atheris.instrument_imports(include=["edgelstm_converters.readers", "edgelstm_converters.trace"]):
    from edgelstm_converters import readers  # what it imports is instrumented with it

    for module in {readers.LIVE_READER, *readers.READERS.values()}:
        importlib.import_module(f"edgelstm_converters.readers.{module}")

import seeds
import targets

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(print(*targets.TARGETS, sep="\n"))
    if sys.argv[1] not in targets.TARGETS:
        sys.exit(f"usage: fuzz.py TARGET ..., one of {', '.join(targets.TARGETS)}")
    target = sys.argv.pop(1)
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds.of(target)):
        (corpus / str(number)).write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], targets.TARGETS[target])
    atheris.Fuzz()
