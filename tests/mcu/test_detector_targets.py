"""The detector on emulated cores, over recordings of real sensors with everything that goes wrong with sensors."""

import os
import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import edgelstm
from c_detector import pushed
from edgelstm.calibration import examine
from edgelstm.pretrained import general_detector
from edgelstm.sources import recording
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export
from edgelstm_firmware_sim import Fault, record
from edgelstm_firmware_sim.mcu import qemu_machine
from edgelstm_firmware_sim.mcu.build import GCC, build_image
from edgelstm_firmware_sim.mcu.measure import inputs_of, measure_detector
from edgelstm_firmware_sim.mcu.targets import TARGETS
from edgelstm_firmware_sim.mcu.unicorn_core import UnicornCore

pytest.importorskip(
    "unicorn", reason="no unicorn (pip install 'edgelstm[mcu]'): nothing runs on emulated cores"
)
pytest.importorskip("elftools", reason="no pyelftools (pip install 'edgelstm[mcu]'): images are not read")
gcc = pytest.mark.skipif(
    not shutil.which(GCC), reason=f"no {GCC} (apt install gcc-arm-none-eabi): not compiled by GCC"
)
qemu = pytest.mark.skipif(
    not qemu_machine.available(), reason="no qemu-system-arm (apt install qemu-system-arm): no Cortex-M55"
)
DATA = Path(os.environ.get("EDGELSTM_DATA", "/nonexistent"))
SKAB_CHANNELS = ["Accelerometer1RMS", "Current", "Pressure", "Volume Flow RateRMS"]
SAMPLES = 1100


def troubled(times_ns, values):
    """Missing values, whole missing samples, a gap, a late sample, a repeated one, and a sensor that sticks."""
    rng, times_ns, values = np.random.default_rng(1), times_ns.copy(), values.copy()
    period = int(np.median(np.diff(times_ns)))
    spread = float(np.nanstd(values[:, 0]))
    values[rng.random(values.shape) < 0.01] = np.nan
    values[100:103] = np.nan
    values[200, 0] = np.inf
    values[700:780, -1] = values[699, -1] if np.isfinite(values[699, -1]) else 0.5
    times_ns[300:] += 5 * period
    times_ns[400:] += 500 * period
    times_ns[500], times_ns[501] = times_ns[499], times_ns[498]
    values[900:960, 0] += 40.0 * spread
    return times_ns, values


def pump():
    loaded = edgelstm.load(resources.files("edgelstm") / "models" / "pump.elstm")
    made = record("pump", SAMPLES / 10, seed=4, faults=[Fault("cavitation", 52, 4, 72)])
    return loaded, made.times_ns, made.values


def pump_reading_out():
    """The same with a readout that learns on, from what a normal recording has taught it."""
    loaded, times_ns, values = pump()
    normal = record("pump", 200, seed=5)
    settings = examine(loaded, normal.times_ns, normal.values, "1 per day", readout_memory=1000).settings
    return LoadedModel(replace(loaded.model, detector_settings=settings)), times_ns, values


def from_collection(pattern, channels, history, budget, **options):
    if not DATA.is_dir():
        pytest.skip("EDGELSTM_DATA does not name the folder of recordings: real recordings are not replayed")
    data = recording.read(sorted(DATA.glob(pattern))[0], channels, **options)
    loaded, _ = general_detector(channels, data.times_ns[:history], data.values[:history], budget)
    return loaded, data.times_ns[:SAMPLES], np.ascontiguousarray(data.values[:SAMPLES])


RECORDINGS = {
    "pump": pump,
    "pump, reading out": pump_reading_out,
    "skab": lambda: from_collection("skab/valve1/*.csv.gz", SKAB_CHANNELS, 400, "1 per day"),
    "ecg": lambda: from_collection(
        "ecg/*.csv.gz", ["MLII_mV", "V5_mV"], 2000, "1 per 5 min", time_column="seconds"
    ),
}


