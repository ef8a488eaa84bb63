"""For every case of every family: its C, the recording that it steps over, and what the twin gives."""

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np
from layer_cases import INTEGER_CASES, MASKED, ROWS, integer_model

from edgelstm.reference import step as twin
from edgelstm.snapshot import STREAM_MAGIC, seal
from edgelstm.sources.recording import read
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import Exported, export
from edgelstm_converters.quantize import quantize_channels
from edgelstm_firmware_sim import Fault, record

SAMPLES, CUT = 1000, 413
"""How many samples C steps over, and after how many its state is saved and taken up again."""

SKAB = Path("skab") / "valve1" / "0.csv.gz"
SKAB_CHANNELS = [
    "Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage",
    "Volume Flow RateRMS",
]  # fmt: skip

FIRST_CASES = list({case.split()[0]: case for case in reversed(INTEGER_CASES)}.values())[::-1]
"""One case of every kind in the table of families."""


@functools.cache
def recorded():
    """Return 1,000 samples, float32 (samples, channels): a water loop whose valve closes (SKAB), or our own pump."""
    folder = os.environ.get("EDGELSTM_DATA")
    if folder and (Path(folder) / SKAB).is_file():
        values = read(Path(folder) / SKAB, SKAB_CHANNELS).values
    else:
        values = record("pump", 101, seed=4, faults=[Fault("cavitation", 30, 20)]).values
    assert len(values) >= SAMPLES
    return np.ascontiguousarray(values[:SAMPLES], np.float32)


@dataclasses.dataclass(frozen=True)
class Family:
    """x float32 (SAMPLES, channels);  y float32 (SAMPLES, outputs) of the twin;  snapshots after CUT and SAMPLES."""

    loaded: LoadedModel
    exported: Exported
    x: np.ndarray
    y: np.ndarray
    snapshots: tuple[bytes, bytes]


def make_family(case, folder, extreme=False):
    """Export the C of one case into `folder`, on the channels of the recording."""
    x = recorded().copy()
    model = integer_model(case, 1, x.shape[1], 7, extreme)
    if case.startswith(ROWS):
        x[:, 0] = np.arange(SAMPLES) % 9
    if case.startswith(("masking", "sequence", "decoder")):
        x[np.random.default_rng(1).random(SAMPLES) < 0.3] = MASKED
    names = tuple(channel.name for channel in model.channels)
    channels = quantize_channels(names, ("",) * len(names), x, model.rows_by_channel)
    loaded = LoadedModel(dataclasses.replace(model, channels=channels))
    y, snapshots = stepped_by_the_twin(loaded, x)
    assert extreme or np.unique(y).size > 3  # it does compute something
    return Family(loaded, export(loaded, folder, "model", shared=True), x, y, snapshots)


def stepped_by_the_twin(loaded, x):
    state, y = loaded.program.initial_state(), np.empty((len(x), loaded.outputs), np.float32)
    context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch())
    snapshots = []
    for first, end in ((0, CUT), (CUT, len(x))):
        assert twin.execute_block(context, x[first:end].copy(), y[first:end]) == -1
        snapshots.append(seal(STREAM_MAGIC, loaded.digest, loaded.program.pack_state(state[0])))
    return y, tuple(snapshots)
