"""Columns that look like labels are no channels, and it is said; those that are asked for stay."""

import argparse
import importlib

import numpy as np
import pytest

from edgelstm.sources.label_columns import LabelColumns, looks_like_labels
from edgelstm.sources.recording import parts, read

ROWS = 600
FAULTS = (np.arange(ROWS) >= 500).astype(np.float32)


@pytest.mark.parametrize(
    "name",
    [
        "label",
        "anomaly",
        "is_anomaly",
        "Anomaly Label",
        "changepoint",
        "changePoint",
        "class",
        "ground truth",
        "attack",
    ],
)
@pytest.mark.parametrize(
    "column", [FAULTS, 1 - FAULTS, 0 * FAULTS, 104 * FAULTS], ids=["few", "many", "none", "class"]
)
def test_few_whole_numbers_under_a_name_of_labels_are_labels(name, column):
    assert looks_like_labels(name, column)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("flow", FAULTS),
        ("classical_pump", FAULTS),
        ("anomaly", FAULTS + 1),  # never normal
        ("anomaly", FAULTS + 0.5),
        ("label", np.arange(ROWS, dtype=np.float32)),
        ("label", np.full(ROWS, np.nan, np.float32)),
        ("target_speed", 1500 * (1 - FAULTS)),  # a set point, seldom 0
    ],
)
def test_others_are_readings(name, column):
    assert not looks_like_labels(name, column)


def test_a_target_that_is_mostly_0_is_a_label():
    assert looks_like_labels("target", FAULTS) and looks_like_labels("Fault", FAULTS)


@pytest.fixture
def recording(tmp_path):
    path, flow = tmp_path / "d.csv", np.random.default_rng(0).normal(size=ROWS)
    rows = [f"{n},{x:.5f},{int(y)},0" for n, (x, y) in enumerate(zip(flow, FAULTS, strict=True))]
    path.write_text("\n".join(["time,flow,anomaly,changepoint", *rows]) + "\n")
    return path


def test_they_are_left_out_and_it_is_said_once(recording):
    labels = LabelColumns()
    found = read(recording, labels=labels)
    assert found.names == ("flow",) and found.values.shape == (ROWS, 1) and found.values.flags.c_contiguous
    (note,) = found.notes
    assert 'columns "anomaly", "changepoint" look like labels: left out' in note and "--label anomaly" in note
    assert read(recording, labels=labels).notes == ()


def test_those_that_are_asked_for_stay(recording):
    assert read(recording, labels=LabelColumns("anomaly")).names == ("flow", "anomaly")
    assert read(recording, ["flow", "changepoint"], labels=LabelColumns()).names == ("flow", "changepoint")
    assert read(recording).names == ("flow", "anomaly", "changepoint")


def test_a_recording_of_nothing_else_keeps_them(tmp_path):
    (tmp_path / "d.csv").write_text("time,anomaly\n" + "".join(f"{n},{n % 2}\n" for n in range(20)))
    with parts(tmp_path / "d.csv", labels=LabelColumns()) as opened:
        assert opened.names == ("anomaly",) and opened.notes == ()


def test_what_is_left_out_of_one_file_is_left_out_of_the_next(tmp_path):
    """A folder may hold a file that is at fault throughout: its labels are never 0."""
    labels = LabelColumns()
    for name, fault in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.csv").write_text(
            "time,flow,label\n" + "".join(f"{n},{n % 7},{fault}\n" for n in range(20))
        )
        assert read(tmp_path / f"{name}.csv", labels=labels).names == ("flow",)


def test_score_says_it_before_the_events(recording, capsys):
    module = importlib.import_module("edgelstm.cli.score")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    assert module.run(parser.parse_args(["--pretrained", str(recording)])) == 0
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert "look like labels" in first and "1 channel (flow)" in second
