"""Exported C on emulated cores: the bits of the twin over a recording, counts and sizes that stay, faults that are due."""

import dataclasses
import importlib.util
import shutil
import sys
from importlib import resources

import numpy as np
import pytest

import edgelstm
from c_code import assert_same_bits
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export
from edgelstm_firmware_sim import Fault, record
from edgelstm_firmware_sim.mcu import qemu_machine
from edgelstm_firmware_sim.mcu.build import GCC, BuildError, build_image, run
from edgelstm_firmware_sim.mcu.measure import measure
from edgelstm_firmware_sim.mcu.targets import TARGETS
from edgelstm_firmware_sim.mcu.unicorn_core import EmulationError, UnicornCore
from factories import random_model

unicorn = pytest.mark.skipif(
    not (importlib.util.find_spec("unicorn") and importlib.util.find_spec("elftools")),
    reason="no unicorn and pyelftools (pip install 'edgelstm[mcu]'): nothing runs on emulated cores",
)
zig = pytest.mark.skipif(
    not importlib.util.find_spec("ziglang"),
    reason="no ziglang (pip install 'edgelstm[mcu]'): not compiled by clang",
)
gcc = pytest.mark.skipif(
    not shutil.which(GCC), reason=f"no {GCC} (apt install gcc-arm-none-eabi): not compiled by GCC"
)
qemu = pytest.mark.skipif(
    not qemu_machine.available(),
    reason="no qemu-system-arm (apt install qemu-system-arm): no Cortex-M55, no faults",
)
pytestmark = unicorn
ARM = [name for name, target in TARGETS.items() if target.gcc]
IN_BOTH = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]


def pump():
    return edgelstm.load(resources.files("edgelstm") / "models" / "pump.elstm")


def pump_recording(seconds=120):
    return record("pump", seconds, seed=4, faults=[Fault("cavitation", 30, 20)]).values


def layer_of(hidden, kind="lstm"):
    """A model of one layer as trained ones are: no shifts, 4 inputs."""
    model = random_model(1, 4, [(kind, hidden)])
    for layer in model.layers:
        layer.inputs.shifts[:] = 0
        layer.hidden.shifts[:] = 0
    return LoadedModel(model)


@gcc
@qemu
@pytest.mark.slow
@pytest.mark.parametrize("name", ARM)
def test_a_recording_gives_the_same_bits_on_every_core(name, tmp_path):
    loaded, x = pump(), pump_recording()
    assert len(x) >= 1000
    exported = export(loaded, tmp_path)
    found = measure(exported.folder, TARGETS[name], x, loaded.stream().run(x))
    assert found.same_bits


@gcc
@pytest.mark.slow
@pytest.mark.parametrize("name", IN_BOTH)
def test_every_family_gives_the_same_bits_and_stops_at_no_fault(name, tmp_path):
    for number, layers in enumerate(
        (
            [("lstm", 19), ("lstm", 8), ("sigmoid", 5)],
            [("gru", 13), ("relu", 6)],
            [("gru_before", 9), ("tanh", 2)],
        )
    ):
        loaded = LoadedModel(random_model(number, 5, layers, extreme=True))
        x = (np.random.default_rng(number).standard_t(2, (60, 5)) * 3).astype(np.float32)
        exported = export(loaded, tmp_path / str(number), "model")
        assert measure(exported.folder, TARGETS[name], x, loaded.stream().run(x)).same_bits


@gcc
@qemu
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "gru_before", "lstm"])
def test_vector_instructions_give_the_same_bits_for_sizes_past_a_multiple_of_four(kind, tmp_path):
    loaded = LoadedModel(random_model(3, 5, [(kind, 13), ("lstm", 7), ("linear", 3)], extreme=True))
    x = (np.random.default_rng(0).standard_t(2, (80, 5)) * 3).astype(np.float32)
    exported = export(loaded, tmp_path, "model")
    assert measure(exported.folder, TARGETS["cortex-m55"], x, loaded.stream().run(x)).same_bits


@zig
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cortex-m4", "rv32imc"])
def test_clang_gives_the_same_bits(name, tmp_path):
    loaded, x = pump(), pump_recording(101)
    exported = export(loaded, tmp_path)
    assert measure(exported.folder, TARGETS[name], x, loaded.stream().run(x), compiler="zig").same_bits


@zig
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-arm"), reason="no qemu-arm (apt install qemu-user): no boards")
def test_a_pi_zero_proves_itself(tmp_path):
    """The self-test of the exported model as a Linux program for ARMv6."""
    exported = export(pump(), tmp_path)
    (tmp_path / "main.c").write_text(
        "int pump_selftest(void); int main(void) { return pump_selftest() != 0; }"
    )
    sources = [str(exported.folder / name) for name in ("pump.c", "pump_selftest.c", "main.c")]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "arm-linux-musleabihf", "-mcpu=arm1176jzf_s"]
    run([*command, "-O3", "-static", "-fno-sanitize=all", *sources, "-o", str(tmp_path / "prove")])
    run(["qemu-arm", "-cpu", "arm1176", str(tmp_path / "prove")])


