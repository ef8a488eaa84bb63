"""A new version beside the one in force: what it takes to take over, and what makes it go back."""

import dataclasses
import time

import numpy as np
import pytest

from detector_cases import SECOND, START_NS, noise, plain_model, settings_for
from edgelstm.config import Duration, InputConfig, ModelConfig
from edgelstm.daemon.recent import LEAST, Recent
from edgelstm.daemon.rollout import FAILED, PASSED, PROBATION, SHADOW, Rollout
from edgelstm.daemon.routes import Route, settings_of
from edgelstm.daemon.watched import Watched
from edgelstm.sources.codecs import Block
from edgelstm.stream import LoadedModel

NAMES = ("c0", "c1", "c2")
PLAIN = plain_model().model
OLD = LoadedModel(dataclasses.replace(PLAIN, detector_settings=settings_for(NAMES)))
NEW = LoadedModel(dataclasses.replace(PLAIN, detector_settings=settings_for(NAMES), name="new"))
VALUES = noise(1, 400)
WARM_UP = settings_for(NAMES).warm_up
SHADOWED = 50


def watched(name="s", model=OLD):
    entry = InputConfig(name="i", topics=("t",), model="m")
    return Watched(name, Route(f"plant/{name}", entry, model, list, settings_of(entry, model)), "gw")


def begin(stream, phase=SHADOW, **limits):
    entry = ModelConfig(name="m", path="x", shadow_samples=SHADOWED, **limits)
    stream.rollout = Rollout(entry, OLD, NEW, phase)
    return stream.rollout


def feed(stream, first, end):
    """Push samples a second apart, between which phases change; return version and score of each that was judged."""
    found = []
    for n in range(first, end):
        stream.gather(Block(VALUES[n : n + 1], START_NS + n * SECOND, None), START_NS + n * SECOND)
        for _, verdicts in stream.score():
            found += [(stream.model, float(s)) for s in verdicts.scores[verdicts.states >= 0]]
        if stream.rollout is not None and stream.rollout.is_due:
            stream.rollout.advance()
    return found


def scores(first, end):
    """What either version says of these samples alone: both are one network, of two names."""
    stream = watched()
    feed(stream, 0, first)
    return [score for _, score in feed(stream, first, end)]


def spoil(monkeypatch, spoiled, model=NEW, after=0):
    """Let the detectors of a version do something else with their verdicts, after so many blocks."""
    make, calls = LoadedModel.detector, []

    def spoiled_detector(self, *arguments):
        detector = make(self, *arguments)
        push = detector.push_block

        def push_block(times_ns, values):
            verdicts = push(times_ns, values)
            if self is not model or len(values) > 1:  # what it is warmed with
                return verdicts
            calls.append(1)
            return verdicts if len(calls) <= after else spoiled(verdicts)

        detector.push_block = push_block
        return detector

    monkeypatch.setattr(LoadedModel, "detector", spoiled_detector)


def test_the_new_version_is_warm_takes_over_between_two_samples_and_stays():
    stream = watched()
    feed(stream, 0, 100)
    rollout = begin(stream)
    judged = feed(stream, 100, 300)
    assert [model is NEW for model, _ in judged] == [False] * SHADOWED + [True] * (200 - SHADOWED)
    assert rollout.phase == PASSED and not rollout._others
    # by then the new one has seen LEAST samples and more, of a network whose memory is shorter
    assert np.allclose([score for _, score in judged], scores(100, 300), rtol=0.2, atol=0.2)
    assert stream.samples == 300


def test_a_version_that_is_not_warm_is_given_the_time():
    stream = watched()
    rollout = begin(stream)
    feed(stream, 0, WARM_UP + SHADOWED - 1)
    assert rollout.phase == SHADOW
    assert [model for model, _ in feed(stream, WARM_UP + SHADOWED - 1, WARM_UP + SHADOWED + 1)] == [OLD, NEW]


def broken(verdicts):
    raise ZeroDivisionError("a bug")


def not_finite(verdicts):
    return dataclasses.replace(verdicts, scores=np.full_like(verdicts.scores, np.nan))


