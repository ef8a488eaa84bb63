"""Recordings as people have them, and the one line each mistake gets."""

import gzip
import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgelstm.errors import RecordingError
from edgelstm.sources import RECORDINGS, csv_recording
from edgelstm.sources.recording import parts, read
from edgelstm.sources.time_text import to_ns

SECOND = 10**9
START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


def written(tmp_path: Path, text: str, name: str = "data.csv") -> Path:
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_compression(tmp_path, name, separator):
    rows = [
        ["time", "flow", "note", "pressure"],
        ["2026-01-01T00:00:00Z", "1.5", "ok", "2"],
        ["2026-01-01T00:00:01Z", "-3e2", "ok", "4"],
    ]
    path = written(tmp_path, "\n".join(separator.join(row) for row in rows) + "\n", name)
    recording = read(path, ["pressure", "flow"])
    np.testing.assert_array_equal(recording.values, np.array([[2, 1.5], [4, -300]], np.float32))
    assert recording.names == ("pressure", "flow")
    assert recording.times_ns.tolist() == [START, START + SECOND]
    assert (recording.period_ns, recording.time_column, recording.notes) == (SECOND, "time", ())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"),
        ("2026-01-01 00:00:00", "2026-01-01 00:00:00.500"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00.5+01:00"),
        ("2025-12-31T19:00:00-05:00", "2025-12-31T19:00:00.500-05:00"),
        ("1767225600", "1767225600.5"),
        ("1767225600.0", "1767225600.5"),
        ("1767225600000", "1767225600500"),
        ("1767225600000000", "1767225600500000"),
        ("1767225600000000000", "1767225600500000000"),
    ],
)
@pytest.mark.parametrize("column", ["timestamp", "Datetime", "when"])
def test_times(tmp_path, first, second, column):
    path = written(tmp_path, f"a,{column}\n1,{first}\n2,{second}\n")
    recording = read(path, ["a"], time_column="when" if column == "when" else None)
    assert recording.times_ns.tolist() == [START, START + SECOND // 2]
    assert [to_ns(first), to_ns(second)] == recording.times_ns.tolist()


def test_a_time_column_is_found_by_what_is_in_it(tmp_path):
    recording = read(written(tmp_path, "a,logged at\n1,2026-01-01 00:00:00\n"), None)
    assert recording.time_column == "logged at"
    assert recording.names == ("a",)


@pytest.mark.parametrize("name", ["seconds", "t", "Time [s]"])
def test_a_clock_is_known_by_its_name_and_its_rising(tmp_path, name):
    path = tmp_path / "d.csv"
    path.write_text(f"{name},x\n" + "".join(f"{n * 0.25},{n % 3}\n" for n in range(40)))
    found = read(path)
    assert (found.names, found.period_ns, found.time_column) == (("x",), 250_000_000, name)
    assert "rises from each row to the next: taken for the time" in found.notes[0]
    assert read(path, [name, "x"]).time_column is None, "a channel of a model stays one"


def test_a_reading_that_is_called_t_and_falls_is_no_clock(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("t,x\n" + "".join(f"{20 + n % 7},{n % 3}\n" for n in range(40)))
    assert read(path).names == ("t", "x")


def test_without_times_rows_are_a_period_apart_and_it_is_said(tmp_path):
    path = written(tmp_path, "a,b\n1,2\n3,4\n")
    plain = read(path, ["a"])
    assert plain.times_ns.tolist() == [0, SECOND]
    assert "1 s apart" in plain.notes[0]
    given = read(path, ["a"], period_s=0.1)
    assert given.times_ns.tolist() == [0, SECOND // 10]
    assert given.notes == ()
    assert given.time_column is None


def test_missing_values_are_nan(tmp_path):
    path = written(tmp_path, "time,a,b\n1,,1\n2,nan,2\n3,NaN,3\n4,  ,4\n5,null,5\n6,7,6\n")
    values = read(path, ["a", "b"]).values
    assert np.isnan(values[:5, 0]).all()
    assert values[5, 0] == 7
    assert np.isfinite(values[:, 1]).all()


def test_columns_of_text_are_left_out_when_none_are_asked_for(tmp_path):
    recording = read(written(tmp_path, "time,a,note,b\n1,,ok,1\n2,2,ok,2\n"))
    assert recording.names == ("a", "b")
    assert "note" in recording.notes[0]


def test_times_that_go_back_are_told_with_their_row(tmp_path):
    recording = read(written(tmp_path, "time,a\n1,1\n2,2\n2,3\n1,4\n5,5\n"))
    assert "row 4: its time is not after" in recording.notes[0]
    assert "2 such rows" in recording.notes[0]
    assert recording.period_ns == 2.5 * SECOND


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,flow\n1,2\n2,abc\n", 'row 3, column "flow": "abc" is not a number; leave the cell empty'),
        (
            "time;flow\n1;2\n2;1,5\n",
            'row 3, column "flow": "1,5" is not a number; write decimals with a point',
        ),
        ("time,flow\n1,2\n\n\n2,abc\n", 'row 5, column "flow"'),
        ("time,flow\n1,2\nyesterday,2\n", 'row 3, column "time": "yesterday" is not a time'),
        ("time,flow\n1,2\n,2\n", 'row 3, column "time": "" is not a time'),
        (
            "time,flow\n2026-01-01 00:00:00,2\n2026-01-01T00:00:01Z,2\n",
            'row 3, column "time": "2026-01-01T00:00:01Z" has a time zone, but the first time of the column has none',
        ),
        (
            "time,flow\n2026-01-01T00:00:00Z,2\n2026-01-01T00:00:01Z,2\n2026-01-01T00:00:02,2\n",
            'row 4, column "time": "2026-01-01T00:00:02" has no time zone, but the first time of the column has one',
        ),
        (
            "time,flow\n1767225600,2\n2026-01-01T00:00:01Z,2\n",
            'row 3, column "time": "2026-01-01T00:00:01Z" is a date, but the first time of the column is a number',
        ),
        ("time,flow\n2026-01-01,2\n5,2\n", '"5" is a number, but the first time of the column is a date'),
        (
            "time,flow\n1,2\n9000000000000000000,2\n",
            'row 3, column "time": "9000000000000000000" is not a time',
        ),
        ("time,flwo\n1,2\n", 'no column "flow"; did you mean "flwo"? (columns: time, flwo)'),
        ("time,Flow\n1,2\n", 'did you mean "Flow"?'),
        ("time,flow,flow\n1,2,3\n", 'two columns are named "flow"'),
        ("time,flow\n1,2,3\n", "row 2 has 3 cells, the first row names 2 columns"),
        ("1,2\n3,4\n", 'row 1 begins with "1", a number; expected names of columns'),
        ("", "is empty"),
        ("time,flow\n", "holds no samples"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, text, says):
    path = written(tmp_path, text)
    with pytest.raises(RecordingError) as caught:
        read(path, ["flow"])
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "time;flow;count\n2026-01-01 00:00:00;1,5;3\n",
            'row 2, column "flow": "1,5" is not a number; write decimals with a point',
        ),
        ("time,flow,flow\n1,2,3\n", 'two columns are named "flow"; give each a name of its own'),
        ("2026-01-01 00:00:00,2\n2026-01-01 00:00:01,3\n", 'row 1 begins with "2026-01-01 00:00:00", a time'),
        ("time,flow\n,l/min\n1,2\n", 'has no column of numbers, but "l/min" in row 2, column "flow"'),
    ],
)
def test_what_makes_no_channel_is_told_with_its_place(tmp_path, text, says):
    with pytest.raises(RecordingError) as caught:
        read(written(tmp_path, text))
    assert says in str(caught.value)