@gcc
@qemu
@pytest.mark.slow
@pytest.mark.parametrize("name", IN_BOTH)
def test_both_emulators_count_the_same(name, tmp_path):
    loaded = layer_of(8)
    exported, x = export(loaded, tmp_path, "model"), np.ones((3, 4), np.float32)
    core = UnicornCore(build_image(exported.folder, TARGETS[name], "bench", tmp_path))
    counts, y = core.count_steps(x)
    image = build_image(exported.folder, TARGETS[name], "semihosted", tmp_path)
    ran = qemu_machine.run_samples(image, x, loaded.outputs)
    assert_same_bits(ran.outputs, y)
    # what stands around the call differs: one image stops in a function, the other reads its counter
    assert np.abs(ran.instructions - counts).max() <= 8
    core.paint_stack()
    core.step(x[0])
    assert ran.stack == core.painted_stack_used()


# What one LSTM layer with 4 inputs and all its outputs as float takes, by GCC 12.2 -O2: instructions of a step, and
# bytes of flash of an image with it alone. A better compiler or better C changes them: then change them here.
GOLDEN = {
    ("cortex-m0", 32): (48_720, 13_920),
    ("cortex-m4", 16): (4_940, 5_800),
    ("cortex-m4", 32): (12_710, 10_330),
    ("cortex-m4", 64): (36_680, 25_310),
    ("cortex-m55", 32): (5_454, 10_860),
}


@gcc
@qemu
@pytest.mark.slow
@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_counts_and_sizes_stay(case, tmp_path):
    if " 12.2." not in run([GCC, "--version"]):
        pytest.skip("the golden numbers are those of GCC 12.2")
    name, hidden = case
    loaded = layer_of(hidden)
    exported, x = export(loaded, tmp_path, "model"), np.ones((3, 4), np.float32)
    found = measure(exported.folder, TARGETS[name], x, loaded.stream().run(x))
    instructions, flash = GOLDEN[case]
    assert found.same_bits
    assert instructions * 0.98 <= found.instructions <= instructions * 1.01
    assert flash * 0.98 <= found.flash <= flash * 1.01


@gcc
@qemu
def test_an_image_for_a_better_core_faults(tmp_path):
    """DSP instructions on a Cortex-M3: it ends in a fault and gives no output."""
    exported = export(layer_of(8), tmp_path, "model")
    image = build_image(exported.folder, TARGETS["cortex-m4"], "semihosted", tmp_path)
    with pytest.raises(EmulationError, match=r"did not end|ended with|of 3 samples"):
        qemu_machine.run_samples(image, np.ones((3, 4), np.float32), 8, machine="mps2-an385", timeout_s=3.0)


NEEDS_BETTER = [
    ("cortex-m3", "cortex-m0"), ("cortex-m4", "cortex-m0"), ("cortex-m4", "cortex-m3"), ("cortex-m7", "cortex-m0"),
    ("cortex-m7", "cortex-m3"), ("cortex-m33", "cortex-m0"), ("cortex-m33", "cortex-m3"), ("cortex-m55", "cortex-m0"),
    ("cortex-m55", "cortex-m3"), ("cortex-m55", "cortex-m4"), ("cortex-m55", "cortex-m7"), ("cortex-m55", "cortex-m33"),
]  # fmt: skip
"""An image, and a core that has not all of its instructions; every other image runs on every other core."""


@gcc
@pytest.mark.slow
@pytest.mark.parametrize("built", ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_an_image_runs_on_another_core_with_the_same_bits_or_faults(built, tmp_path):
    loaded, x = layer_of(8), np.ones((3, 4), np.float32)
    image = build_image(export(loaded, tmp_path, "model").folder, TARGETS[built], "bench", tmp_path)
    for name in IN_BOTH:
        other = dataclasses.replace(TARGETS[built], unicorn=TARGETS[name].unicorn)
        if (built, name) in NEEDS_BETTER:
            with pytest.raises(EmulationError, match=r"Invalid instruction|Unhandled CPU exception"):
                UnicornCore(dataclasses.replace(image, target=other)).step(x[0])
        else:
            core = UnicornCore(dataclasses.replace(image, target=other))
            assert_same_bits(np.array([core.step(row) for row in x]), loaded.stream().run(x))


@gcc
def test_an_image_that_does_not_fit_is_refused_by_the_linker(tmp_path):
    exported = export(layer_of(32), tmp_path, "model")
    small = dataclasses.replace(TARGETS["cortex-m4"], flash_bytes=4096)
    with pytest.raises(BuildError, match="overflowed by"):
        build_image(exported.folder, small, "bench", tmp_path)


def test_a_folder_without_exported_c_is_refused(tmp_path):
    with pytest.raises(BuildError, match="holds no exported C"):
        build_image(tmp_path, TARGETS["cortex-m4"], "bench", tmp_path)


@gcc
def test_the_stack_of_a_step_is_measured(tmp_path):
    loaded = layer_of(16)
    exported, x = export(loaded, tmp_path, "model"), np.ones((3, 4), np.float32)
    found = measure(exported.folder, TARGETS["cortex-m4"], x, loaded.stream().run(x))
    assert exported.scratch_bytes <= found.stack <= exported.scratch_bytes + 200
    assert exported.state_bytes <= found.ram <= exported.state_bytes + 120