def slow(verdicts):
    time.sleep(0.01)
    return verdicts


FAULTS = {
    "exception": (broken, {}, "ZeroDivisionError while scoring: a bug"),
    "not finite": (not_finite, {}, "a score is not finite"),
    "slow": (slow, {"latency_budget": Duration(0.005)}, "us a sample, the version before"),
}


@pytest.mark.parametrize("when", [SHADOW, PROBATION])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_version_that_fails_is_taken_back_and_every_sample_counts_once(monkeypatch, fault, when):
    """Its scores before that are its own, those after are to the bit what the old version alone would have said."""
    spoiled, limits, reason = FAULTS[fault]
    stream, alone = watched(), scores(100, 300)
    spoil(monkeypatch, spoiled, after=0 if when == SHADOW else SHADOWED + 20)
    feed(stream, 0, 100)
    rollout = begin(stream, **limits)
    judged = feed(stream, 100, 300)
    assert rollout.phase == FAILED and reason in rollout.reason
    assert len(judged) == 200 and np.isfinite([score for _, score in judged]).all()
    by_old = [n for n, (model, _) in enumerate(judged) if model is OLD]
    assert [judged[n][1] for n in by_old] == [alone[n] for n in by_old]
    assert len(by_old) == 200 if when == SHADOW else SHADOWED < len(by_old) < 200
    assert judged[-1][0] is OLD and stream.detector.model is OLD


@pytest.mark.parametrize("phase", [SHADOW, PROBATION])
def test_too_many_alerts_more_than_before(phase):
    nervous = LoadedModel(
        dataclasses.replace(
            PLAIN,
            detector_settings=settings_for(
                NAMES, threshold=1.0, threshold_low=1.0, threshold_high=1.0, raise_after=1, clear_after=1,
                clear_ratio=1.0, cooldown_ns=0,
            ),
        )
    )  # fmt: skip
    stream = watched()
    feed(stream, 0, 100)
    rollout = begin(stream, alert_budget=2)
    rollout.new = nervous
    if phase == PROBATION:
        rollout.advance()
    feed(stream, 100, 300)
    assert rollout.phase == FAILED and rollout.reason == "raised 3 alerts where the version before raised 0"
    assert stream.detector.model is OLD


def test_streams_that_were_silent_change_at_their_next_sample():
    streams = [watched(name) for name in "ab"]
    for stream in streams:
        feed(stream, 0, 100)
    rollout = begin(streams[0])
    streams[1].rollout = rollout
    feed(streams[0], 100, 300)
    assert rollout.phase == PASSED and streams[1].model is OLD
    assert {model for model, _ in feed(streams[1], 100, 110)} == {NEW}
    assert sorted(rollout.moved) == ["a", "b"]


def test_an_alert_that_is_open_at_the_change_is_cleared_under_its_own_id():
    stream = watched()
    feed(stream, 0, 100)
    high = VALUES[100:130] + np.float32(50)
    for n, row in enumerate(high, start=100):
        stream.gather(Block(row[None], START_NS + n * SECOND, None), START_NS + n * SECOND)
        list(stream.score())
    assert stream.detector.open_alert is not None
    begin(stream, PASSED)
    feed(stream, 130, 131)
    assert b'"event_type":"cleared"' in stream.orphan and b"the model was replaced" in stream.orphan
    assert (
        stream.detector.open_alert.opened_ns == START_NS + 130 * SECOND
    )  # it goes on, as one of the new version


@pytest.mark.parametrize("sizes", [(1,) * 150, (64, 64, 22), (150,), (63, 1, 1, 85), (3,)])
def test_recent_samples_are_the_last_ones_in_order(sizes):
    recent, at = Recent(1, 3), 0
    assert len(recent.in_order()[0]) == 0
    times = np.arange(150)
    for size in sizes:
        recent.add(times[at : at + size], VALUES[at : at + size])
        at += size
    kept_times, kept_values = recent.in_order()
    first = max(0, at - LEAST)
    np.testing.assert_array_equal(kept_times, times[first:at])
    np.testing.assert_array_equal(kept_values, VALUES[first:at])