def test_columns_without_a_name_are_left_out_and_it_is_said(tmp_path):
    recording = read(written(tmp_path, ",time,a,\n0,1,2,\n1,2,4,\n"))
    assert recording.names == ("a",)
    assert "because they have no name: number 1, number 4" in recording.notes[0]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_names_in_another_encoding_are_no_names(tmp_path, encoding):
    path = tmp_path / "data.csv"
    path.write_bytes("time,water °C\n1,2\n2,3\n".encode(encoding))
    with pytest.raises(RecordingError, match='first row is not UTF-8; save it as "CSV UTF-8"'):
        read(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(RecordingError, match="is a folder, expected a file"):
        read(tmp_path)
    with pytest.raises(RecordingError, match="no such file"):
        read(tmp_path / "absent.csv")
    with pytest.raises(RecordingError, match="unknown kind"):
        read(written(tmp_path, "x", "data.xlsx"))
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(b"time,a\n1,2\n" * 500)[:40])
    with pytest.raises(RecordingError, match="cannot be read"):
        read(broken)
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(RecordingError, match=r"broken\.npz"):
        read(tmp_path / "broken.npz")


def test_archives(tmp_path):
    values = np.arange(6.0).reshape(3, 2)
    path = tmp_path / "data.npz"
    np.savez(path, values=values, times=np.array([0.0, 0.1, 0.2]), names=np.array(["a", "b"]))
    recording = read(path, ["b"])
    np.testing.assert_array_equal(recording.values, values[:, 1:].astype(np.float32))
    assert recording.times_ns.tolist() == [0, 10**8, 2 * 10**8]
    with pytest.raises(RecordingError, match='no column "c"'):
        read(path, ["c"])
    np.savez(path, values=values, times_ns=np.array([5, 6, 7]))
    assert read(path).names == ("c0", "c1")
    assert read(path).period_ns == 1
    np.savez(path, other=values)
    with pytest.raises(RecordingError, match='expected an array "values"'):
        read(path)


