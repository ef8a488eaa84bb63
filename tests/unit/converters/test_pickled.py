"""A pickle read as data: every operation that picklers write, nothing called, damage told in one line."""

import collections
import io
import os
import pickle

import pytest

from edgelstm.errors import ConversionError
from edgelstm_converters.readers import pickled
from edgelstm_converters.readers.pickled import Made, Named

PLAIN = {
    "numbers": [0, -1, 255, 65535, 1 << 31, -(1 << 70), 1.5, True, False, None],
    "text": ("a", "ä" * 300, b"bytes", ()),
    "deep": {"a": {"b": [{"c": (1, (2, (3,)))}]}, 5: [[], {}]},
}


def read(content):
    return pickled.read(io.BytesIO(content), lambda asked: ("outside", asked))


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_back(protocol):
    plain = PLAIN if protocol > 2 else {**PLAIN, "text": PLAIN["text"][:2]}  # before, bytes are a call
    assert read(pickle.dumps(plain, protocol)) == plain


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_calls_are_written_down_and_not_made(protocol, tmp_path):
    class Maker:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),), {"a": 1}, iter([2, 3]), iter([("k", 4)])

    found = read(pickle.dumps(Maker(), protocol))
    assert (
        isinstance(found, Made) and found.by.endswith(".mkdir") and found.given == (str(tmp_path / "made"),)
    )
    assert (found.state, found.listed, found.items) == ({"a": 1}, [2, 3], {"k": 4})
    assert not (tmp_path / "made").exists()


def test_classes_are_names_and_ordered_dictionaries_are_dictionaries():
    found = read(pickle.dumps([collections.OrderedDict(a=1), os.path.join], 2))
    assert found[0] == {"a": 1} and isinstance(found[1], Named) and found[1].name.endswith("path.join")


def test_the_same_object_twice_is_the_same_object():
    shared = [1]
    found = read(pickle.dumps([shared, shared], 2))
    assert found[0] is found[1]


def test_what_is_outside_is_asked_for():
    class Outside(pickle.Pickler):
        def persistent_id(self, value):
            return "it" if value == "x" else None

    stream = io.BytesIO()
    Outside(stream, 2).dump(["x"])
    assert read(stream.getvalue()) == [("outside", "it")]


# ((), ()), a pair of that, and so on: 2^60 parts in some hundred bytes
_TWICE_EACH_TIME = b")" + b"2\x86" * 60

DAMAGED = {
    "a name of endless parts": (b"\x80\x04\x8c\x01a" + _TWICE_EACH_TIME + b"\x93.", "a name that is no text"),
    "a key of endless parts": (
        b"\x80\x02}" + _TWICE_EACH_TIME + b"Ns.",
        "a key is neither a number nor a text",
    ),
    "a key of endless parts in a row": (b"\x80\x02(" + _TWICE_EACH_TIME + b"Nd.", "a key is neither"),
    "a call with a list": (b"\x80\x02cos\nmkdir\n]R.", "what a class is called with is no tuple"),
    "nothing": (b"", "is damaged"),
    "no end": (b"\x80\x02]", "is damaged"),
    "an empty stack": (b"\x80\x02.", "is damaged"),
    "a memory that is none": (b"\x80\x02h\x07.", "is damaged"),
    "a key that is none": (b"\x80\x02}]]s.", "is damaged"),
    "a mark that is none": (b"\x80\x02]e.", "is damaged"),
    "an item of a number": (b"\x80\x02K\x01K\x02a.", "is damaged"),
    "a length beyond the end": (b"\x80\x02X\xff\xff\xff\x7fab.", "is damaged"),
    "an operation of old": (b"(ios\nmkdir\n.", "operation INST is none of those that torch.save writes"),
    "an operation of another kind": (b"\x80\x02\x82\x01.", "operation EXT1 is none"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_line(name):
    content, message = DAMAGED[name]
    with pytest.raises(ConversionError, match=message) as refused:
        read(content)
    assert "\n" not in str(refused.value)


def test_a_pickle_of_endless_operations_is_refused(monkeypatch):
    monkeypatch.setattr(pickled, "MOST_OPERATIONS", 100)
    with pytest.raises(ConversionError, match="a pickle of more than 100 operations: save the weights alone"):
        read(pickle.dumps(list(range(300)), 2))
