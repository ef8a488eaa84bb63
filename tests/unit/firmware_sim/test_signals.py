"""Every kind of node: reproducible, plausible, and visibly wrong when a fault is full grown."""

import numpy as np
import pytest

from edgelstm.sources import recording
from edgelstm_firmware_sim import NODES, Fault, record
from edgelstm_firmware_sim.clock import DeviceClock
from edgelstm_firmware_sim.link import Link

FAULTS = [(node, fault) for node, kind in NODES.items() for fault in kind.faults]


@pytest.mark.parametrize("node", NODES)
def test_the_same_seed_gives_the_same_samples(node):
    first, second = record(node, 20, 3), record(node, 40, 3)
    np.testing.assert_array_equal(first.values, second.values[: len(first.values)])
    assert not np.array_equal(first.values, record(node, 20, 4).values)
    assert first.values.dtype == np.float32
    assert np.isfinite(second.values).all()
    assert len(NODES[node].faults) >= 3


@pytest.mark.parametrize(("node", "fault"), FAULTS)
def test_a_fault_moves_a_channel_by_several_standard_deviations(node, fault):
    """Compared with the same machine at the same moments without the fault."""
    well, ill = (record(node, 60, 5, faults).values for faults in ([], [Fault(fault, 20, 10)]))
    np.testing.assert_array_equal(well[:200], ill[:200])  # nothing before it begins
    noise = np.diff(well, axis=0).std(axis=0)
    moved = np.abs(ill[350:].mean(axis=0) - well[350:].mean(axis=0)) / noise
    assert moved.max() > 5
    early = np.abs(ill[210:220].mean(axis=0) - well[210:220].mean(axis=0)) / noise
    assert early.max() < moved.max() / 2  # it grows


def test_the_pump_can_be_forecast_better_than_by_its_last_value():
    values = record("pump", 1200, 1).values
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    past = np.hstack([scaled[lag : len(scaled) - 8 + lag] for lag in range(8)])
    weights, *_ = np.linalg.lstsq(past[:8000], scaled[8:8008], rcond=None)
    error = np.square(past[8000:] @ weights - scaled[8008:]).mean(axis=0)
    assert (error < 0.85 * np.square(np.diff(scaled[8007:], axis=0)).mean(axis=0)).all()


def test_faults_grow_and_stop():
    fault = Fault("blockage", 10, 4, 20)
    assert [fault.severity(at) for at in (9.9, 10, 12, 14, 19.9, 20)] == [0, 0, 0.5, 1, 1, 0]
    assert Fault("blockage", 10, 0).severity(10) == 1


def test_a_recording_is_read_back_from_csv(tmp_path):
    made = record("pump", 12, 1, [Fault("blockage", 5, 5)])
    made.write_csv(tmp_path / "pump.csv")
    found = recording.read(tmp_path / "pump.csv")
    assert found.names == made.names
    np.testing.assert_array_equal(found.times_ns, made.times_ns)
    np.testing.assert_allclose(found.values, made.values, rtol=1e-5)
    assert found.period_ns == 100_000_000
    assert made.severity[0] == 0
    assert made.severity[-1] == 1


def test_a_clock_runs_away():
    clock = DeviceClock(1000, offset_s=2.0, drift_ppm=50.0)
    assert clock.reads_ns(1000) == 1000 + 2 * 10**9
    assert clock.reads_ns(1000 + 10**9) == 1000 + 3 * 10**9 + 50_000


def test_a_link_keeps_what_it_cannot_send_and_bursts():
    sent = []
    link = Link(np.random.default_rng(0), outage_every_s=10, outage_s=4, capacity=3)
    for second in range(12):
        link.send(str(second).encode(), second, sent.append)
    assert sent == [b"0", b"1", b"2", b"3", b"4", b"5", b"7", b"8", b"9", b"10", b"11"]
    assert link.dropped == 1


def test_a_link_that_repeats_itself():
    sent = []
    link = Link(np.random.default_rng(0), duplicates=1.0)
    link.send(b"x", 0, sent.append)
    assert sent == [b"x", b"x"]
