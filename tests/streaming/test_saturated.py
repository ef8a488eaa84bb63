"""A value that int16 of its channel do not hold is limited to what they do, and the sample is counted, by every engine alike."""

import numpy as np
import pytest
from layer_cases import integer_model

from detector_cases import noise, plain_model, settings_for, times
from edgelstm.detector import Detector
from edgelstm.detector_batch import push_together
from edgelstm.errors import SampleError
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel

CASES = ("lstm", "dense linear", "conv1d strided", "masking")
"""One layer, no state, operations that run now and then, and one that reads the samples themselves."""


def samples(loaded, count, seed=0):
    """About a third of them have a value beyond the range of its channel."""
    channels = loaded.model.channels
    reach = np.array([32767.0 / channel.gain for channel in channels])
    offsets = np.array([channel.offset for channel in channels])
    rng = np.random.default_rng(seed)
    x = offsets + rng.uniform(-0.9, 0.9, (count, loaded.inputs)) * reach
    far = rng.random(x.shape) < 0.1
    x[far] = (offsets + rng.choice([-1.5, 3.0, 1e30], x.shape) * reach)[far]
    return x.astype(np.float32), far.any(axis=1)


@pytest.mark.parametrize("case", CASES)
def test_every_sample_with_a_limited_value_is_counted_once(case):
    loaded = LoadedModel(integer_model(case, 1))
    x, limited = samples(loaded, 200)
    assert 20 < limited.sum() < 180
    stream, blocks = loaded.stream(), loaded.stream()
    counts = []
    for row in x:
        stream.step(row)
        counts.append(stream.saturated)
    np.testing.assert_array_equal(counts, np.cumsum(limited))
    blocks.run(x)
    assert blocks.saturated == limited.sum()
    state, saturated = loaded.program.initial_state(), np.zeros(1, np.int64)
    context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch(), saturated)
    twin.execute_block(context, x, np.empty((200, loaded.outputs), np.float32))
    assert saturated[0] == limited.sum()


@pytest.mark.parametrize("case", CASES)
def test_streams_of_a_batch_are_counted_apart(case):
    """Also of more than are stepped together."""
    loaded, streams = LoadedModel(integer_model(case, 1)), 19
    many = loaded.streams(streams)
    rows = [samples(loaded, 30, seed) for seed in range(streams)]
    for n in range(30):
        many.step(np.stack([x[n] for x, _ in rows]))
    expected = [int(limited.sum()) for _, limited in rows]
    assert len(set(expected)) > 3
    assert [many.saturated(n) for n in range(streams)] == expected
    many.reset(2)
    assert [many.saturated(n) for n in (1, 2, 3)] == [expected[1], 0, expected[3]]
    many.reset()
    assert not any(many.saturated(n) for n in range(streams))


def test_a_block_that_is_refused_counts_nothing():
    loaded = LoadedModel(integer_model("lstm", 1))
    x, limited = samples(loaded, 50)
    stream = loaded.stream()
    bad = x.copy()
    bad[-1, 0] = np.nan
    with pytest.raises(SampleError):
        stream.run(bad)
    assert stream.saturated == 0
    stream.run(x)
    assert stream.saturated == limited.sum()


def test_the_ends_of_the_range_are_inside_it():
    loaded = LoadedModel(integer_model("lstm", 1))
    channel = loaded.model.channels[0]
    x = np.array([c.offset for c in loaded.model.channels], np.float32)
    stream = loaded.stream()
    for steps, count in ((32767, 0), (-32768, 0), (32768, 1), (-32769, 2)):
        x[0] = channel.offset + steps / channel.gain
        stream.step(x)
        assert stream.saturated == count


def test_the_count_is_of_this_stream_since_its_reset():
    """A snapshot does not hold it."""
    loaded = LoadedModel(integer_model("lstm", 1))
    x, limited = samples(loaded, 50)
    stream, other = loaded.stream(), loaded.stream()
    stream.run(x)
    other.restore(stream.snapshot())
    assert (stream.saturated, other.saturated) == (limited.sum(), 0)
    stream.restore(loaded.stream().snapshot())
    assert stream.saturated == limited.sum()
    stream.reset()
    assert stream.saturated == 0


def test_detectors_count_what_their_network_was_given():
    """Alone and together; what was taken is counted from 0 again, and so is a detector that was reset."""
    model = plain_model()
    detectors = [Detector(model, settings_for(model.channel_names)) for _ in range(3)]
    values, times_ns = noise(0, 60), times(60)
    far = values.copy()
    far[[30, 41, 42], 1] = 1e9
    blocks = [
        (detector, times_ns, rows) for detector, rows in zip(detectors, (values, far, far), strict=True)
    ]
    push_together(blocks)
    assert [detector.saturated for detector in detectors] == [0, 3, 3]
    assert (detectors[1].take_saturated(), detectors[1].saturated) == (3, 0)
    detectors[2].reset()
    assert detectors[2].saturated == 0
