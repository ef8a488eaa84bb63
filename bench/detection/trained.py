"""A network for each case, trained on its own history as `edgelstm train` does, int8; kept in a folder."""

import dataclasses
from pathlib import Path

from case import Case

from edgelstm import model_file
from edgelstm.errors import EdgeLstmError
from edgelstm.sources.recording import Recording
from edgelstm.stream import LoadedModel
from edgelstm_converters.training import TrainingSettings, train
from edgelstm_converters.training.dataset import examine

TEST = 0.0
"""Share of the history that is only tested on: none, it is short enough; 15 % decide when to stop."""


def model_of(case: Case, seed: int, folder: Path, **choices) -> LoadedModel:
    """Return the network of a case and a seed, from `folder` where it is there already, else trained and put there.

    choices  of TrainingSettings
    """
    path = folder / f"{case.name}.{seed}.elstm"
    if not path.exists():
        times_ns, values = case.history
        history = Recording(times_ns, values, case.channels, 0, None)
        data = examine([history], given=case.marks.get("given", ()), keep_all=True, test=TEST)
        settings = TrainingSettings(seed=seed, test=TEST, **choices)
        path.parent.mkdir(parents=True, exist_ok=True)
        model_file.save(train(data, settings, name=case.name).model, path)
    return LoadedModel(dataclasses.replace(model_file.load(path), detector_settings=None))


def those_with_networks(
    cases: list[Case], seed: int, folder: Path
) -> tuple[list[Case], list[LoadedModel], list[str]]:
    """Return the cases that a network can be trained for, their networks, and of the others a line that says why not."""
    kept, networks, left_out = [], [], []
    for case in cases:
        try:
            networks.append(model_of(case, seed, folder))
        except EdgeLstmError as exc:
            left_out.append(f"{case.name}: {exc}")
        else:
            kept.append(case)
    return kept, networks, left_out
