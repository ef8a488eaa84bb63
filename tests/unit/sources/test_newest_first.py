"""Recordings whose newest row comes first are turned round, and what cannot be held is refused with the command that does it."""

import subprocess

import numpy as np
import pytest

from edgelstm.errors import RecordingError
from edgelstm.sources import csv_recording, newest_first
from edgelstm.sources.recording import read

ROWS = 500
TIMES = 1_700_000_000 + np.arange(ROWS)


def write(path, times, name="flow"):
    path.write_text(f"time,{name}\n" + "".join(f"{t},{t % 97}\n" for t in times))
    return path


def test_a_file_that_falls_throughout_is_turned_round_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_recording, "_MOST_ROWS", 64)  # several blocks
    straight = read(write(tmp_path / "a.csv", TIMES))
    turned = read(write(tmp_path / "b.csv", TIMES[::-1]))
    np.testing.assert_array_equal(turned.times_ns, straight.times_ns)
    np.testing.assert_array_equal(turned.values, straight.values)
    assert straight.notes == ()
    assert turned.notes == (f"{tmp_path / 'b.csv'}: its newest row comes first: turned round",)
    assert read(tmp_path / "b.csv", newest=10).times_ns[-1] == straight.times_ns[-1]


def test_the_same_of_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", values=np.arange(ROWS)[::-1], times=TIMES[::-1], names=["flow"])
    found = read(tmp_path / "a.npz")
    assert found.values[0, 0] == 0.0 and (np.diff(found.times_ns) > 0).all()


@pytest.mark.parametrize(
    "times",
    [
        np.concatenate([TIMES[:300][::-1], TIMES[300:]]),  # only begins so
        np.concatenate([TIMES[:100][::-1], TIMES[100:200][::-1]]),  # falls, but not across
        TIMES[:2][::-1],
        np.full(ROWS, TIMES[0]),
    ],
    ids=["begins", "blocks", "two rows", "one time"],
)
def test_any_other_order_is_left_as_it_is(tmp_path, monkeypatch, times):
    monkeypatch.setattr(csv_recording, "_MOST_ROWS", 50)
    found = read(write(tmp_path / "a.csv", times))
    np.testing.assert_array_equal(found.times_ns, times * 10**9)
    assert "is not after that of the row before" in found.notes[0]


def test_what_is_too_long_is_refused_with_a_command_that_turns_it_round(tmp_path, monkeypatch):
    monkeypatch.setattr(newest_first, "MOST_VALUES", 100)
    path = write(tmp_path / "long one.csv", TIMES[::-1])
    path.write_text(path.read_text().rstrip("\n"))  # as many programs end a file
    with pytest.raises(
        RecordingError, match=r"long one.csv: its newest row comes first.*turn the file round with: "
    ) as caught:
        read(path)
    subprocess.run(
        ["bash", "-c", str(caught.value).partition("round with: ")[2]],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    monkeypatch.undo()
    found = read(tmp_path / "long one-turned.csv")
    np.testing.assert_array_equal(found.times_ns, TIMES * 10**9)
    assert found.notes == ()
