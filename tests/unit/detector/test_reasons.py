"""What an alert says of a channel: what its signal judged, which is outside the band that it names, and a sentence for each signal."""

import re

import msgspec
import numpy as np
import pytest

from detector_cases import SECOND, noise, plain_model, settings_for, times
from edgelstm import reasons
from edgelstm.alert import Alert
from edgelstm.alert_payload import alert_payload, event_line
from edgelstm.detector import Detector
from edgelstm.detector_settings import SIGNALS, Evidence, Season
from edgelstm.signal_words import _JUDGED
from edgelstm.words import number, span

TAIL = Evidence(threshold=0.5, mean_excess=0.05, mean_square=0.01)
DAY = 86_400 * SECOND
NUMBER = r"(-?[\d.]+)"


def detector_of(signal: str, season_ns: int = 0, **changes):
    """A detector that listens to one signal of its first channel alone."""
    settings = settings_for(plain_model().channel_names, **changes)
    first, *others = settings.channels
    season = Season(means=(10.0,) * 24, spread=1.0) if season_ns else None
    first = msgspec.structs.replace(
        first, evidence={signal: TAIL}, lowest=0.0, highest=20.0, longest_repeat=20
    )
    channels = [msgspec.structs.replace(one, season=season) for one in (first, *others)]
    channels[1:] = [msgspec.structs.replace(one, evidence={}) for one in channels[1:]]
    return Detector(
        plain_model(), msgspec.structs.replace(settings, channels=tuple(channels), season_ns=season_ns)
    )


def raised_by(signal: str, fault, **changes):
    """Return the first alert of a recording whose first channel goes wrong at sample 200."""
    values = noise(7, 320)
    values[200:, 0] = fault(values[200:, 0])
    return (
        detector_of(signal, threshold=2.2, threshold_low=2.2, **changes)
        .push_block(times(320), values)
        .alerts[0]
    )


@pytest.mark.parametrize(
    ("signal", "fault", "changes", "words"),
    [
        ("error", lambda x: x * 4.0, {}, rf"is {NUMBER}, forecast was {NUMBER} to {NUMBER}"),
        ("error_mean", lambda x: x * 4.0, {},
         rf"has been off its forecasts by {NUMBER} on average over the last 8 samples, at most {NUMBER} is usual"),
        ("level", lambda x: x + 4.0, {}, rf"has been {NUMBER} above its usual {NUMBER} over the last 16 samples, at most {NUMBER} is usual"),
        ("level", lambda x: x - 4.0, {}, rf"has been {NUMBER} below its usual {NUMBER} over"),
        ("season", lambda x: x + 4.0, {"season_ns": DAY},
         rf"has been {NUMBER} above what is usual at this time of day over the last 12 samples"),
        ("season", lambda x: x + 4.0, {"season_ns": 7 * DAY}, "above what is usual at this time of the week over"),
        ("season", lambda x: x + 4.0, {"season_ns": 90 * SECOND}, "at this point of its cycle of 90.0 seconds over"),
        ("novelty", lambda x: x + 60.0 * np.arange(1, 1 + len(x)) ** 2, {}, rf"is {NUMBER}, outside all that was seen before \(0 to {NUMBER}\)"),
        ("repeat", lambda x: np.full_like(x, 9.5), {}, r"has been exactly 9.5 for \d\d samples in a row, at most 20 is usual"),
    ],
)  # fmt: skip
def test_every_signal_says_what_it_judged(signal, fault, changes, words):
    reason = raised_by(signal, fault, **changes).channels[0]
    assert (reason.name, reason.signal) == ("c0", signal)
    assert re.search(words, reason.says), reason.says
    if reason.judged is not None:
        assert not reason.low <= reason.judged <= reason.high


