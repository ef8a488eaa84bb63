"""The same bits from machine code for lesser processors, and the instructions that each of them is to get.

A child process compiles for a processor that Numba is told to assume, and prints a digest of its outputs and
the mnemonics found in its machine code.
"""

import hashlib
import json
import platform
import re
from pathlib import Path

import numpy as np
import pytest

from edgelstm.backend import kernels
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from factories import elsewhere, random_model

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors"),
    pytest.mark.skipif(not kernels().compiled.COMPILES, reason="Numba is switched off"),
]

MODELS = ((1, 4, (("lstm", 32), ("linear", 4))), (2, 7, (("gru", 19), ("gru_before", 9), ("tanh", 3))))
PROCESSORS = {
    "sse2": ("x86-64", "+sse2", "pmaddwd xmm", "ymm"),
    "avx2": ("haswell", "+avx,+avx2,+fma,+bmi,+bmi2,+sse4.2", "vpmaddwd ymm", "vpdpbusd"),
    "avx2 and vnni": ("alderlake", "", "vpdpbusd ymm", "zmm"),
    "avx512 without vnni": ("skylake-avx512", "", "vpmaddwd zmm", "vpdpbusd"),
    "avx512 and vnni": ("icelake-server", "", "vpdpbusd zmm", "vpdpbusd ymm"),
}
"""Name and features as LLVM spells them, an instruction that is expected, and one that must not be there."""

FLAGS = {
    "avx2": "avx2",
    "avx2 and vnni": "avx_vnni",
    "avx512 without vnni": "avx512f",
    "avx512 and vnni": "avx512_vnni",
}
"""What this processor has to be able to run, as Linux spells it."""


def outputs_digest(execute_block, bind):
    total = hashlib.sha256()
    for seed, inputs, layers in MODELS:
        program = LoadedModel(random_model(seed, inputs, layers)).program
        x = np.random.default_rng(seed).normal(0, 3, (200, inputs)).astype(np.float32)
        y = np.empty((200, program.outputs), np.float32)
        context, owner = bind(program.words, program.initial_state(), program.new_scratch())
        assert execute_block(context, x, y) == -1
        total.update(y.tobytes())
        del owner
    return total.hexdigest()


def report():
    from edgelstm.kernels import seldom, step

    code = "".join(text for made in seldom.USUAL.values() for text in made.inspect_asm().values())
    found = re.findall(r"^\s*(?:{vex}\s+)?([a-z]\w+)\s.*%([xyz]mm)\d+$", code, re.MULTILINE)
    used = sorted({f"{mnemonic} {registers}" for mnemonic, registers in found})
    print(json.dumps({"digest": outputs_digest(step.execute_block, step.bind), "instructions": used}))


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_bits_and_instructions(processor, tmp_path):
    name, features, expected, forbidden = PROCESSORS[processor]
    if FLAGS.get(processor, "") not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"this processor has no {FLAGS[processor]}")
    found = elsewhere("test_processors", name, features, tmp_path)
    used = " ".join(found["instructions"])
    assert expected in used
    assert forbidden not in used
    assert found["digest"] == outputs_digest(twin.execute_block, twin.bind)


def test_this_machine_has_the_bits_of_the_twin():
    from edgelstm.kernels import step

    assert outputs_digest(step.execute_block, step.bind) == outputs_digest(twin.execute_block, twin.bind)
