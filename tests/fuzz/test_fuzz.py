"""Every fuzz target on its seeds and on random damage of them, briefly; fuzz.py does it for hours, guided by coverage."""

import random

import pytest
import reader_files
import seeds
import targets

ROUNDS = {
    "model": 40,
    "snapshot": 100,
    "config": 60,
    **dict.fromkeys(reader_files.MADE, 150),
    ".pt2": 6,
    ".script.pt": 20,
}
NEEDS = {**dict.fromkeys((".pt", ".script.pt", ".pt2"), pytest.mark.torch), ".tflite": pytest.mark.engines}


def damaged(chance, seed, other):
    content = bytearray(seed[: chance.randint(0, len(seed))] + other[chance.randint(0, len(other)) :])
    for _ in range(chance.randint(0, 8)):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("name", [pytest.param(name, marks=NEEDS.get(name, ())) for name in targets.TARGETS])
def test_seeds_and_what_becomes_of_them(name):
    try:
        chance, known = random.Random(name), seeds.of(name)
    except ImportError as exc:
        pytest.skip(f"{exc.name} is not installed: files of {name} cannot be made")
    for seed in known:
        targets.TARGETS[name](seed)
    for _ in range(ROUNDS.get(name, 1000)):
        targets.TARGETS[name](damaged(chance, chance.choice(known), chance.choice(known)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "sparkplug",
            b"\x02\x12\x06\x0a\x01f\x1a\x01x\x12\x05\x0a\x01f\x18\x07\x18\x00",
        ),  # times that are no number
        ("csv", b"\x00flow,ts,seq,pressure,flow\n1,2026-01-01T00:00:00Z,7,2"),  # a column twice
        ("request", b'"\xff"'),
        ("model", seeds.MODEL.read_bytes().replace(b"1 per week", b"1 pep week")),  # a budget that is none
    ],
)
def test_what_was_found_before(name, content):
    targets.TARGETS[name](content)