def archive_that_says(path, shape, unpacked=None):
    """Write an archive of 48 bytes of values that says of itself what it has not."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("values.npy", stream.getvalue() + bytes(48))
        if unpacked is not None:
            archive.infolist()[0].file_size = unpacked
    return path


@pytest.mark.parametrize(
    ("unpacked", "message"),
    [
        (None, r'"values\.npy" says that its shape is \(1000000000, 3\)'),
        (4 * 10**9, "bytes unpack to 4,000,000,000"),
    ],
)
def test_an_archive_that_says_more_than_it_has(tmp_path, unpacked, message):
    """NumPy would make room for all of it first."""
    path = archive_that_says(tmp_path / "data.npz", (10**9, 3), unpacked)
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=r"data\.npz: is damaged: .*" + message):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_every_kind_of_recording_has_its_reader():
    import importlib

    for module in RECORDINGS.values():
        assert callable(importlib.import_module(module).columns)


def test_real_recordings():
    folder = os.environ.get("EDGELSTM_DATA")
    if not folder:
        pytest.skip("EDGELSTM_DATA is not set: reading the real recordings is skipped")
    skab = read(Path(folder) / "skab" / "anomaly-free" / "anomaly-free.csv.gz")
    assert skab.values.shape == (9405, 8)
    assert skab.time_column == "datetime"
    assert skab.period_ns == SECOND
    nab = read(Path(folder) / "nab" / "realKnownCause" / "nyc_taxi.csv.gz", ["value"])
    assert nab.values.shape == (10320, 1)
    assert nab.period_ns == 1800 * SECOND
    assert np.isfinite(nab.values).all()


def test_parquet_is_read_with_its_times_and_gaps(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: Parquet is not read")
    parquet = pytest.importorskip("pyarrow.parquet")
    stamps = np.array(["2026-01-31T12:00:00", "2026-01-31T12:00:01"], "datetime64[ms]")
    table = arrow.table({"when": stamps, "flow": [1.5, None], "count": [3, 4], "place": ["a", "b"]})
    parquet.write_table(table, tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet")
    assert found.names == ("flow", "count")
    assert found.time_column == "when"
    assert found.times_ns.tolist() == [1769860800 * 10**9, 1769860801 * 10**9]
    np.testing.assert_array_equal(found.values, np.array([[1.5, 3.0], [np.nan, 4.0]], np.float32))
    assert "place" in found.notes[0]
    with pytest.raises(RecordingError, match='column "place" holds string, expected numbers'):
        read(tmp_path / "x.parquet", ["place"])
    (tmp_path / "y.parquet").write_bytes(b"nothing")
    with pytest.raises(RecordingError, match="is no Parquet file"):
        read(tmp_path / "y.parquet")


def test_every_time_is_taken_with_its_own_distance_from_utc_and_a_change_is_told(tmp_path):
    """Europe, the end of summer time: 02:59:59 +02:00 is followed by 02:00:00 +01:00."""
    texts = ["2026-10-25T02:59:58+02:00", "2026-10-25T02:59:59+02:00", "2026-10-25T02:00:00+01:00"]
    recording = read(written(tmp_path, "time,a\n" + "".join(f"{text},1\n" for text in texts)))
    assert np.diff(recording.times_ns).tolist() == [SECOND, SECOND]
    assert len(recording.notes) == 1
    assert "row 4" in recording.notes[0]
    assert "changes from +02:00 to +01:00" in recording.notes[0]
    mixed = read(written(tmp_path, "time,a\n2026-01-01T00:00:00Z,1\n2025-12-31T19:00:01-05:00,1\n"))
    assert np.diff(mixed.times_ns).tolist() == [SECOND]
    assert "changes from +00:00 to -05:00" in mixed.notes[0]


def test_local_times_without_a_zone_that_step_back_an_hour_are_told(tmp_path):
    texts = ["2026-10-25T02:59:59", "2026-10-25T02:00:00", "2026-10-25T02:00:01"]
    recording = read(written(tmp_path, "time,a\n" + "".join(f"{text},1\n" for text in texts)))
    assert "row 3" in recording.notes[0]
    assert "end of summer time" in recording.notes[0]


@pytest.mark.parametrize(
    "stamp", ["{0}", "2026-01-01T00:{1:02d}:{2:02d}Z", "2026-01-01T00:{1:02d}:{2:02d}+01:00"]
)
def test_parts_are_the_recording_whatever_their_size(tmp_path, monkeypatch, stamp):
    lines = [f"{stamp.format(n, n // 60, n % 60)},{n * n % 17},{n}" for n in range(1000)]
    path = written(tmp_path, "time,a,b\n" + "\n".join(lines) + "\n")
    whole = read(path, ["b", "a"])
    monkeypatch.setattr(csv_recording, "_CELLS_AT_ONCE", 3 * 37)
    with parts(path, ["b", "a"]) as opened:
        found = list(opened)
        assert opened.names == ("b", "a")
        assert opened.notes == whole.notes
    assert len(found) == 28
    np.testing.assert_array_equal(np.concatenate([part.values for part in found]), whole.values)
    np.testing.assert_array_equal(np.concatenate([part.times_ns for part in found]), whole.times_ns)
    assert {part.period_ns for part in found} == {SECOND}
    late = written(
        tmp_path, path.read_text().replace("500,500\n", "500,x\n").replace(",500\n", ",x\n"), "late.csv"
    )
    with pytest.raises(RecordingError, match=r'late\.csv: row 502, column "b": "x" is not a number'):
        read(late)


def test_the_newest_rows_are_kept_and_the_others_counted(tmp_path, monkeypatch):
    path = written(tmp_path, "time,a,b\n" + "".join(f"{n},{n},{-n}\n" for n in range(1000)))
    monkeypatch.setattr(csv_recording, "_CELLS_AT_ONCE", 3 * 64)
    asked = read(path, newest=100)
    assert asked.values[:, 0].tolist() == list(range(900, 1000))
    assert asked.times_ns[0] == 900 * SECOND
    assert asked.notes == (f"{path}: of 1,000 rows the newest 100 are used; as asked",)
    bounded = read(path, most_values=500)
    assert bounded.values[:, 0].tolist() == list(range(750, 1000))
    assert "--newest N" in bounded.notes[0]
    assert read(path, most_values=2000).notes == ()


def test_rows_out_of_order_are_counted_over_parts(tmp_path, monkeypatch):
    times = [0, 1, 2, 1, 3, 4, 5, 5]
    path = written(tmp_path, "time,a\n" + "".join(f"{t},1\n" for t in times))
    monkeypatch.setattr(csv_recording, "_CELLS_AT_ONCE", 2 * 3)
    assert "row 5: its time is not after that of the row before (2 such rows)" in read(path).notes[0]


def test_a_first_row_without_end_is_not_held(tmp_path):
    path = written(tmp_path, "x" * (2**20 + 5))
    with pytest.raises(RecordingError, match="its first row is longer than"):
        read(path)
