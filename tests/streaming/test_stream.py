"""One by one, in blocks, together with others, or cut by a snapshot: the same bits."""

import gc
import sys
import threading
import weakref
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgelstm.errors import SampleError, SnapshotError, UsageError
from edgelstm.kernels import python_method
from edgelstm.kernels import step as step_kernel
from edgelstm.stream import LoadedModel
from factories import random_model

LAYERS = (
    (("lstm", 9), ("lstm", 5), ("linear", 2)),
    (("gru", 11), ("gru_before", 4)),
    (("gru_before", 8), ("tanh", 3)),
)
MODELS = [LoadedModel(random_model(seed, 3, layers)) for seed, layers in enumerate(LAYERS)]
SAMPLES = 40
X = np.random.default_rng(5).normal(0, 2, (SAMPLES, 3)).astype(np.float32)

models = pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: "-".join(x.kind for x in model.model.layers)
)


@models
def test_one_by_one_is_a_block(model):
    block, stream = model.stream().run(X), model.stream()
    np.testing.assert_array_equal(np.array([stream.step(x) for x in X]), block)


@given(cuts=st.lists(st.integers(0, SAMPLES), max_size=5), number=st.integers(0, len(MODELS) - 1))
@settings(max_examples=40)
def test_cut_by_snapshots_anywhere(cuts, number):
    model, parts = MODELS[number], []
    edges = [0, *sorted(cuts), SAMPLES]
    stream = model.stream()
    for first, end in zip(edges[:-1], edges[1:], strict=True):
        successor = LoadedModel(model.model).stream()  # as on another machine
        successor.restore(stream.snapshot())
        parts.append(successor.run(X[first:end]))
        stream = successor
    np.testing.assert_array_equal(np.concatenate(parts), model.stream().run(X))


@models
def test_streams_together_are_streams_alone(model):
    x = np.random.default_rng(1).normal(0, 2, (SAMPLES, 19, 3)).astype(np.float32)
    many = model.streams(19)
    together = np.array([many.step(rows) for rows in x])
    for index in range(19):
        alone = model.stream()
        np.testing.assert_array_equal(together[:, index], alone.run(np.ascontiguousarray(x[:, index])))
        assert many.snapshot(index) == alone.snapshot()
    other = model.streams(2)
    other.restore(1, many.snapshot(3))
    assert other.snapshot(1) == many.snapshot(3)
    many.reset(3)
    assert many.snapshot(3) == model.stream().snapshot() != many.snapshot(4)


@models
def test_reset_is_a_new_stream(model):
    stream = model.stream()
    first = stream.run(X)
    stream.reset()
    np.testing.assert_array_equal(stream.run(X), first)


def test_streams_of_one_model_in_threads():
    model, results = MODELS[0], {}

    def run(number):
        results[number] = model.stream().run(np.tile(X, (200, 1)))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_array_equal(results[number], results[0])


def test_out_is_written_and_returned():
    model = MODELS[0]
    out = np.empty(2, np.float32)
    assert model.stream().step(X[0], out) is out
    np.testing.assert_array_equal(out, model.stream().step(X[0]))
    block = np.empty((SAMPLES, 2), np.float32)
    assert model.stream().run(X, block) is block


@pytest.mark.parametrize(
    "layout", [np.asfortranarray(X), X[::2], np.frombuffer(X.tobytes(), np.float32).reshape(X.shape)]
)
def test_other_layouts_are_read_all_the_same(layout):
    """Strided, Fortran-ordered and read-only samples are copied, not refused."""
    expected = MODELS[0].stream().run(np.ascontiguousarray(layout).copy())
    np.testing.assert_array_equal(MODELS[0].stream().run(layout), expected)
    stream = MODELS[0].stream()
    np.testing.assert_array_equal(np.array([stream.step(x) for x in layout]), expected)


class Subclass(np.ndarray):
    pass


def misaligned(x):
    return np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)


@pytest.mark.parametrize("make", [lambda x: x.view(Subclass), misaligned])
def test_unusual_arrays_are_copied_and_read(make):
    """The compiled entry looks at an object's fields itself: what it does not know goes another way."""
    known, stream = MODELS[0].stream(), MODELS[0].stream()
    for x in X[:10]:
        np.testing.assert_array_equal(stream.step(make(x)), known.step(x))
    assert stream.snapshot() == known.snapshot()


@pytest.mark.parametrize(
    "thing", [None, 3.0, "text", b"0123456789ab", object(), int, np.float32, np.float32(1)]
)
def test_things_that_are_no_array_are_refused(thing):
    stream = MODELS[0].stream()
    with pytest.raises(SampleError, match="the sample is a"):
        stream.step(thing)
    with pytest.raises(SampleError, match="out is a"):
        stream.step(X[0], thing if thing is not None else ())
    assert stream.snapshot() == MODELS[0].stream().snapshot()


def test_a_step_from_many_threads_at_once_keeps_every_stream_apart():
    """A step gives the interpreter's lock back: others run in the meantime, on streams of their own."""
    model = MODELS[0]
    expected, results = model.stream().run(X)[-1], []

    def work():
        stream, out = model.stream(), np.empty(2, np.float32)
        for _ in range(50):
            stream.reset()
            for x in X:
                stream.step(x, out)
            results.append(out.copy())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results, np.tile(expected, (200, 1)))


