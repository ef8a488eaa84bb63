"""The kernels compiled for the processors of ARM boards: the instructions they are to get, and, emulated, the same bits.

The emulated program also shows the absence: code for a Cortex-A76 dies of an unknown instruction on a Cortex-A53.
"""

import re
import shutil
import subprocess

import numpy as np
import pytest
from layer_cases import integer_model, loud

import cross_compile
from edgelstm.backend import kernels
from edgelstm.reference.operations import FIRST_OPERATION, OPERATION_COUNT, OPERATION_WORDS, SELDOM
from edgelstm.stream import LoadedModel
from factories import random_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not kernels().compiled.COMPILES, reason="Numba is switched off: nothing to compile"),
]

TOOLS, EMULATOR = "aarch64-linux-gnu-", "qemu-aarch64"
COVER = (
    "attention",
    "attention additive",
    "conv_lstm",
    "curve",
    "decoder",
    "decoder of values",
    "dense hard_sigmoid",
    "lstm hard",
    "lstm projected clipped",
    "multiply",
    "normalization layer",
    "variational",
    "window hierarchical",
)
"""Cases that have, together, every operation of a program."""

MODELS = {
    "lstm": random_model(1, 4, [("lstm", 37), ("linear", 4)]),
    "gru": random_model(2, 7, [("gru", 19), ("gru_before", 9), ("tanh", 3)], extreme=True),
} | {case: integer_model(case, seed=3) for case in COVER}
X = {name: loud(name, 1, 30, len(model.channels)) for name, model in MODELS.items()}
PROCESSORS = {"cortex-a53": "Pi 3, Zero 2", "cortex-a72": "Pi 4", "cortex-a76": "Pi 5"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a function that compiles a model for a processor, once."""
    done = {}

    def build(model, processor):
        if (model, processor) not in done:
            program = LoadedModel(MODELS[model]).program
            folder = tmp_path_factory.mktemp(processor)
            done[model, processor] = cross_compile.build(
                program, X[model], cross_compile.ARM, processor, folder
            )
        return done[model, processor]

    return build


def test_every_operation_is_covered():
    tables = []
    for model in MODELS.values():
        words = LoadedModel(model).program.words
        tables.append(words[FIRST_OPERATION:][: words[OPERATION_COUNT] * OPERATION_WORDS])
    assert SELDOM.keys() <= {int(kind) for table in tables for kind in table[::OPERATION_WORDS]}


@pytest.mark.parametrize("processor", PROCESSORS)
def test_instructions(built, processor):
    used = set(re.findall(r"^\s+([a-z]\w+)\s", built("lstm", processor).assembly, re.MULTILINE))
    assert ("sdot" in used) == (processor == "cortex-a76")
    assert "sdot" in used or "smull" in used
    assert "sqrdmulh" in used  # the rounding doubling high multiply of docs/arithmetic.md


def run_emulated(program, processor):
    return subprocess.run([EMULATOR, "-cpu", processor, str(program)], capture_output=True, check=False)


def require_emulator():
    missing = [tool for tool in (f"{TOOLS}as", f"{TOOLS}ld", EMULATOR) if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: binutils-aarch64-linux-gnu, qemu-user)")


@pytest.mark.parametrize(
    ("processor", "model"),
    [
        (processor, model)
        for processor in PROCESSORS
        for model in MODELS
        if model not in COVER
        or processor != "cortex-a53"  # which has no instruction less than the cortex-a72
    ],
)
def test_bits_under_emulation(built, processor, model):
    require_emulator()
    done = run_emulated(built(model, processor).link(TOOLS), processor)
    assert done.returncode == 0, done.stderr
    y = np.frombuffer(done.stdout, np.float32)
    expected = LoadedModel(MODELS[model]).stream().run(X[model])
    np.testing.assert_array_equal(y.reshape(expected.shape).view(np.int32), expected.view(np.int32))


def test_what_has_sdot_does_not_run_without(built):
    require_emulator()
    assert run_emulated(built("lstm", "cortex-a76").link(TOOLS), "cortex-a53").returncode != 0
