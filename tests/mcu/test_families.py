"""Every family of the table in C: over a recording the bits and snapshots of the twin, on this machine and on emulated cores."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from c_families import CUT, FIRST_CASES
from layer_cases import INTEGER_CASES

from c_code import COMPILER, WARNINGS, assert_same_bits, build_program, links, run_program
from edgelstm.layers import FAMILIES
from edgelstm.reference import operations as op
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import operations
from edgelstm_firmware_sim.mcu import qemu_machine
from edgelstm_firmware_sim.mcu.build import BuildError, build_image, build_shared, compiler_for
from edgelstm_firmware_sim.mcu.targets import TARGETS
from edgelstm_firmware_sim.mcu.unicorn_core import UnicornCore

compiled = pytest.mark.skipif(COMPILER is None, reason="no C compiler: exported C is not compiled")
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]

NOT_EXPORTED: dict[str, str] = {}
"""Kinds that have no C, and what export says of them. There are none."""

FAST_CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")


def slow_unless(fast, *values):
    return pytest.param(*values, marks=[] if fast else pytest.mark.slow, id="-".join(values))


def test_every_kind_and_every_operation_has_c_or_a_refusal():
    assert {case.split()[0] for case in INTEGER_CASES} | set(NOT_EXPORTED) == set(FAMILIES)
    kinds = {
        op.SELDOM[kind][1] if kind in op.SELDOM else kind for kind in range(op.FIRST_SELDOM + len(op.SELDOM))
    }
    assert len(kinds) == op.FIRST_SELDOM + len(op.SELDOM)
    assert set(range(len(kinds))) - {op.LSTM_LAYER} <= set(
        operations.TEMPLATES
    )  # lowering makes products and a cell of it


@compiled
@pytest.mark.parametrize("extreme", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", INTEGER_CASES)
def test_on_this_machine_with_warnings_as_errors_and_sanitizers(case, extreme, family):
    made = family(case, extreme)
    program = build_program(
        made.exported, COMPILER, *WARNINGS, *(SANITIZE if links([COMPILER, *SANITIZE]) else ["-O1"])
    )
    outputs = made.loaded.outputs
    y, snapshot = run_program(program, made.x[:CUT], outputs)
    assert_same_bits(y, made.y[:CUT])
    assert snapshot == made.snapshots[0]
    y, snapshot = run_program(program, made.x[CUT:], outputs, resume=snapshot)
    assert_same_bits(y, made.y[CUT:])
    assert snapshot == made.snapshots[1]


@compiled
@pytest.mark.parametrize("case", [slow_unless(case in FIRST_CASES, case) for case in INTEGER_CASES])
def test_as_a_library_of_this_machine(case, family):
    made = family(case)
    library = build_shared(made.exported.folder, "host", made.exported.folder / "model.so")
    stream = LoadedModel(made.loaded.model, library=library).stream()
    assert_same_bits(stream.run(made.x[:CUT]), made.y[:CUT])
    assert stream.snapshot() == made.snapshots[0]
    stream.reset()
    stream.restore(made.snapshots[0])
    assert_same_bits(stream.run(made.x[CUT:]), made.y[CUT:])
    assert stream.snapshot() == made.snapshots[1]


CORES = [
    slow_unless(case in FIRST_CASES and name in FAST_CORES, case, name)
    for case in INTEGER_CASES
    for name in TARGETS
]


@pytest.mark.parametrize(("case", "name"), CORES)
def test_on_an_emulated_core(case, name, family, tmp_path):
    target = TARGETS[name]
    try:
        compiler_for(target)
    except BuildError as missing:
        pytest.skip(str(missing))
    on_core = _in_unicorn if target.unicorn else _in_qemu
    found, snapshots = on_core(family(case), target, tmp_path)
    assert_same_bits(found, family(case).y)
    assert snapshots == family(case).snapshots


def _in_unicorn(made, target, work):
    for module in ("unicorn", "elftools"):
        if not importlib.util.find_spec(module):
            pytest.skip(
                "no unicorn and pyelftools (pip install 'edgelstm[mcu]'): nothing runs on emulated cores"
            )
    image = build_image(made.exported.folder, target, "bench", work, snapshots=True)
    first, then = UnicornCore(image), UnicornCore(image)
    rows = [first.step(row) for row in made.x[:CUT]]
    snapshots = [first.save()]
    assert then.load(snapshots[0]) == 0
    rows += [then.step(row) for row in made.x[CUT:]]
    return np.array(rows), (snapshots[0], then.save())


def _in_qemu(made, target, work):
    if not qemu_machine.available():
        pytest.skip("no qemu-system-arm (apt install qemu-system-arm): no Cortex-M55")
    image = build_image(made.exported.folder, target, "semihosted", work, snapshots=True)
    first = qemu_machine.run_samples(image, made.x[:CUT], made.loaded.outputs)
    then = qemu_machine.run_samples(image, made.x[CUT:], made.loaded.outputs, resume=first.snapshot)
    return np.vstack([first.outputs, then.outputs]), (first.snapshot, then.snapshot)


def test_the_page_lists_every_kind():
    page = (Path(__file__).parents[2] / "docs" / "microcontroller.md").read_text()
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert [kind for kind in FAMILIES if f"`{kind}`" not in rows] == []
