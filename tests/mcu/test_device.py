"""The pretend sensor board: firmware in an emulated core, a bad serial line, a reset, and the alerts they end in."""

import importlib.util
import shutil
from importlib import resources

import numpy as np
import pytest

import edgelstm
from c_code import assert_same_bits
from edgelstm import Sample
from edgelstm.sources.frames import Frames
from edgelstm_converters.c_export import export
from edgelstm_firmware_sim import Fault, record
from edgelstm_firmware_sim.mcu.build import GCC, build_image
from edgelstm_firmware_sim.mcu.device import Device
from edgelstm_firmware_sim.mcu.targets import TARGETS

pytestmark = [
    pytest.mark.skipif(
        not shutil.which(GCC), reason=f"no {GCC} (apt install gcc-arm-none-eabi): no firmware"
    ),
    pytest.mark.skipif(
        not importlib.util.find_spec("unicorn"), reason="no unicorn (pip install 'edgelstm[mcu]')"
    ),
]


@pytest.fixture(scope="module")
def loaded():
    return edgelstm.load(resources.files("edgelstm") / "models" / "pump.elstm")


@pytest.fixture(scope="module")
def image(loaded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    return build_image(export(loaded, folder / "c").folder, TARGETS["cortex-m4"], "device", folder / "image")


def alerts_of(loaded, samples, times):
    detector, found = loaded.detector(), []
    for time_ns, x in zip(times, samples, strict=True):
        verdict = detector.push(Sample(x, int(time_ns)))
        if verdict is not None and verdict.alert is not None and verdict.alert.event_type != "updated":
            found.append(verdict.alert.event_type)
    return found


def test_a_sample_comes_out_as_a_frame_and_the_forecast_has_the_bits_of_the_stream(image, loaded):
    device, frames, stream = Device(image), Frames(), loaded.stream()
    for x in record("pump", 5, seed=4).values:
        (frame,) = frames.feed(device.push(x))
        assert_same_bits(np.frombuffer(frame.payload, "<f4"), x)
        assert_same_bits(device.forecast(), stream.step(x))
    assert (frames.damaged, frames.missing, frames.repeats) == (0, 0, 0)


def test_a_bad_line_and_a_reset_in_the_middle_lose_no_alert(image, loaded):
    """Bytes are damaged, dropped and doubled, and the device is reset while the fault grows."""
    made = record("pump", 100, seed=4, faults=[Fault("cavitation", 40, 10, 70)])
    rng, device, frames = np.random.default_rng(5), Device(image), Frames()
    samples, times = [], []
    for n, (time_ns, x) in enumerate(zip(made.times_ns, made.values, strict=True)):
        if n == 450:
            device.reset()
        line = bytearray(device.push(x))
        if rng.random() < 0.05:
            at, kind = int(rng.integers(len(line))), rng.integers(3)
            if kind == 0:
                line[at] ^= int(rng.integers(1, 256))
            elif kind == 1:
                del line[at]
            else:
                line.insert(at, line[at])
        for frame in frames.feed(bytes(line)):
            samples.append(np.frombuffer(frame.payload, "<f4"))
            times.append(time_ns)
    assert frames.damaged > 100 and frames.resets == 1
    assert len(samples) < len(made.values)
    sent = {row.tobytes() for row in made.values}
    assert all(row.tobytes() in sent for row in samples)
    expected = alerts_of(loaded, made.values, made.times_ns)
    times = np.maximum.accumulate(np.array(times) + np.arange(len(times)))  # no two at the same instant
    assert alerts_of(loaded, samples, times) == expected == ["raised", "cleared"]
