"""The general detector: one small network that knows no sensor in particular, trained on made-up signals and faults.

It sees every channel apart, as `kernels/detection/feed.py` gives it: how many deviations a value is from the long mean, and
how far it is from the last one. It learns to say, sample by sample, whether the signal is at fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from edgelstm.model import Model
from edgelstm.output_roles import FAULT_OUTPUT
from edgelstm_converters.conversion import convert_with_report
from edgelstm_converters.training.faults import inject
from edgelstm_converters.training.network import Network, detached, rounded_to_int8
from edgelstm_converters.training.settings import TrainingSettings
from edgelstm_converters.training.signals import normal

Floats = NDArray[np.float32]

HIDDEN = 32
SIGNALS, SAMPLES, HISTORY = 64, 1408, 384
BPTT = 128
FAULTY = 0.65
LONG_MEMORY, ERROR_MEMORY = 1000.0, 2000.0
LARGEST_INPUT = 8.0
FLOOR = 0.05
ONSET, RECOVERY, LITTLE = 4, 20, 0.2
"""The first samples of a fault, and those after its end, weigh little: nobody can tell them yet."""

LEARNING_RATE, SMALLEST_RATE = 1e-2, 1e-5
QUANTISED_SHARE = 0.1
INPUTS = ("deviation", "step")


def features(signals: NDArray[np.float64], labels: NDArray[np.float64]) -> Floats:
    """Return what the network is given of signals (count, samples), float32 (count, samples, 2).

    Spreads begin as those of the history, as calibration finds them; baselines are frozen while a label is 1, as the
    detector freezes them while an alert is open.
    """
    history = signals[:, :HISTORY]
    deviation = history.std(axis=1)
    floor = np.maximum(FLOOR * deviation, 1e-6)
    variance, spread = deviation**2, np.abs(np.diff(history, axis=1)).mean(axis=1)
    mean, last = signals[:, 0].copy(), signals[:, 0]
    found = np.empty((*signals.shape, 2), np.float32)
    for t in range(signals.shape[1]):
        x, learns = signals[:, t], labels[:, t] == 0.0
        scale = np.maximum(np.sqrt(variance), floor)
        step_scale = np.maximum(1.2533 * spread, floor)
        away = np.clip((x - mean) / scale, -LARGEST_INPUT, LARGEST_INPUT)
        found[:, t, 0] = away
        found[:, t, 1] = np.clip((x - last) / step_scale, -LARGEST_INPUT, LARGEST_INPUT)
        gain = max(1.0 / LONG_MEMORY, 1.0 / (t + 1))
        error = np.minimum(np.abs(x - last), LARGEST_INPUT * step_scale)
        mean = np.where(learns, mean + gain * away * scale, mean)
        variance = np.where(learns, variance + ((away * scale) ** 2 - variance) / LONG_MEMORY, variance)
        spread = np.where(learns, spread + (error - spread) / ERROR_MEMORY, spread)
        last = x
    return found


def example(rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return inputs (SIGNALS, SAMPLES, 2), labels and weights (SIGNALS, SAMPLES, 1) of new signals."""
    signals, phase = normal(rng, SIGNALS, SAMPLES)
    labels = inject(rng, signals, phase, HISTORY, FAULTY)
    weights = np.ones_like(labels)
    turns = np.diff(labels, axis=1, prepend=0.0)
    for back in range(RECOVERY):
        since = np.zeros_like(turns)
        since[:, back:] = turns[:, : SAMPLES - back]
        weights[since < 0.0] = LITTLE
        if back < ONSET:
            weights[since > 0.0] = LITTLE
    return (
        features(signals, labels),
        labels[..., None].astype(np.float32),
        weights[..., None].astype(np.float32),
    )


def train_general(rounds: int, seed: int, say: Callable[[int, float], None]) -> Network:
    """Train for as many rounds, each on new signals; `say` is told round and mean loss every fiftieth one."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    network = Network(TrainingSettings(task="classify", hidden=HIDDEN), len(INPUTS), 2)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    losses: list[float] = []
    for number in range(rounds):
        part = number / rounds
        rate = LEARNING_RATE * min(1.0, part / 0.05 + 0.02) * 0.5 * (1.0 + math.cos(math.pi * part))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, SMALLEST_RATE)
        inputs, labels, weights = (torch.from_numpy(array) for array in example(rng))
        states = None
        for first in range(0, SAMPLES, BPTT):
            now = slice(first, first + BPTT)
            quantised = part >= 1.0 - QUANTISED_SHARE
            parameters = rounded_to_int8(network) if quantised else dict(network.named_parameters())
            logits, _, states = functional_call(network, parameters, (inputs[:, now], states))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[:, now], weights[:, now])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            states = detached(states)
            losses.append(loss.item())
        if (number + 1) % 50 == 0:
            say(number + 1, float(np.mean(losses[-50 * (SAMPLES // BPTT) :])))
    return network


def converted(network: Network, seed: int, name: str = "general") -> Model:
    """Return the network in int8, its scales set by signals that it was not trained on."""
    rng = np.random.default_rng([seed, 1])
    inputs, _, _ = example(rng)
    return convert_with_report(
        network.deployed().eval(),
        calibration=inputs[:32].reshape(-1, len(INPUTS)),
        channels=INPUTS,
        outputs=[FAULT_OUTPUT],
        name=name,
    ).model
