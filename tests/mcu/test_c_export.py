"""Exported C on this machine: every bit as the kernels give it, and no warning, no undefined behaviour, no library."""

import dataclasses
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest

import edgelstm
from c_code import COMPILER, CModel, assert_same_bits, pointer
from edgelstm.errors import ConversionError
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import export, operations
from edgelstm_firmware_sim import Fault, record
from factories import random_model

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler: exported C is not compiled")

MODELS = {
    "lstm": (1, 4, [("lstm", 32), ("linear", 4)]),
    "stacked": (2, 7, [("lstm", 19), ("lstm", 8), ("sigmoid", 5)]),
    "gru": (3, 5, [("gru", 30), ("relu", 9), ("linear", 3)]),
    "gru_before": (4, 3, [("gru_before", 17), ("tanh", 2)]),
    "one unit": (5, 1, [("lstm", 1), ("gru", 1), ("gru_before", 1), ("linear", 1)]),
    "column blocks": (6, 600, [("lstm", 5), ("gru_before", 13), ("linear", 3)]),
}


def noise(inputs, samples, seed=0, loudness=3.0):
    rng = np.random.default_rng(seed)
    return (rng.standard_t(2, (samples, inputs)) * loudness).astype(np.float32)


@pytest.mark.parametrize("extreme", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("case", MODELS)
def test_outputs_and_snapshots_are_those_of_the_kernels(case, extreme, tmp_path):
    seed, inputs, layers = MODELS[case]
    loaded = LoadedModel(random_model(seed, inputs, layers, extreme=extreme))
    c, stream = CModel(loaded, tmp_path), loaded.stream()
    x = noise(inputs, 150)
    assert_same_bits(c.run(x[:100]), stream.run(x[:100]))
    assert c.save() == stream.snapshot()
    stream.run(x)
    assert c.load(stream.snapshot()) == 0
    assert_same_bits(c.run(x), stream.run(x))
    assert c.functions.model_selftest() == 0


def test_a_recording_with_a_fault(tmp_path):
    """The shipped model over 1,200 samples of the pump, from C and from Python, one taking over from the other."""
    loaded = edgelstm.load(resources.files("edgelstm") / "models" / "pump.elstm")
    x = record("pump", 120, seed=4, faults=[Fault("cavitation", 30, 20)]).values
    c, stream = CModel(loaded, tmp_path), loaded.stream()
    assert len(x) >= 1000
    assert_same_bits(c.run(x), stream.run(x))
    assert c.functions.model_selftest() == 0


def test_layers_that_run_at_every_nth_sample(tmp_path):
    model = random_model(8, 3, [("lstm", 6), ("gru", 5), ("linear", 2)])
    slow = dataclasses.replace(model.layers[1], period=3, phase=1)
    head = dataclasses.replace(model.layers[2], period=2)
    loaded = LoadedModel(dataclasses.replace(model, layers=(model.layers[0], slow, head)))
    c, stream, x = CModel(loaded, tmp_path), loaded.stream(), noise(3, 90)
    assert_same_bits(c.run(x), stream.run(x))
    assert c.save() == stream.snapshot()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_changes_nothing(value, tmp_path):
    c = CModel(LoadedModel(random_model(1, 3, [("lstm", 4)])), tmp_path)
    c.run(noise(3, 5))
    before, x = c.state.copy(), np.array([1, value, 2], np.float32)
    y = np.zeros(4, np.float32)
    assert c.functions.model_step(pointer(c.state), pointer(x), pointer(y)) == 2
    np.testing.assert_array_equal(c.state, before)


@pytest.mark.parametrize("loudness", [1e-30, 1e6, 1e38])
def test_inputs_at_the_ends_of_the_scale(loudness, tmp_path):
    loaded = LoadedModel(random_model(7, 4, [("lstm", 16), ("tanh", 4)], extreme=True))
    x = np.clip(noise(4, 60, loudness=1.0).astype(np.float64) * loudness, -3e38, 3e38).astype(np.float32)
    assert_same_bits(CModel(loaded, tmp_path).run(x), loaded.stream().run(x))


def test_snapshots_that_are_refused_leave_the_state_alone(tmp_path):
    loaded = LoadedModel(random_model(1, 3, [("lstm", 4)]))
    c, stream = CModel(loaded, tmp_path), loaded.stream()
    c.run(noise(3, 20))
    before, good = c.state.copy(), stream.snapshot()
    other = LoadedModel(random_model(2, 3, [("lstm", 4)])).stream().snapshot()
    stream._state[0, 0] = 2**30  # no cell can reach it
    damaged = bytearray(good)
    damaged[50] ^= 1
    assert [c.load(bytes(damaged)), c.load(other), c.load(stream.snapshot())] == [-1, -3, -4]
    np.testing.assert_array_equal(c.state, before)
    assert c.load(good) == 0


def test_it_calls_no_library_and_has_no_variables(tmp_path):
    if not shutil.which("nm"):
        pytest.skip("no nm: symbols are not looked at")
    export(LoadedModel(random_model(2, 7, [("lstm", 19), ("gru", 8), ("sigmoid", 5)])), tmp_path, "m")
    subprocess.run(
        [
            COMPILER,
            "-O2",
            "-std=c99",
            "-ffreestanding",
            "-c",
            str(tmp_path / "m.c"),
            "-o",
            str(tmp_path / "m.o"),
        ],
        check=True,
    )
    listed = subprocess.run(["nm", str(tmp_path / "m.o")], capture_output=True, text=True, check=True).stdout
    kinds = {line.split()[-1]: line.split()[-2] for line in listed.splitlines()}
    assert [name for name, kind in kinds.items() if kind == "U" and name != "_GLOBAL_OFFSET_TABLE_"] == []
    assert [name for name, kind in kinds.items() if kind in "bBdDC"] == []
    assert {name for name, kind in kinds.items() if kind == "T"} == {"m_reset", "m_step", "m_save", "m_load"}


@pytest.mark.parametrize("case", ["stacked", "gru", "gru_before"])
def test_the_sanitizers_find_nothing(case, tmp_path):
    seed, inputs, layers = MODELS[case]
    loaded = LoadedModel(random_model(seed, inputs, layers, extreme=True))
    exported = export(loaded, tmp_path, "m")
    main = "int m_selftest(void); int main(void) { return m_selftest() != 0; }"
    (tmp_path / "main.c").write_text(main)
    sources = [str(exported.folder / name) for name in ("m.c", "m_selftest.c", "main.c")]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
    built = subprocess.run(
        [COMPILER, *sanitize, *sources, "-o", str(tmp_path / "run")], capture_output=True, text=True
    )
    if built.returncode and "asan" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    subprocess.run([str(tmp_path / "run")], check=True)


def test_a_name_that_c_does_not_know_is_refused(tmp_path):
    with pytest.raises(ConversionError, match='"my model" cannot name C functions'):
        export(LoadedModel(random_model(1, 3, [("lstm", 4)])), tmp_path, "my model")
    assert not list(tmp_path.iterdir())


def test_an_operation_without_c_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.delitem(operations.TEMPLATES, operations.op.LSTM_CELL)
    with pytest.raises(
        ConversionError, match='layer "lstm_0" needs the operation "lstm_cell", which has no C yet'
    ):
        export(LoadedModel(random_model(1, 3, [("lstm", 4)])), tmp_path / "out", "m")
    assert not (tmp_path / "out").exists()
