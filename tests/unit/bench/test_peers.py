"""Every contender of the benchmark computes the network: one that loses its state must not be timed as if it worked."""

import importlib.util

import numpy as np
import pytest

import network as networks
import peers
from contender import largest_error

EXACT = {"onnxruntime float32", "litert float32", "tflite-runtime float32", "pytorch", "numpy", "plain numba"}


@pytest.mark.parametrize("name", peers.PEERS)
def test_outputs_are_those_of_the_float64_reference(name):
    make, packages = peers.PEERS[name]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    network = networks.make(16, 3)
    x = networks.signal(3, 80)
    assert largest_error(make(network), network, x) < (1e-5 if name in EXACT else 0.03)


def test_a_lost_state_shows():
    network = networks.make(16, 3)
    x = networks.signal(3, 80)

    def forgetful(sample):
        return peers.numpy(network).step(sample)

    assert largest_error(peers.Contender(forgetful), network, x) > 0.05


def test_the_plain_numba_baseline_keeps_its_state_between_calls():
    network = networks.make(8, 2)
    x = networks.signal(2, 50)
    once, twice = peers.plain_numba(network), peers.plain_numba(network)
    y = [once.step(row).copy() for row in x]
    halves = [twice.step(row).copy() for part in (x[:20], x[20:]) for row in part]
    np.testing.assert_array_equal(y, halves)
