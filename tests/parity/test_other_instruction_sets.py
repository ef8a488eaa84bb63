"""Every family of layers, begun on a processor without AVX and gone on with here: the same bits, cut anywhere or not."""

import hashlib
import json
import platform

import numpy as np
import pytest
from layer_cases import INTEGER_CASES, integer_model, loud

from edgelstm.backend import kernels
from edgelstm.stream import LoadedModel
from factories import elsewhere

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors"),
    pytest.mark.skipif(not kernels().compiled.COMPILES, reason="Numba is switched off"),
]

SAMPLES, CUT = 30, 13


def begin(case):
    """Return the digest of the first outputs, and the snapshot after them."""
    _, stream, x = started(case)
    return hashlib.sha256(stream.run(x[:CUT]).tobytes()).hexdigest(), stream.snapshot().hex()


def started(case):
    loaded = LoadedModel(integer_model(case, 7, 5, 18, True))
    return loaded, loaded.stream(), loud(case, 7, SAMPLES, 5)


def report():
    print(json.dumps({case: begin(case) for case in INTEGER_CASES}))


@pytest.mark.slow
def test_every_family_goes_on_from_there(tmp_path):
    found = elsewhere("test_other_instruction_sets", "x86-64", "+sse2", tmp_path)
    for case, (digest, snapshot) in found.items():
        assert digest == begin(case)[0], case
        loaded, stream, x = started(case)
        whole, successor = stream.run(x), loaded.stream()
        successor.restore(bytes.fromhex(snapshot))
        np.testing.assert_array_equal(successor.run(x[CUT:]), whole[CUT:], err_msg=case)
