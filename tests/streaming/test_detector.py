"""One by one = block = cut by a snapshot anywhere = uncompiled: the same verdicts, to the bit."""

import hashlib
import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector_cases import eventful, noise, plain_model, settings_for, times
from edgelstm.detector import Detector
from edgelstm.detector_batch import push_together
from edgelstm.errors import SampleError, SnapshotError
from edgelstm.sample import Sample
from edgelstm.stream import LoadedModel
from factories import random_model

MODELS = [
    LoadedModel(random_model(5, inputs=3, layers=(("lstm", 7), ("linear", 3)))),
    LoadedModel(random_model(6, inputs=3, layers=(("gru", 5), ("linear", 2)))),
    plain_model(),
    LoadedModel(random_model(7, inputs=3, layers=(("gru", 4), ("lstm", 6), ("linear", 3)))),
]
READING_OUT = MODELS[-1]
"""Its forecasts are those of a readout that learns on."""
POLICIES = ("hold", "skip", "reset")


def detector_of(model: LoadedModel, **changes: object) -> Detector:
    if model is READING_OUT:
        changes = {"readout_memory": 300, **changes}
    return Detector(model, settings_for(model.channel_names, **changes))


def fingerprint(detector: Detector, verdicts) -> str:
    """Every bit that a detector says and keeps, as one word."""
    digest = hashlib.sha256()
    for array in (verdicts.scores, verdicts.thresholds, verdicts.states):
        digest.update(array.tobytes())
    digest.update(repr(verdicts.alerts).encode() + detector.snapshot())
    return digest.hexdigest()


def uncompiled_case(model: int, policy: str) -> str:
    detector = detector_of(MODELS[model], on_missing=policy, freeze_timeout_ns=60 * 10**9)
    return fingerprint(detector, detector.push_block(*eventful(model, 500)))


@pytest.mark.parametrize("model", range(len(MODELS)))
def test_many_together_are_each_by_itself(model):
    """Blocks of one to forty samples, with events in their middle, of detectors that are far apart in their lives."""
    made = [detector_of(MODELS[model], on_missing=POLICIES[0], freeze_timeout_ns=10**11) for _ in range(14)]
    together, alone = made[:7], made[7:]
    times_ns, values = eventful(model, 2000)
    chance, at = np.random.default_rng(model), np.zeros(7, int)
    events = 0
    while at.min() < 1900:
        ends = np.minimum(at + chance.integers(1, 41, 7), 1900 + chance.integers(1, 100, 7))
        turns = [n for n in chance.permutation(7) if at[n] < ends[n]]
        blocks = [(times_ns[at[n] : ends[n]], values[at[n] : ends[n]]) for n in turns]
        found = push_together([(together[n], *block) for n, block in zip(turns, blocks, strict=True)])
        for n, block, verdicts in zip(turns, blocks, found, strict=True):
            wanted = alone[n].push_block(*block)
            assert fingerprint(together[n], verdicts) == fingerprint(alone[n], wanted)
            events += len(wanted.alerts)
            at[n] = ends[n]
    assert events > 7


def test_many_together_refuse_what_one_would():
    detectors = [detector_of(MODELS[0]) for _ in range(3)]
    block = times(2), noise(1, 2)
    with pytest.raises(SampleError, match="float32"):
        push_together([(detectors[0], *block), (detectors[1], block[0], noise(1, 2).astype(float))])
    with pytest.raises(SampleError, match="times_ns"):
        push_together([(detectors[0], *block), (detectors[1], block[0][:1], block[1])])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("model", range(len(MODELS)))
def test_one_by_one_is_a_block(model, policy):
    times_ns, values = eventful(model, 1500)
    block, single = (
        detector_of(MODELS[model], on_missing=policy, freeze_timeout_ns=10**11) for _ in range(2)
    )
    verdicts = block.push_block(times_ns, values)
    alerts = []
    for row, (time_ns, sample) in enumerate(zip(times_ns.tolist(), values, strict=True)):
        verdict = single.push(Sample(sample, time_ns))
        if verdict is None:
            assert np.isnan(verdicts.scores[row])
            assert verdicts.states[row] == -1
            continue
        assert (verdict.score, verdict.threshold) == (verdicts.scores[row], verdicts.thresholds[row])
        assert verdict.state == ("ok", "anomaly")[verdicts.states[row]]
        assert bool(verdict.channels) == (verdict.state == "anomaly" or verdict.alert is not None)
        alerts += [verdict.alert] if verdict.alert else []
    assert alerts == verdicts.alerts
    assert alerts, "a recording with faults that raises nothing tests little"
    assert single.snapshot() == block.snapshot()
    assert single.counters == block.counters


