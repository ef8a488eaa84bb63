"""A training kept on disk after every epoch, so that what was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import msgspec
import numpy as np
import torch

from edgelstm_converters.training.dataset import Dataset
from edgelstm_converters.training.loop import Run
from edgelstm_converters.training.settings import TrainingSettings


def fingerprint(settings: TrainingSettings, data: Dataset) -> str:
    """Return what a training depends on, as one word: its settings and every value of its data."""
    digest = hashlib.sha256(msgspec.json.encode(settings))
    digest.update(repr((data.names, data.watched, data.classes, data.split)).encode())
    digest.update(np.ascontiguousarray(data.values).tobytes())
    if data.labels is not None:
        digest.update(data.labels.tobytes())
    return digest.hexdigest()


def save(path: Path, run: Run, key: str) -> None:
    """Write the training, whole or not at all."""
    content = {
        "key": key,
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state_dict(),
        "generator": run.generator.get_state(),
        "best_weights": run.best_weights,
        "history": run.history,
        "numbers": (run.epoch, run.best, run.since_best, run.stopped),
    }
    temporary = path.with_name(f".{path.name}.new")
    torch.save(content, temporary)
    os.replace(temporary, path)


def resume(path: Path, run: Run, key: str) -> bool:
    """Bring a training to where the file left it; False, with nothing changed, where it is none of this training."""
    try:
        found = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError):
        return False
    if not isinstance(found, dict) or found.get("key") != key:
        return False
    run.network.load_state_dict(found["network"])
    run.optimizer.load_state_dict(found["optimizer"])
    run.schedule.load_state_dict(found["schedule"])
    run.generator.set_state(found["generator"])
    run.best_weights = found["best_weights"]
    run.history = [tuple(pair) for pair in found["history"]]
    run.epoch, run.best, run.since_best, run.stopped = found["numbers"]
    return True
