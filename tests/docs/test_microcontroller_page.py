"""The table of docs/microcontroller.md is what each kind of layer takes on emulated cores. Run as a program it writes the table.

Its numbers are those of pinned compilers: by another one nothing is compared.
"""

import importlib.util
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / folder) for folder in (".", "tests", "converters", "firmware_sim")]

from c_families import FIRST_CASES  # noqa: E402
from layer_cases import integer_model, loud  # noqa: E402

from edgelstm.stream import LoadedModel  # noqa: E402
from edgelstm_converters.c_export import export  # noqa: E402
from edgelstm_firmware_sim.mcu import qemu_machine  # noqa: E402
from edgelstm_firmware_sim.mcu.build import GCC, run  # noqa: E402
from edgelstm_firmware_sim.mcu.measure import measure  # noqa: E402
from edgelstm_firmware_sim.mcu.targets import TARGETS  # noqa: E402

PAGE = ROOT / "docs" / "microcontroller.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
INPUTS, UNITS = 4, 16


def measured(case, core):
    """Return instructions of a step and bytes of flash, state and stack."""
    loaded = LoadedModel(integer_model(case, 1, INPUTS, UNITS))
    x = loud(case, 1, 70, INPUTS)
    with tempfile.TemporaryDirectory() as folder:
        exported = export(loaded, folder, "model")
        found = measure(exported.folder, TARGETS[core], x, loaded.stream().run(x))
    assert found.same_bits
    return found.instructions, found.flash, exported.state_bytes, found.stack


def table():
    lines = ["| model | " + " | ".join(f"`{core}`" for core in CORES) + " |", "|---" * (1 + len(CORES)) + "|"]
    for case in FIRST_CASES:
        cells = (" / ".join(f"{number:,}" for number in measured(case, core)) for core in CORES)
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_the_table_is_what_is_measured(core):
    """Counts and sizes within 1 %: a compiler of the same version may be built in another way."""
    if not (importlib.util.find_spec("unicorn") and importlib.util.find_spec("elftools")):
        pytest.skip("no unicorn and pyelftools: nothing is measured")
    if core == "rv32imc" and not importlib.util.find_spec("ziglang"):
        pytest.skip("no ziglang: nothing is measured")
    if core != "rv32imc" and not (shutil.which(GCC) and " 12.2." in run([GCC, "--version"])):
        pytest.skip("no GCC 12.2 for Arm: its numbers are not compared")
    if core == "cortex-m55" and not qemu_machine.available():
        pytest.skip("no qemu-system-arm: nothing is measured")
    found = TABLE.search(PAGE.read_text())
    assert found, "docs/microcontroller.md has no place for the table"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found[0].splitlines()]
    assert [row[0] for row in rows[2:]] == FIRST_CASES
    for case, *cells in rows[2:]:
        written = [int(number.replace(",", "")) for number in cells[CORES.index(core)].split("/")]
        assert measured(case, core) == pytest.approx(written, rel=0.01), case


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))