@pytest.fixture(scope="module", params=RECORDINGS)
def expected(request):
    """A model with a detector, a troubled recording, and what the runtime says of it."""
    loaded, times_ns, values = RECORDINGS[request.param]()
    times_ns, values = troubled(times_ns, values)
    assert len(values) >= 1000
    detector = loaded.detector()
    results, verdicts = pushed(detector, times_ns, values)
    assert {1, 3} <= set(verdicts["event"]), "a recording that raises nothing tests little"
    counted = detector.counters
    for name in ("missing_values", "unscored", "gaps", "resets", "late", "duplicates", "stuck"):
        assert counted[name] > 0, name
    return loaded, times_ns, values, results.tolist(), [row.tobytes() for row in verdicts]


@gcc
@qemu
@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_every_core_says_what_the_runtime_says(name, expected, tmp_path):
    if name == "rv32imc":
        pytest.importorskip("ziglang", reason="no ziglang (pip install 'edgelstm[mcu]'): no RISC-V")
    loaded, times_ns, values, results, verdicts = expected
    exported = export(loaded, tmp_path, "m")
    assert measure_detector(exported.folder, TARGETS[name], times_ns, values, results, verdicts).same_bits


@gcc
@qemu
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_a_snapshot_goes_from_the_device_to_the_runtime_and_back(name, expected, tmp_path):
    """An alert is open in between; what the runtime went on with, the device goes on with."""
    loaded, times_ns, values, _, verdicts = expected
    exported = export(loaded, tmp_path, "m")
    if exported.detector_bytes + exported.detector_snapshot_bytes > 0.8 * TARGETS[name].ram_bytes:
        pytest.skip(f"{name}: this detector with a snapshot of it takes more than the memory of its part")
    inputs, cuts = inputs_of(times_ns, values), (0, 905, 1000, len(values))
    if TARGETS[name].unicorn:
        core = UnicornCore(
            build_image(exported.folder, TARGETS[name], "bench", tmp_path, detector=True, snapshots=True)
        )

        def on_the_device(first, end, snapshot):
            assert not snapshot or core.load(snapshot) == 0
            return [core.take(given)[1] for given in inputs[first:end]], core.save()

    else:
        image = build_image(
            exported.folder, TARGETS[name], "semihosted", tmp_path, detector=True, snapshots=True
        )

        def on_the_device(first, end, snapshot):
            ran = qemu_machine.run_inputs(image, inputs[first:end], len(verdicts[0]), resume=snapshot)
            return [row.tobytes() for row in ran.outputs], ran.snapshot

    found, snapshot = on_the_device(0, cuts[1], b"")
    assert found == verdicts[: cuts[1]]
    detector = loaded.detector()
    detector.restore(snapshot)
    detector.push_block(times_ns[cuts[1] : cuts[2]], values[cuts[1] : cuts[2]])
    _, last = on_the_device(cuts[2], cuts[3], detector.snapshot())
    detector.push_block(times_ns[cuts[2] :], values[cuts[2] :])
    assert last == detector.snapshot()


@gcc
def test_what_the_detector_takes_beside_the_model_stays(tmp_path):
    """Instructions, flash, RAM and stack of the shipped pump model with its detector, by GCC 12.2 -O2."""
    if " 12.2." not in subprocess.run([GCC, "--version"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the golden numbers are those of GCC 12.2")
    loaded, times_ns, values = pump()
    results, verdicts = pushed(loaded.detector(), times_ns[:200], values[:200])
    exported = export(loaded, tmp_path)
    found = measure_detector(
        exported.folder, TARGETS["cortex-m4"], times_ns[:200], values[:200], results.tolist(),
        [row.tobytes() for row in verdicts],
    )  # fmt: skip
    assert found.same_bits
    for value, golden in zip((found.instructions, found.flash, found.ram, found.stack), GOLDEN, strict=True):
        assert golden * 0.95 <= value <= golden * 1.02


GOLDEN = (60_248, 21_576, 2_424, 804)
