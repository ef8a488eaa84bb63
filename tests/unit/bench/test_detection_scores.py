"""The scorers of the detection benchmark, by hand and at their ends."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench" / "detection"))

import nab_scorer
import skab_scorer
from case import Case, Watched, runs
from event_score import alone, delays_s, met


def nab_files(scores: np.ndarray):
    return [nab_scorer.file_of(scores, [(600, 699)]), nab_scorer.file_of(np.zeros(1000), [])]


@pytest.mark.parametrize("profile", nab_scorer.PROFILES)
def test_nab_silence_is_0_and_perfection_100(profile):
    silent, perfect = np.zeros(1000), np.zeros(1000)
    perfect[600] = 1.0
    for scores, expected in ((silent, 0.0), (perfect, 100.0)):
        files = nab_files(scores)
        raw, _, false = nab_scorer.raw_score(files, 0.5, profile)
        assert nab_scorer.normalised(raw, files, profile) == pytest.approx(expected, abs=0.02)
        assert false == 0


def test_nab_the_earlier_the_better_and_a_late_alarm_costs_little():
    def raw(row):
        scores = np.zeros(1000)
        scores[row] = 1.0
        return nab_scorer.raw_score(nab_files(scores), 0.5, "standard")[0]

    assert raw(600) > raw(650) > raw(698) > raw(702) > raw(900)
    assert raw(900) == pytest.approx(-1.0 - 0.11, abs=1e-4)
    assert raw(100) == pytest.approx(-1.0), "within the probation nothing counts"
    assert raw(300) == pytest.approx(-1.0 - 0.11)


def test_nab_threshold_leaves_out_what_costs_more_than_it_earns():
    scores = np.zeros(1000)
    scores[620], scores[300:340] = 0.9, 0.6
    files = nab_files(scores)
    assert nab_scorer.best_threshold(files, "standard") == 0.9


def test_skab_outliers_by_hand():
    found = skab_scorer.outliers(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]))
    assert found == pytest.approx({"F1": 2 / 3, "FAR %": 50.0, "MAR %": 100 / 3})


def test_skab_changepoints_earn_by_how_early_and_lose_for_others():
    seconds, changes = np.arange(300.0), np.zeros(300, int)
    changes[[100, 200]] = 1
    silent, prompt, late, restless = (np.zeros(300, int) for _ in range(4))
    prompt[100:200] = 1
    late[150:255] = 1
    restless[100:200] = 1
    restless[20:30] = 1
    scores = [
        skab_scorer.changepoints([(seconds, changes, alarm)]) for alarm in (silent, prompt, late, restless)
    ]
    assert scores[0]["standard"] == 0.0
    assert scores[1]["standard"] == pytest.approx(100.0)
    assert 0.0 < scores[2]["standard"] < scores[1]["standard"] / 2
    assert scores[3]["standard"] == pytest.approx(100.0 - 100.0 * 2 * 0.11 / 4)
    assert scores[3]["false changes"] == 2


def test_events_are_found_missed_and_false():
    labels = np.zeros(100, np.int8)
    labels[20:30] = labels[60:70] = 1
    case = Case("x", ("a",), np.arange(100) * 10**9, np.zeros((100, 1), np.float32), 0, labels)
    seen = Watched(np.zeros(100), np.zeros(100, bool), [25, 40], [35, 50])
    assert met(labels, seen) == (1, 1, 1)
    assert delays_s(case, seen) == [5.0]
    assert runs(labels == 1) == [(20, 29), (60, 69)]


def test_an_alert_in_unknown_rows_just_before_an_event_is_for_it_and_early():
    labels = np.zeros(100, np.int8)
    labels[40:50], labels[50:90] = -1, 1
    case = Case("x", ("a",), np.arange(100) * 10**9, np.zeros((100, 1), np.float32), 0, labels)
    assert delays_s(case, Watched(np.zeros(100), np.zeros(100, bool), [45], [60])) == [-5.0]
    assert delays_s(case, Watched(np.zeros(100), np.zeros(100, bool), [39], [60])) == []


def test_an_alert_is_alone_where_the_other_detector_had_none_open():
    def seen(*spans, rows=100):
        alarm = np.zeros(rows, bool)
        for start, end in spans:
            alarm[start:end] = True
        cleared = [end for _, end in spans if end < rows]
        return Watched(np.zeros(rows), alarm, [start for start, _ in spans], cleared)

    ours, theirs = [seen((10, 20), (50, 60), (80, 100))], [seen((15, 30), (90, 100))]
    assert alone(ours, theirs) == (3, 1)
    assert alone(theirs, ours) == (2, 0)
