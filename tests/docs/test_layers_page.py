"""docs/layers.md names every family, and its table is what the models say. Run as a program it writes the table."""

import dataclasses
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "converters")]

import pytest  # noqa: E402
from layer_cases import INTEGER_CASES, Integers  # noqa: E402

from edgelstm.layers import FAMILIES  # noqa: E402
from edgelstm.layers.graph import memory_of, multiply_adds_of  # noqa: E402
from edgelstm.model import Channel, Model, Output  # noqa: E402
from edgelstm.reference import operations as op  # noqa: E402
from edgelstm.stream import LoadedModel  # noqa: E402

INPUTS, UNITS = 4, 16
PAGE = ROOT / "docs" / "layers.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


def model_of(layers):
    return Model(
        channels=tuple(Channel(name=f"c{n}", offset=4.0, gain=2.0**12) for n in range(INPUTS)),
        outputs=tuple(Output(name=f"y{n}", scale=1.0) for n in range(layers[-1].units)),
        layers=layers,
    )


def program_of(layers):
    """Bytes of state, and operations of a sample, of the layers up to one; none for none."""
    if not layers:
        return 0, 2  # input and output stage
    program = LoadedModel(model_of(layers)).program
    return program.snapshot_bytes, int(program.words[op.OPERATION_COUNT])


def table():
    lines = [
        "| layer | int8 weights | multiply-adds a sample | bytes of state | latency | memory | operations |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, make in INTEGER_CASES.items():
        layers = make(Integers(0, False), INPUTS, UNITS)
        place = [layer.name for layer in layers].index("l")
        layer = layers[place]
        before, after = program_of(layers[:place]), program_of(layers[: place + 1])
        state, operations = (b - a for a, b in zip(before, after, strict=True))
        alone = dataclasses.replace(layer, sources=(), when="")
        memory = memory_of([alone], ("l",))
        adds = model_of(layers[: place + 1]).multiply_adds["l"]
        lines.append(
            f"| {case} | {layer.weight_count} | {adds:.0f} | {state} | {layer.latency} | "
            f"{'endless' if memory is None else memory} | {operations} |"
        )
    return "\n".join(lines) + "\n"


def test_every_family_has_its_place():
    headings = " ".join(line for line in PAGE.read_text().splitlines() if line.startswith("## "))
    assert [kind for kind in FAMILIES if f"`{kind}`" not in headings] == []


def sections():
    """Name of a family to the text of its section; several may share one."""
    parts = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {kind: part for part in parts for kind in re.findall(r"`(\w+)`", part.splitlines()[0])}


def facts(kind):
    """What the page says of a family: bytes of state, multiply-adds, latency, as expressions of Python."""
    found = re.findall(
        r"^    (?:(\w+) +)?state (.+?) bytes {5}cost (.+?) {5}latency (.+)$", sections()[kind], re.MULTILINE
    )
    (said,) = [rest for name, *rest in found if name in ("", kind)]
    return [re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", each) for each in said]


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_section_has_all_that_is_promised(kind):
    text = sections()[kind]
    assert len(facts(kind)) == 3
    assert re.search(r"\b(19|20)\d\d\b", text) or kind in NO_PAPER
    assert "Refused" in text


NO_PAPER = ("concat", "select", "multiply", "masking", "window")
CHANNELS, BOTH = {"i": INPUTS}, {"i": INPUTS, "u": UNITS}
STATED = {
    "lstm": BOTH, "gru": BOTH, "gru before": BOTH, "rnn": BOTH, "dense linear": BOTH, "affine": CHANNELS, "concat": CHANNELS, "select": CHANNELS, "add": CHANNELS, "multiply": CHANNELS,
    "conv1d": {**BOTH, "taps": 3, "d": 1, "stride": 1}, "conv1d dilated": {**BOTH, "taps": 2, "d": 3, "stride": 1},
    "pool max": {**CHANNELS, "window": 4}, "normalization layer": CHANNELS, "embedding": CHANNELS, "curve": CHANNELS, "masking": CHANNELS, "window": {**CHANNELS, "n": 6, "hop": 1, "lookahead": 0},
    "attention": {"window": 5, "k": 4, "v": 4, "weights": 0}, "attention heads": {"window": 6, "k": 32, "v": 4, "weights": 272},
    "attention additive": {"window": 7, "k": 5, "v": 16, "weights": 100}, "clockwork": {"u": UNITS, "groups": 3},
    "variational": {"runs": 5}, "conv_lstm": {"i": 2, "f": 2, "k": 3, "p": 12}, "sequence": {}, "decoder": {"steps": 6},
}  # fmt: skip
"""Cases with the sizes that their section's expressions speak of; `inside` is what the layers inside have and cost."""


def test_every_family_is_compared():
    assert {case.split()[0] for case in STATED} == set(FAMILIES)


@pytest.mark.parametrize("case", STATED)
def test_what_a_section_says_is_what_the_layer_has(case):
    layers = INTEGER_CASES[case](Integers(0, False), INPUTS, UNITS)
    (place,) = (number for number, layer in enumerate(layers) if layer.name == "l")
    layer, sizes = layers[place], STATED[case]
    inside = getattr(layer, "layers", ())
    width = layer.width if case == "decoder" else INPUTS
    kept = program_of(inside)[0] if case in ("variational", "sequence") else 0
    state, cost, latency = facts(layer.kind)
    found = program_of(layers[: place + 1])[0] - program_of(layers[:place])[0]
    assert eval(state, {}, sizes | {"inside": kept}) == found
    assert eval(latency, {}, dict(sizes)) == layer.latency
    adds = model_of(layers[: place + 1]).multiply_adds["l"]
    if case == "clockwork":  # in words
        first, terms = 0, []
        for size, period in zip(layer.sizes, layer.periods, strict=True):
            terms.append(size * (INPUTS + UNITS - first) / period)
            first += size
        assert adds == pytest.approx(sum(terms))
        return
    inner = sum(multiply_adds_of(inside, width).values()) if inside else 0
    assert eval(cost, {}, sizes | {"inside": inner}) == adds


def test_the_table_is_what_the_models_say():
    assert TABLE.search(PAGE.read_text())[0] == table()


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))