def test_a_level_is_said_by_its_mean_where_the_sample_is_within_the_band():
    """The sample that decides may be anywhere: what has left its place is the mean of the last sixteen."""
    values = noise(7, 320)
    values[200:, 0] += 2.0
    verdicts = detector_of("level", threshold=2.2, threshold_low=2.2).push_block(times(320), values)
    reason = verdicts.alerts[0].channels[0]
    away, usual, at_most = (
        float(one) for one in re.findall(NUMBER, reason.says)[:2] + re.findall(NUMBER, reason.says)[-1:]
    )
    assert away == pytest.approx(reason.judged - reason.expected, rel=0.05)
    assert usual == pytest.approx(reason.expected, rel=0.05)
    assert at_most == pytest.approx(reason.high - reason.expected, rel=0.05) and away > at_most
    assert reason.value != reason.judged


def test_every_signal_has_words():
    assert set(_JUDGED) == set(SIGNALS)


def test_what_is_missing_and_what_has_no_signal_is_said():
    values = noise(7, 320)
    values[200:, 0] += 15.0
    values[:, 1] = np.nan
    said = {
        one.name: one.says for one in detector_of("level").push_block(times(320), values).alerts[0].channels
    }
    assert (said["c1"], said["c2"]) == ("is missing", "is not judged")


def test_a_device_that_does_not_name_its_signal_does_not_blame_a_value_that_is_as_expected():
    inside, outside, missing = reasons.of_device(
        ("a", "b", "c"), [2.1, 9.0, float("nan")], [(2.0, 0.5, 0.6), (2.0, 0.5, 0.3), (2.0, 0.5, 0.1)]
    )
    assert inside.says == "is 2.1, by itself within 1.5 to 2.5: its last values together are not as usual"
    assert outside.says == "is 9, expected 1.5 to 2.5"
    assert missing.says == "is missing"


def payload_of(event_type: str, score: float, peak: float, note: str = ""):
    alert = Alert(
        event_type=event_type, time_ns=95 * SECOND, opened_ns=5 * SECOND, severity="critical", score=score, peak_score=peak,
        threshold=5.0, samples=90, note=note,
        channels=raised_by("level", lambda x: x + 4.0).channels,
    )  # fmt: skip
    return alert_payload(alert, node="n", stream="s", model="m", model_digest="d")


def test_a_line_says_the_peak_that_its_severity_is_of_and_the_score_of_now():
    assert "score 6.10 / 5.00  c0 (100%) has been" in event_line(payload_of("raised", 6.1, 6.1))
    assert "critical  score 6.10 (peak 8.25) / 5.00  c0 (100%) has been" in event_line(
        payload_of("updated", 6.1, 8.25)
    )
    over = payload_of("cleared", 1.0, 8.25, "the new level was adopted")
    assert over["text"] == "over after 90.0 seconds: the new level was adopted"
    assert event_line(over).endswith(
        "score 1.00 (peak 8.25) / 5.00  over after 90.0 seconds: the new level was adopted"
    )


def test_an_update_that_waited_until_all_was_as_usual_says_so():
    later = payload_of("updated", 1.1, 8.25)
    later["reasons"][0]["says"] = "is as usual"
    assert event_line(later).endswith("score 1.10 (peak 8.25) / 5.00  c0 (100%) is as usual again")


def test_the_text_of_a_payload_names_channel_and_what_is_unusual():
    raised = payload_of("raised", 6.1, 6.1)
    assert raised["text"] == f"c0 {raised['reasons'][0]['says']}"
    assert raised["reasons"][0]["says"].startswith("has been")


@pytest.mark.parametrize(
    ("value", "step", "said"),
    [
        (2.104, 0.03, "2.104"), (2.1, 0.3, "2.1"), (17_853_210.4, 250.0, "17853210"), (0.00001234, 1e-7, "0.00001234"),
        (-0.001, 10.0, "0"), (1e-12, 1e-13, "1e-12"), (3e15, 1.0, "3e+15"), (2.5, 0.0, "2.5"),
    ],
)  # fmt: skip
def test_a_number_is_as_fine_as_what_matters(value, step, said):
    assert number(value, step) == said


def test_a_time_is_said_in_the_unit_that_a_person_would_take():
    assert [span(one) for one in (1.0, 119.0, 120.0, 7200.0, 2 * 86_400.0, 1e8)] == [
        "1.0 seconds", "119.0 seconds", "2.0 minutes", "2.0 hours", "2.0 days", "3.2 years",
    ]  # fmt: skip
