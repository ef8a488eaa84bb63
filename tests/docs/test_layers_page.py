"""docs/layers.md names every family, and its table is what the models say. Run as a program it writes the table."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "converters")]

from layer_cases import INTEGER_CASES, Integers  # noqa: E402

from edgelstm.layers import FAMILIES  # noqa: E402
from edgelstm.model import Channel, Model, Output  # noqa: E402
from edgelstm.reference import operations as op  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402

PAGE = ROOT / "docs" / "layers.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


def table():
    lines = [
        "| layer | int8 weights | bytes of state | memory | operations a sample |",
        "|---|---|---|---|---|",
    ]
    for case, make in INTEGER_CASES.items():
        layers = make(Integers(0, False), 4, 16)
        if layers[0].name != "l":  # more than one layer is needed to show it
            continue
        model = Model(
            channels=tuple(Channel(name=f"c{n}") for n in range(4)),
            outputs=tuple(Output(name=f"y{n}", scale=1.0) for n in range(layers[0].units)),
            layers=layers[:1],
        )
        program = LoadedModel(model).program
        operations = int(program.words[op.OPERATION_COUNT]) - 2  # input and output stage
        memory = "endless" if model.memory is None else model.memory
        state = program.snapshot_bytes
        lines.append(f"| {case} | {layers[0].weight_count} | {state} | {memory} | {operations} |")
    return "\n".join(lines) + "\n"


def test_every_family_has_its_place():
    headings = " ".join(line for line in PAGE.read_text().splitlines() if line.startswith("## "))
    assert [kind for kind in FAMILIES if f"`{kind}`" not in headings] == []


def test_the_table_is_what_the_models_say():
    assert TABLE.search(PAGE.read_text())[0] == table()


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))