@given(model=st.integers(0, 3), seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 400), max_size=4))
@settings(max_examples=40)
def test_cut_by_a_snapshot_anywhere(model, seed, cuts):
    """Blocks of any size, each continued by a new detector from the last one's snapshot."""
    times_ns, values = eventful(seed, 400)
    whole = detector_of(MODELS[model])
    expected = whole.push_block(times_ns, values)
    edges = [0, *sorted(cuts), 400]
    current, scores, alerts = detector_of(MODELS[model]), [], []
    for start, end in itertools.pairwise(edges):
        snapshot, current = current.snapshot(), detector_of(MODELS[model])
        current.restore(snapshot)
        verdicts = current.push_block(times_ns[start:end], values[start:end])
        scores.append(verdicts.scores)
        alerts += verdicts.alerts
    np.testing.assert_array_equal(np.concatenate(scores), expected.scores)
    assert alerts == expected.alerts
    assert current.snapshot() == whole.snapshot()


def test_compiled_is_uncompiled():
    """The stages and the network as plain Python give the same bits as machine code."""
    compiled = [uncompiled_case(model, policy) for model in range(len(MODELS)) for policy in POLICIES]
    tests = Path(__file__).parent.parent
    code = (
        f"import sys; sys.path.insert(0, {str(tests / 'streaming')!r})\n"
        "from test_detector import MODELS, POLICIES, uncompiled_case\n"
        "from edgelstm.kernels.compiled import COMPILES; assert not COMPILES\n"
        "print(*[uncompiled_case(model, policy) for model in range(len(MODELS)) for policy in POLICIES])"
    )
    paths = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == compiled


def test_snapshot_of_another_model_or_other_settings_is_refused():
    detector = detector_of(MODELS[0])
    detector.push_block(times(50), noise(1, 50))
    before = detector.snapshot()
    with pytest.raises(SnapshotError):
        detector.restore(detector_of(MODELS[2]).snapshot())
    with pytest.raises(SnapshotError, match="other detector settings"):
        detector.restore(detector_of(MODELS[0], clear_after=11).snapshot())
    with pytest.raises(SnapshotError):
        detector.restore(MODELS[0].stream().snapshot())
    damaged = bytearray(before)
    damaged[60] ^= 1
    with pytest.raises(SnapshotError, match="damaged"):
        detector.restore(bytes(damaged))
    assert detector.snapshot() == before


def test_reset_is_a_new_detector():
    detector = detector_of(MODELS[0])
    fresh = detector.snapshot()
    detector.push_block(*eventful(3, 300))
    detector.reset()
    assert detector.snapshot() == fresh


def test_a_gap_brings_a_network_back_to_the_state_it_begins_with():
    """A layer may begin elsewhere than at zero; after a reset the forecasts are those of a new stream."""
    model = random_model(5, inputs=3, layers=(("lstm", 7), ("linear", 3)))
    begun = tuple(
        replace(layer, initial_cell=np.arange(7, dtype=np.int32) << 20) if layer.kind == "lstm" else layer
        for layer in model.layers
    )
    loaded = LoadedModel(replace(model, layers=begun))
    detector, fresh = detector_of(loaded), detector_of(loaded)
    times_ns, values = times(200), noise(3, 200)
    times_ns[100:] += 500 * 10**9
    detector.push_block(times_ns, values)
    fresh.push_block(times_ns[100:], values[100:])
    assert detector.counters["resets"] == 1
    np.testing.assert_array_equal(detector._said, fresh._said)
    detector.reset()
    assert detector.snapshot() == detector_of(loaded).snapshot()
