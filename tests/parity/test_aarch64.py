"""The kernels compiled for the processors of ARM boards: the instructions they are to get, and, emulated, the same bits.

The emulated program also shows the absence: code for a Cortex-A76 dies of an unknown instruction on a Cortex-A53.
"""

import re
import shutil
import subprocess

import numpy as np
import pytest

import cross_compile
from edgelstm.backend import kernels
from edgelstm.stream import LoadedModel
from factories import random_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not kernels().compiled.COMPILES, reason="Numba is switched off: nothing to compile"),
]

TOOLS, EMULATOR = "aarch64-linux-gnu-", "qemu-aarch64"
MODELS = {
    "lstm": random_model(1, 4, [("lstm", 37), ("linear", 4)]),
    "gru": random_model(2, 7, [("gru", 19), ("gru_before", 9), ("tanh", 3)], extreme=True),
}
X = {
    name: np.random.default_rng(1).normal(0, 3, (30, len(model.channels))).astype(np.float32)
    for name, model in MODELS.items()
}
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


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("processor", PROCESSORS)
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
