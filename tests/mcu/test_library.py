"""Streams that step through exported C: the bits, snapshots and errors of any other stream."""

import numpy as np
import pytest

from c_code import COMPILER, assert_same_bits
from edgelstm import model_file
from edgelstm.errors import ModelFileError, SampleError, SnapshotError
from edgelstm.stream import LoadedModel, load
from edgelstm_converters.c_export import export
from edgelstm_firmware_sim.mcu.build import build_shared
from factories import random_model

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler: no shared object is made")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model file and its library."""
    folder = tmp_path_factory.mktemp("library")
    model = random_model(3, 4, [("lstm", 13), ("gru", 6), ("linear", 3)])
    model_file.save(model, folder / "m.elstm")
    exported = export(LoadedModel(model), folder / "c", "m", shared=True)
    return folder / "m.elstm", build_shared(exported.folder, "host", folder / "m.so")


def noise(*shape):
    return (np.random.default_rng(0).standard_t(2, shape) * 3).astype(np.float32)


def test_steps_blocks_and_snapshots_are_those_of_the_kernels(made):
    path, library = made
    compiled, c = load(path).stream(), load(path, library=library).stream()
    x = noise(120, 4)
    assert_same_bits(np.array([c.step(row) for row in x[:40]]), compiled.run(x[:40]))
    assert c.snapshot() == compiled.snapshot()
    assert_same_bits(c.run(x[40:80]), compiled.run(x[40:80]))
    later = load(path, library=library).stream()
    later.restore(compiled.snapshot())
    assert_same_bits(later.run(x[80:]), compiled.run(x[80:]))
    c.reset()
    compiled.reset()
    assert_same_bits(c.run(x), compiled.run(x))


def test_many_streams_step_together(made):
    path, library = made
    compiled, c, x = load(path).streams(5), load(path, library=library).streams(5), noise(30, 5, 4)
    for rows in x:
        assert_same_bits(c.step(rows), compiled.step(rows))
    assert [c.snapshot(n) for n in range(5)] == [compiled.snapshot(n) for n in range(5)]
    far = np.where(x > 1.0, np.float32(1e9), x)
    assert_same_bits(c.step(far[0]), compiled.step(far[0]))
    counts = [c.saturated(n) for n in range(5)]
    assert counts == [compiled.saturated(n) for n in range(5)] and len(set(counts)) > 1


def test_what_is_refused(made, tmp_path):
    path, library = made
    stream = load(path, library=library).stream()
    before = stream.snapshot()
    with pytest.raises(SampleError, match=r"the sample at \[1\] is nan"):
        stream.step(np.array([1, np.nan, 2, 3], np.float32))
    with pytest.raises(SampleError, match="expected a float32 array of shape"):
        stream.step(np.zeros(3, np.float32))
    with pytest.raises(SnapshotError, match="damaged"):
        stream.restore(before[:-1] + bytes([before[-1] ^ 1]))
    assert stream.snapshot() == before
    assert_same_bits(stream.run(noise(8, 8)[:, ::2]), load(path).stream().run(noise(8, 8)[:, ::2]))
    other = tmp_path / "other.elstm"
    model_file.save(random_model(4, 4, [("lstm", 13), ("gru", 6), ("linear", 3)]), other)
    with pytest.raises(
        ModelFileError, match=r"was exported from model .*, this model is .*: export it again"
    ):
        load(other, library=library)
    with pytest.raises(ModelFileError, match="is no library of a model for this machine"):
        load(path, library=path)