BAD_SAMPLES = {
    "float64": (np.zeros(3), r"float64 of shape \(3,\), expected a float32 array of shape \(3,\)"),
    "too short": (np.zeros(2, np.float32), r"float32 of shape \(2,\)"),
    "a block": (np.zeros((1, 3), np.float32), r"float32 of shape \(1, 3\)"),
    "a list": ([0.0, 0.0, 0.0], "is a list"),
    "nan": (np.array([0, np.nan, 0], np.float32), r"at \[1\] is nan: values have to be finite"),
    "infinity": (np.array([0, 0, -np.inf], np.float32), r"at \[2\] is -inf"),
    "big-endian": (np.zeros(3, ">f4"), ">f4 of shape"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_a_bad_sample_leaves_no_trace(case):
    sample, message = BAD_SAMPLES[case]
    stream = MODELS[0].stream()
    stream.run(X)
    before = stream.snapshot()
    with pytest.raises(SampleError, match=message):
        stream.step(sample)
    assert stream.snapshot() == before


def test_a_bad_value_late_in_a_block_leaves_no_trace():
    stream, x = MODELS[0].stream(), X.copy()
    x[-1, 2] = np.nan
    with pytest.raises(SampleError, match=r"at \[39, 2\] is nan"):
        stream.run(x)
    assert stream.snapshot() == MODELS[0].stream().snapshot()


@pytest.mark.parametrize(
    "out",
    [np.empty(2), np.empty(3, np.float32), np.empty(4, np.float32)[::2], np.frombuffer(bytes(8), np.float32)],
)
def test_a_bad_out_is_refused(out):
    stream = MODELS[0].stream()
    with pytest.raises(SampleError, match="out is"):
        stream.step(X[0], out)
    assert stream.snapshot() == MODELS[0].stream().snapshot()


def test_snapshots_are_refused_by_name():
    snapshot = MODELS[0].stream().snapshot()
    with pytest.raises(SnapshotError, match=f"belongs to model {MODELS[0].digest[:12]}"):
        MODELS[1].stream().restore(snapshot)
    with pytest.raises(SnapshotError, match="checksum"):
        MODELS[0].stream().restore(snapshot[:60] + b"\x01" + snapshot[61:])
    with pytest.raises(SnapshotError, match="no snapshot"):
        MODELS[0].stream().restore(b"")
    with pytest.raises(SnapshotError, match="no snapshot"):
        MODELS[0].stream().restore(b"something else" * 10)


def test_a_call_keeps_no_references():
    model = MODELS[0]
    stream, many = model.stream(), model.streams(2)
    bad, out = np.full(3, np.nan, np.float32), np.empty(2, np.float32)
    rows, results = X[:2].copy(), np.empty((2, 2), np.float32)
    sample = rows[0].copy()
    held = [sample, bad, out, rows, results]
    before = [sys.getrefcount(thing) for thing in held]
    for _ in range(100):
        assert stream.step(sample, out) is stream.step(sample, out=out) is out
        assert sys.getrefcount(stream.step(sample)) <= 2
        assert stream.run(rows, results) is many.step(rows, out=results) is results
        for wrong in ((bad, out), (bad,), (sample, rows), (None, out)):
            with pytest.raises(SampleError):
                stream.step(*wrong)
        with pytest.raises(TypeError):
            stream.step(sample, result=out)
    del wrong
    assert [sys.getrefcount(thing) for thing in held] == before


@pytest.mark.parametrize("known", [True, False])
def test_a_method_outlives_its_stream_which_needs_no_collector(known, monkeypatch):
    monkeypatch.setattr(step_kernel, "knows_arrays", lambda: known)
    stream = MODELS[0].stream()
    assert isinstance(stream.step, partial) is not known
    gone, step, run = weakref.ref(stream), stream.step, stream.run
    first = step(X[0])
    gc.disable()
    try:
        del stream
        assert gone() is None
    finally:
        gc.enable()
    [np.ones(1000) for _ in range(100)]
    expected = MODELS[0].stream().run(X)
    np.testing.assert_array_equal(first, expected[0])
    np.testing.assert_array_equal(step(X[1]), expected[1])
    np.testing.assert_array_equal(run(X[2:]), expected[2:])


def test_where_the_fields_of_an_array_are_is_checked(monkeypatch):
    assert python_method.knows_arrays()
    monkeypatch.setattr(python_method, "_DATA", python_method._SHAPE)
    assert not python_method.knows_arrays.__wrapped__()


def test_a_batch_needs_a_stream():
    with pytest.raises(UsageError, match="a batch of 0 streams"):
        MODELS[0].streams(0)


@pytest.mark.slow
def test_a_hundred_thousand_steps_of_extremes_stay_equal_to_their_restored_twin():
    model = LoadedModel(random_model(3, 4, [("lstm", 16), ("gru", 8), ("linear", 2)], extreme=True))
    x = np.random.default_rng(0).choice(np.array([-1e9, 1e9], np.float32), (100_000, 4))
    stream, second = model.stream(), model.stream()
    y = stream.run(x)
    second.run(x[:77_777])
    third = model.stream()
    third.restore(second.snapshot())
    np.testing.assert_array_equal(third.run(x[77_777:]), y[77_777:])
    assert third.snapshot() == stream.snapshot()
