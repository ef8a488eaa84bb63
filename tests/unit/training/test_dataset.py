"""What training finds in a recording, and what it says of it."""

import numpy as np
import pytest

from detector_cases import SECOND, START_NS
from edgelstm.errors import RecordingError, UsageError
from edgelstm.sources.recording import Recording
from edgelstm_converters.training.dataset import examine, read_all


def recording(count: int = 1000, **columns: np.ndarray) -> Recording:
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=count), "b": rng.normal(size=count) + 5.0, **columns}
    times_ns = START_NS + np.arange(count, dtype=np.int64) * SECOND
    return Recording(
        times_ns, np.stack(list(table.values()), 1).astype(np.float32), tuple(table), SECOND, None
    )


def test_channels_that_teach_nothing_are_left_out_and_named():
    one = recording(flat=np.full(1000, 3.0), empty=np.full(1000, np.nan))
    twin = Recording(
        one.times_ns, np.c_[one.values, 2.0 * one.values[:, :1] + 1.0], (*one.names, "twin"), SECOND, None
    )
    data = examine([twin])
    assert data.names == ("a", "b")
    text = "\n".join(data.notes)
    assert 'channel "flat" left out: it is always 3' in text
    assert 'channel "empty" left out: it has no value at all' in text
    both = recording(one=np.full(1000, np.nan), other=np.full(1000, np.nan))
    assert 'channels "one", "other" left out: they have no value at all' in examine([both]).notes
    assert 'channel "twin" left out: it repeats "a"' in text
    assert examine([twin], keep_all=True).names == twin.names


def test_gaps_missing_values_and_disorder_are_told_and_not_learned_from():
    one = recording()
    times_ns, values = one.times_ns.copy(), one.values.copy()
    times_ns[500:] += 60 * SECOND
    values[10:20, 0] = np.nan
    shuffled = np.r_[600:1000, 0:600, 42]
    data = examine([Recording(times_ns[shuffled], values[shuffled], one.names, SECOND, None)])
    assert (np.diff(data.times_ns) > 0).all()
    np.testing.assert_array_equal(data.values, values)
    assert not data.usable[10:20, 0].any()
    assert not data.usable[500].any()
    assert data.usable.sum() == 2000 - 10 - 2
    assert np.isfinite(data.filled).all()
    text = "\n".join(data.notes)
    assert "1 gaps, the longest 61 s" in text
    assert "a 10" in text
    assert "1 rows left out whose time was there already" in text
    assert "sorted" in text


def test_the_split_is_in_time_and_scaling_sees_only_what_is_trained_on():
    one = recording()
    values = one.values.copy()
    values[700:, 0] += 100.0
    data = examine([Recording(one.times_ns, values, one.names, SECOND, None)])
    assert (data.split.train, data.split.validate, data.split.rows) == (700, 850, 1000)
    np.testing.assert_allclose(data.mean, values[:700].mean(axis=0), rtol=1e-5)


def test_labels_are_no_channel():
    kinds = np.where(np.arange(1000) % 100 < 10, 2.0, 0.0)
    data = examine([recording(fault=kinds)], label="fault")
    assert data.names == ("a", "b")
    assert data.classes == ("0", "2")
    assert data.labels.sum() == 100


@pytest.mark.parametrize(
    ("columns", "options", "error", "words"),
    [
        ({}, {"label": "fault"}, UsageError, 'no column "fault"'),
        ({"one": np.zeros(1000)}, {"label": "one"}, UsageError, "1 different values"),
    ],
)
def test_wrong_labels_name_themselves(columns, options, error, words):
    with pytest.raises(error, match=words):
        examine([recording(**columns)], **options)


def test_too_little_and_nothing_that_moves():
    with pytest.raises(RecordingError, match="10 rows are too few"):
        examine([recording(10)])
    still = recording()
    with pytest.raises(RecordingError, match="no channel ever moves"):
        examine([Recording(still.times_ns, np.ones_like(still.values), still.names, SECOND, None)])


def test_a_folder_is_read_in_order_of_time_and_has_to_agree(tmp_path):
    (tmp_path / "b.csv").write_text("time,x\n" + "".join(f"{1000 + t},{t}\n" for t in range(5)))
    (tmp_path / "a.csv").write_text("time,x\n" + "".join(f"{2000 + t},{t}\n" for t in range(5)))
    (tmp_path / "notes.md").write_text("no recording")
    found = read_all(tmp_path)
    assert [int(one.times_ns[0]) // SECOND for one in found] == [1000, 2000]
    (tmp_path / "c.csv").write_text("time,y\n1,2\n")
    with pytest.raises(RecordingError, match=r"c\.csv: has the channels y, but .*a\.csv has x"):
        read_all(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="holds no recording"):
        read_all(tmp_path / "empty")
