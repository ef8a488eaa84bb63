"""What was being scored when the process died, as the next process finds it."""

import json

import pytest

from edgelstm.daemon.counters import Counters
from edgelstm.daemon.suspects import DEAD_LETTERS_BYTES, Suspects
from edgelstm.message import Message


def messages(*payloads):
    return [Message("t", payload, n, 1, 1, False, 0) for n, payload in enumerate(payloads)]


def die_while_scoring(folder, batch):
    """Enter a batch and never leave it, as a process that ends does; return what the next one makes of it."""
    Suspects(folder, Counters()).entering(batch)
    return Suspects(folder, Counters())


def test_a_suspect_is_scored_alone_and_the_others_together(tmp_path):
    suspects = die_while_scoring(tmp_path, messages(b"b", b"d"))
    parts = list(suspects.apart(messages(b"a", b"a2", b"b", b"c", b"d", b"e")))
    assert [[m.payload for m in part] for part in parts] == [[b"a", b"a2"], [b"b"], [b"c"], [b"d"], [b"e"]]
    assert not any(suspects.is_dead_letter(part) for part in parts)
    for part in parts:
        suspects.acquit(part)
    assert len(list(suspects.apart(messages(b"b", b"d")))) == 1
    assert len(list(Suspects(tmp_path, Counters()).apart(messages(b"b", b"d")))) == 1


def test_the_third_death_of_one_message_makes_it_a_dead_letter(tmp_path):
    batch = messages(b"poison")
    for _ in range(2):
        assert not die_while_scoring(tmp_path, batch).is_dead_letter(batch)
    suspects = die_while_scoring(tmp_path, batch)
    assert suspects.is_dead_letter(batch)
    (line,) = (tmp_path / "dead-letters.ndjson").read_text().splitlines()
    assert json.loads(line)["payload_base64"] == "cG9pc29u"
    suspects.acquit(batch)
    assert not Suspects(tmp_path, Counters()).is_dead_letter(batch)


def test_what_was_left_is_no_suspect(tmp_path):
    suspects = Suspects(tmp_path, Counters())
    suspects.entering(messages(b"a"))
    suspects.left()
    assert list(Suspects(tmp_path, Counters()).apart(messages(b"a", b"b"))) == [messages(b"a", b"b")]
    assert list(suspects.apart([])) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": null}'])
def test_a_record_that_is_damaged_is_as_good_as_none(tmp_path, content):
    (tmp_path / "suspects.json").write_text(content)
    assert len(list(Suspects(tmp_path, Counters()).apart(messages(b"a", b"b")))) == 1


def test_the_file_of_dead_letters_is_bounded(tmp_path):
    with open(tmp_path / "dead-letters.ndjson", "wb") as file:
        file.truncate(DEAD_LETTERS_BYTES + 1)
    batch, counters = messages(b"poison"), Counters()
    for _ in range(2):
        die_while_scoring(tmp_path, batch)
    Suspects(tmp_path, Counters()).entering(batch)
    assert Suspects(tmp_path, counters).is_dead_letter(batch)
    assert counters.snapshot() == {"dead_letters": 1}
    assert (tmp_path / "dead-letters.ndjson").stat().st_size == DEAD_LETTERS_BYTES + 1
