"""Truncated backpropagation through time with carried state, over strips of a recording side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgelstm_converters.training.dataset import Dataset
from edgelstm_converters.training.network import Network, detached, rounded_to_int8
from edgelstm_converters.training.settings import (
    FEWEST_EPOCHS,
    FEWEST_PARTS,
    FEWEST_UPDATES,
    TrainingSettings,
)

Say = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is, after an epoch; losses are means a value."""

    epoch: int
    epochs: int
    loss: float
    validation: float
    best: float
    seconds: float
    quantised: bool


@dataclass(slots=True)
class Run:
    """What a training holds between two epochs: all that is needed to go on."""

    network: Network
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    epochs: int
    patience: int
    epoch: int = 0
    best: float = math.inf
    best_weights: dict[str, Tensor] | None = None
    since_best: int = 0
    stopped: bool = False
    history: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Strips:
    """Parts of a recording side by side: inputs (strips, samples, channels), targets, and which targets count."""

    inputs: Tensor
    targets: Tensor
    counts: Tensor

    @property
    def samples(self) -> int:
        return int(self.inputs.shape[1])


def ahead_of(task: str) -> int:
    """Return how many samples ahead of its input a target is."""
    return 1 if task == "forecast" else 0


def strips_of(data: Dataset, start: int, stop: int, count: int, task: str) -> Strips:
    """Cut rows [start, stop) into `count` strips; the target is the next sample, this one, or its class."""
    ahead = ahead_of(task)
    length = (stop - start - ahead) // count

    def cut(array: Any, shift: int) -> Tensor:
        rows = array[start + shift : start + shift + count * length]
        return torch.from_numpy(np.ascontiguousarray(rows.reshape(count, length, -1)))

    x = cut(data.filled, 0)
    if task == "classify":
        assert data.labels is not None
        counted = data.usable.any(axis=1, keepdims=True).astype(np.float32)
        return Strips(x, cut(data.labels[:, None], 0), cut(counted, 0))
    counted = data.usable[:, data.watched].astype(np.float32)
    return Strips(x, cut(data.filled[:, data.watched], ahead), cut(counted, ahead))


def begin(settings: TrainingSettings, data: Dataset) -> Run:
    """Return a training before its first epoch; the same seed gives the same one."""
    torch.manual_seed(settings.seed)
    network = Network(settings, len(data.names), len(data.classes), len(data.watched))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    length = (data.split.train - ahead_of(settings.task)) // _batch(settings, data)
    each = math.ceil(length / settings.bptt)
    epochs = settings.epochs or max(FEWEST_EPOCHS, math.ceil(FEWEST_UPDATES / each))
    updates = epochs * each
    schedule: torch.optim.lr_scheduler.LRScheduler
    if settings.schedule == "one-cycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=updates + 1
        )
    else:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates + 1)
    patience = settings.patience or max(epochs // 4, 10)
    return Run(network, optimizer, schedule, torch.Generator().manual_seed(settings.seed), epochs, patience)


def _batch(settings: TrainingSettings, data: Dataset) -> int:
    """Return how many strips: as asked, but none shorter than FEWEST_PARTS stretches of backpropagation."""
    return max(1, min(settings.batch, (data.split.train - 1) // (FEWEST_PARTS * settings.bptt)))


def advance(
    run: Run, settings: TrainingSettings, data: Dataset, say: Say, keep: Callable[[Run], None]
) -> None:
    """Train until the last epoch or until validation gets no better; `keep` is called after every epoch."""
    training = strips_of(data, 0, data.split.train, _batch(settings, data), settings.task)
    validation = strips_of(data, data.split.train, data.split.validate, 1, settings.task)
    loss_of = loss_function(settings, data)
    started, first = time.monotonic(), run.epoch
    while run.epoch < run.epochs and not run.stopped:
        quantised = run.epoch >= run.epochs - settings.quantised_epochs
        loss = _epoch(run, settings, training, loss_of, quantised)
        with torch.no_grad():
            found = evaluate(run.network, validation, loss_of, settings.bptt)
        run.epoch += 1
        run.history.append((loss, found))
        if found < run.best or run.best_weights is None:
            run.best, run.since_best = found, 0
            run.best_weights = {name: value.clone() for name, value in run.network.state_dict().items()}
        else:
            run.since_best += 1
            run.stopped = run.since_best >= run.patience
        each = (time.monotonic() - started) / (run.epoch - first)
        left = each * (run.epochs - run.epoch)
        say(Progress(run.epoch, run.epochs, loss, found, run.best, left, quantised))
        keep(run)
    if run.best_weights is not None:
        run.network.load_state_dict(run.best_weights)


def _epoch(
    run: Run, settings: TrainingSettings, strips: Strips, loss_of: Callable[..., Tensor], quantised: bool
) -> float:
    network, total, weight = run.network, 0.0, 0.0
    masks = network.draw_masks(len(strips.inputs), run.generator)
    states = None
    for first in range(0, strips.samples, settings.bptt):
        part = slice(first, first + settings.bptt)
        x = strips.inputs[:, part]
        x = x + settings.noise * torch.randn(x.shape, generator=run.generator)
        parameters = rounded_to_int8(network) if quantised else dict(network.named_parameters())
        outputs, log_scale, states = functional_call(network, parameters, (x, states, masks))
        loss = loss_of(outputs, log_scale, strips.targets[:, part], strips.counts[:, part])
        run.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        run.optimizer.step()
        run.schedule.step()
        states = detached(states)
        total, weight = total + loss.item() * x.shape[1], weight + x.shape[1]
    return total / max(weight, 1.0)


def evaluate(network: Network, strips: Strips, loss_of: Callable[..., Tensor], bptt: int) -> float:
    """Return the mean loss over strips, without noise or dropout, state carried."""
    states, total, weight = None, 0.0, 0.0
    for first in range(0, strips.samples, 32 * bptt):
        part = slice(first, first + 32 * bptt)
        outputs, log_scale, states = network(strips.inputs[:, part], states)
        length = outputs.shape[1]
        loss = loss_of(outputs, log_scale, strips.targets[:, part], strips.counts[:, part])
        total, weight = total + float(loss) * length, weight + length
    return total / max(weight, 1.0)


def loss_function(settings: TrainingSettings, data: Dataset) -> Callable[..., Tensor]:
    """Return what is minimised: the Gaussian likelihood with its own scale, or cross entropy with balanced classes."""
    if settings.task != "classify":
        return gaussian_loss
    assert data.labels is not None
    counts = np.bincount(data.labels[: data.split.train], minlength=len(data.classes)).astype(np.float64)
    weights = torch.from_numpy((counts.sum() / (len(counts) * np.maximum(counts, 1.0))).astype(np.float32))
    if len(data.classes) == 2:
        return lambda y, _, target, counted: _mean(
            nn.functional.binary_cross_entropy_with_logits(y, target.float(), reduction="none")
            * torch.where(target > 0, weights[1], weights[0]),
            counted,
        )
    return lambda y, _, target, counted: _mean(
        nn.functional.cross_entropy(y.flatten(0, 1), target.flatten(), weights, reduction="none"),
        counted.flatten(),
    )


def gaussian_loss(mean: Tensor, log_scale: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Return 0.5 ((x - m) e^-s)^2 + s, the error limited where it is far out so that one value cannot rule."""
    error = (target - mean) * torch.exp(-log_scale)
    limited = nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=4.0)
    return _mean(limited + log_scale, counted)


def _mean(losses: Tensor, counted: Tensor) -> Tensor:
    return (losses * counted).sum() / counted.sum().clamp_min(1.0)
