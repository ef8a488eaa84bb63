"""The float network of the detection benchmark steps as PyTorch does, through a context as the detector gives it."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench" / "detection"))

pytestmark = pytest.mark.torch
CHANNELS, STEPS = 3, 12


def test_float_network_steps_as_torch_and_begins_anew_where_the_state_was_zeroed():
    import torch
    from float_network import float_step

    from edgelstm.reference.step import bind
    from edgelstm_converters.training.general import HIDDEN, INPUTS
    from edgelstm_converters.training.network import Network
    from edgelstm_converters.training.settings import TrainingSettings

    torch.manual_seed(0)
    network = Network(TrainingSettings(task="classify", hidden=HIDDEN), len(INPUTS), 2).eval()
    state = np.zeros((CHANNELS, 4), np.int32)
    context, _ = bind(np.zeros(1, np.int32), state, np.zeros((1, 1), np.int32))
    samples = np.random.default_rng(0).normal(size=(STEPS, CHANNELS, len(INPUTS))).astype(np.float32)
    step, said = float_step(network), np.empty((STEPS, CHANNELS, 1), np.float32)
    with torch.no_grad():
        expected, _, _ = network(torch.from_numpy(samples.swapaxes(0, 1)), None)
    for _ in range(2):
        state[:] = 0
        for t in range(STEPS):
            assert step(context, samples[t], said[t]) == -1
        np.testing.assert_allclose(said.swapaxes(0, 1), expected.numpy(), atol=1e-5)
