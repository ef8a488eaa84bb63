"""The pretend sensor board: firmware in an emulated core, a bad serial line, a reset, and the alerts they end in."""

import importlib.util
import shutil
from importlib import resources

import numpy as np
import pytest

import edgelstm
from c_code import assert_same_bits
from edgelstm import Sample
from edgelstm.config import InputConfig
from edgelstm.device_detector import DeviceDetector
from edgelstm.sources import codecs
from edgelstm.sources.frames import Frames
from edgelstm_converters.c_export import export
from edgelstm_firmware_sim import Fault, record
from edgelstm_firmware_sim.mcu import qemu_machine
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


@pytest.fixture(scope="module")
def watcher(loaded, tmp_path_factory):
    """Firmware whose detector decides."""
    folder = tmp_path_factory.mktemp("watcher")
    exported = export(loaded, folder / "c")
    return build_image(exported.folder, TARGETS["cortex-m4"], "watcher", folder / "image", detector=True)


def decoder(loaded):
    """Return from a frame to what the daemon takes of it."""
    entry = InputConfig(name="mcu", source="serial:x", format="device", model="pump")
    decode = codecs.make(entry, loaded.channel_names)
    return lambda frame: decode("mcu", frame.payload, 0)[0]


def damaged(line, rng, probability=0.05):
    """Return the bytes of a line, now and then with one changed, dropped or doubled."""
    line = bytearray(line)
    if rng.random() < probability:
        at, kind = int(rng.integers(len(line))), rng.integers(3)
        if kind == 0:
            line[at] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del line[at]
        else:
            line.insert(at, line[at])
    return bytes(line)


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
        for frame in frames.feed(damaged(device.push(x), rng)):
            samples.append(np.frombuffer(frame.payload, "<f4"))
            times.append(time_ns)
    assert frames.damaged > 100 and frames.resets == 1
    assert len(samples) < len(made.values)
    sent = {row.tobytes() for row in made.values}
    assert all(row.tobytes() in sent for row in samples)
    expected = alerts_of(loaded, made.values, made.times_ns)
    times = np.maximum.accumulate(np.array(times) + np.arange(len(times)))  # no two at the same instant
    assert alerts_of(loaded, samples, times) == expected == ["raised", "cleared"]


def test_the_verdicts_on_the_line_are_those_of_the_runtime(watcher, loaded):
    """Score, threshold and peak to the bit, and the reasons as float32, over an alert from raised to cleared."""
    made = record("pump", 100, seed=4, faults=[Fault("cavitation", 40, 10, 70)])
    device, frames, take, detector = Device(watcher), Frames(), decoder(loaded), loaded.detector()
    kinds = []
    for n, x in enumerate(made.values):
        (frame,) = frames.feed(device.push(x))
        block, said = take(frame), detector.push(Sample(x, (n + 1) * 10**8))
        found = block.verdict
        assert_same_bits(block.values[0], x)
        assert found.scored == (said is not None)
        if said is None:
            continue
        assert (found.score, found.threshold, found.open) == (
            said.score,
            said.threshold,
            said.state == "anomaly",
        )
        if said.alert is not None:
            kinds.append(said.alert.event_type)
            assert (found.peak, found.samples) == (said.alert.peak_score, said.alert.samples)
        shares = (
            {
                name: float(np.float32(why[2]))
                for name, why in zip(loaded.channel_names, found.reasons, strict=True)
            }
            if said.channels
            else {}
        )
        assert shares == {reason.name: float(np.float32(reason.share)) for reason in said.channels}
    assert {"raised", "cleared"} <= set(kinds)


@pytest.mark.parametrize("reset_at", [300, 460, 600])
def test_verdicts_over_a_bad_line_and_a_reset_lose_no_alert(reset_at, watcher, loaded):
    """The device goes on from the snapshot in its flash, before, in and after an alert: one life of one alert, told once."""
    made = record("pump", 100, seed=4, faults=[Fault("cavitation", 40, 5, 70)])
    rng, device, frames, take = np.random.default_rng(6), Device(watcher), Frames(), decoder(loaded)
    follower, alerts = DeviceDetector(loaded, loaded.model.detector_settings), []
    for n, (time_ns, x) in enumerate(zip(made.times_ns, made.values, strict=True)):
        if n == reset_at:
            device.reset()
        for frame in frames.feed(damaged(device.push(x), rng)):
            block = take(frame)
            alerts += follower.follow(np.array([time_ns]), block.values, [block.verdict]).alerts
    assert frames.damaged > 100 and frames.resets == 1
    told = [alert.event_type for alert in alerts if alert.event_type != "updated"]
    assert told == alerts_of(loaded, made.values, made.times_ns) == ["raised", "cleared"]
    assert len({alert.opened_ns for alert in alerts}) == 1
    assert follower.counters["unheard"] == 0


def test_a_reset_while_a_snapshot_is_written_leaves_the_one_before(watcher, loaded):
    made = record("pump", 60, seed=4).values
    device, frames, take = Device(watcher), Frames(), decoder(loaded)
    for x in made[:520]:  # two snapshots, after 256 and 512 samples
        device.push(x)
    first, second = (device.store(slot) for slot in range(2))
    assert first != second and {first[:8], second[:8]} == {b"ELSTMDET"}
    device.damage(0)
    device.reset()
    (frame,) = frames.feed(device.push(made[520]))
    assert take(frame).verdict.scored, "it went on from the other snapshot, and did not warm up again"
    device.damage(0)
    device.damage(1)
    device.reset()
    (frame,) = Frames().feed(device.push(made[521]))
    assert not take(frame).verdict.scored


@pytest.mark.slow
@pytest.mark.skipif(
    not qemu_machine.available(),
    reason="no qemu-system-arm (apt install qemu-system-arm): no UART of a machine",
)
@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.qemu_uart])
def test_the_serial_line_of_a_whole_machine(name, loaded, tmp_path):
    """The same firmware on the UART of a machine of QEMU: every frame arrives, and the alert is in them."""
    made = record("pump", 60, seed=4, faults=[Fault("cavitation", 30, 5, 45)])
    exported = export(loaded, tmp_path / "c")
    image = build_image(exported.folder, TARGETS[name], "qemu_watcher", tmp_path / "image", detector=True)
    qemu_machine.run_machine(image, made.values.astype("<f4").tobytes(), tmp_path, serial="file:line.bin")
    frames, take = Frames(), decoder(loaded)
    blocks = [take(frame) for frame in frames.feed((tmp_path / "line.bin").read_bytes())]
    assert (len(blocks), frames.damaged, frames.missing) == (len(made.values), 0, 0)
    follower = DeviceDetector(loaded, loaded.model.detector_settings)
    values = np.vstack([block.values for block in blocks])
    assert_same_bits(values, made.values)
    alerts = follower.follow(made.times_ns, values, [block.verdict for block in blocks]).alerts
    assert [alert.event_type for alert in alerts if alert.event_type != "updated"] == ["raised", "cleared"]
    times_ns = (np.arange(len(values), dtype=np.int64) + 1) * 10**8
    scores = loaded.detector().push_block(times_ns, made.values).scores
    assert [block.verdict.score for block in blocks if block.verdict.scored] == scores[
        ~np.isnan(scores)
    ].tolist()
