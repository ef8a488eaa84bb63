"""Every signal of the table through the same checks: alone it hears its own fault, and it keeps the detector's rules."""

import itertools
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from detector_cases import START_NS, persistence_model, times, unsure_model
from edgelstm.calibration import examine
from edgelstm.detector import Detector
from edgelstm.detector_settings import SIGNALS
from edgelstm.evidence_choice import WEIGHTS
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.tail import FLOORS
from edgelstm.output_roles import FAULT_OUTPUT
from edgelstm.stream import LoadedModel

SEASON = 240
HISTORY, COUNT, FAULT = 2400, 1200, 600


def signal(seed: int, count: int) -> np.ndarray:
    """One channel: a season of 240 samples, and noise."""
    rng = np.random.default_rng(seed)
    return (2.0 * np.sin(2.0 * np.pi * np.arange(count) / SEASON) + rng.normal(size=count)).astype(np.float32)


def model_for(name: str) -> LoadedModel:
    """Persistence; for the logit, a network that takes the value itself for one; for the spread, one that is run with masks."""
    model = (unsure_model if name == "spread" else persistence_model)(["c0"], [0.0], [2.0])
    if name == "logit":
        model = replace(model, outputs=(msgspec.structs.replace(model.outputs[0], name=FAULT_OUTPUT),))
    return LoadedModel(model)


def fault(name: str) -> np.ndarray:
    """Normal running, and from sample FAULT on something that this signal is there to hear."""
    values = signal(2, COUNT)
    part = values[FAULT:]
    match name:
        case "error" | "error_mean":
            part[: 60 if name == "error_mean" else 8] += np.tile([9.0, -9.0], 30)[
                : 60 if name == "error_mean" else 8
            ]
        case "level" | "logit" | "spread":
            part += 9.0
        case "season":
            part[:] = signal(3, part.size)  # half a season early
        case "novelty":
            part[:20] = 30.0 + 20.0 * np.arange(20)
        case "repeat":
            part[:] = part[0]
    return values


@pytest.fixture(scope="module", params=SIGNALS)
def alone(request):
    """A signal's name, a model, and settings calibrated with no other signal."""
    name = request.param
    loaded = model_for(name)
    history = signal(1, HISTORY)[:, None]
    settings = examine(
        loaded,
        times(HISTORY),
        history,
        "1 per hour",
        weights=WEIGHTS if name == "spread" else None,  # asked for: in this signal it foretells nothing
        freeze_timeout_ns=10**15,
    ).settings
    (channel,) = settings.channels
    assert name in channel.evidence
    only = msgspec.structs.replace(
        channel, evidence={name: msgspec.structs.replace(channel.evidence[name], weight=1.0)}
    )
    return name, loaded, msgspec.structs.replace(settings, channels=(only,), threshold=4.0, threshold_low=4.0)


def recording(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return times(len(values), start_ns=START_NS + HISTORY * 10**9), values[:, None]


def test_the_tables_agree():
    assert at.SIGNALS == SIGNALS == tuple(WEIGHTS)
    assert len(FLOORS) == len(SIGNALS)


def test_it_hears_its_fault_and_is_quiet_before(alone):
    name, loaded, settings = alone
    verdicts = Detector(loaded, settings).push_block(*recording(fault(name)))
    raised = [alert.time_ns for alert in verdicts.alerts if alert.event_type == "raised"]
    first = int(recording(signal(2, COUNT))[0][FAULT])
    assert raised, name
    assert raised[0] >= first, "nothing is wrong yet"
    assert raised[0] <= first + SEASON * 10**9


def test_no_verdict_in_warm_up_and_a_number_after_it(alone):
    _, loaded, settings = alone
    scores = Detector(loaded, settings).push_block(*recording(signal(2, COUNT))).scores
    assert np.isnan(scores[: settings.warm_up]).all()
    assert np.isfinite(scores[settings.warm_up :]).all()
    assert (scores[settings.warm_up :] >= 0.0).all()


def test_cut_anywhere_is_whole(alone):
    name, loaded, settings = alone
    times_ns, values = recording(fault(name))
    whole = Detector(loaded, settings)
    expected = whole.push_block(times_ns, values)
    current, scores = Detector(loaded, settings), []
    for start, end in itertools.pairwise([0, 1, 17, 300, FAULT, FAULT + 3, FAULT + 50, COUNT]):
        snapshot, current = current.snapshot(), Detector(loaded, settings)
        current.restore(snapshot)
        scores.append(current.push_block(times_ns[start:end], values[start:end]).scores)
    np.testing.assert_array_equal(np.concatenate(scores), expected.scores)
    assert current.snapshot() == whole.snapshot()


def test_nothing_is_learned_while_an_alert_is_open(alone):
    name, loaded, settings = alone
    times_ns, values = recording(fault(name))
    detector = Detector(loaded, settings)
    learned = [
        at.ERROR_SPREAD,
        at.LONG_MEAN,
        at.VARIANCE,
        at.SEASON_SPREAD,
        at.LOWEST_SEEN,
        at.HIGHEST_SEEN,
        at.USUAL_SPREAD,
        *range(at.FIRST_TAIL, at.CHANNEL_WORDS),
    ]
    before = None
    frozen = 0
    for row in range(COUNT):
        was_open = detector.open_alert is not None
        detector.push_block(times_ns[row : row + 1], values[row : row + 1])
        own = detector._floats[at.FIRST_CHANNEL_WORD : at.FIRST_CHANNEL_WORD + at.CHANNEL_WORDS]
        seasons = detector._floats[at.FIRST_CHANNEL_WORD + at.CHANNEL_WORDS :]
        state = np.concatenate([own[learned], seasons])
        if was_open and detector.open_alert is not None:
            np.testing.assert_array_equal(state, before)
            frozen += 1
        before = state.copy()
    assert frozen > 5


def test_reset_is_new(alone):
    name, loaded, settings = alone
    detector = Detector(loaded, settings)
    fresh = detector.snapshot()
    detector.push_block(*recording(fault(name)))
    detector.reset()
    assert detector.snapshot() == fresh
