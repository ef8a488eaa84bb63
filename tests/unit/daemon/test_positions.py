"""Positions in mapped memory: what the next process reads, and what it does not believe."""

import pytest

from edgelstm.daemon.positions import MappedPositions, lasting_folder
from edgelstm.daemon.snapshots import BLOCK, DAY_S, WriteBudget
from edgelstm.outbox import Position

DIGEST = "ab" * 32


def position(name="s", samples=10, time_ns=1_000, sequence=5, digest=DIGEST):
    return Position(name, digest, time_ns, sequence, samples, None)


def after(path, *written, **known):
    """Return what is known after a process that wrote positions, and died."""
    before = MappedPositions(path)
    for one in written:
        before.write(one)
    return MappedPositions(path).merged(known)


def test_the_newest_position_is_found_again(tmp_path):
    newest = position(samples=12, time_ns=3_000, sequence=None)
    assert after(tmp_path / "p", position(), newest, s=position(samples=2)) == {"s": newest}


def test_streams_have_records_of_their_own_and_there_is_room_for_more(tmp_path):
    written = [position(f"s{n}", samples=n, time_ns=None if n % 2 else n) for n in range(3000)]
    known = {one.name: one._replace(samples=0) for one in written}
    assert after(tmp_path / "p", *written, **known) == {one.name: one for one in written}


def test_what_is_older_or_of_another_model_is_not_taken(tmp_path):
    newer, other = position(samples=11), position("t", samples=99, digest="cd" * 32)
    assert after(tmp_path / "p", position(), other, s=newer, t=position("t")) == {
        "s": newer,
        "t": position("t"),
    }


@pytest.mark.parametrize("at", [0, 9, 20, 35])
def test_a_record_that_was_being_written_is_not_believed(tmp_path, at):
    after(tmp_path / "p", position())
    content = bytearray((tmp_path / "p").read_bytes())
    content[at] ^= 0x40
    (tmp_path / "p").write_bytes(content)
    assert after(tmp_path / "p", s=position(samples=2)) == {"s": position(samples=2)}


def test_nothing_is_left_once_it_is_in_the_database(tmp_path):
    after(tmp_path / "p", position())
    MappedPositions(tmp_path / "p").clear()
    assert after(tmp_path / "p", s=position(samples=2)) == {"s": position(samples=2)}


def test_daemons_that_are_given_one_folder_in_memory_do_not_meet_there(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert lasting_folder(tmp_path / "a") == tmp_path / "a"
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    first, second = lasting_folder(tmp_path / "a"), lasting_folder(tmp_path / "b")
    assert first == lasting_folder(tmp_path / "a") and first != second
    assert first.is_dir() and first.stat().st_mode & 0o777 == 0o700


def test_a_budget_is_spent_in_a_row_and_saved_up_again():
    budget = WriteBudget(100 * BLOCK, 0.0)  # ten files can be saved up for
    for n in range(10):
        assert budget.allows(30 - n, 0.0)
        budget.spend(BLOCK)
    assert not budget.allows(20, 0.0)
    assert not budget.allows(20, 0.09 * DAY_S)  # nine files' worth, of the ten that can be
    assert budget.allows(20, 0.11 * DAY_S)
    budget.spend(BLOCK)
    assert budget.allows(19, 0.11 * DAY_S)
    assert WriteBudget(0, 0.0).allows(10**9, 0.0)


def test_a_few_files_need_not_wait_for_what_many_would():
    budget = WriteBudget(100 * BLOCK, 0.0)
    budget.spend(10 * BLOCK)
    assert not budget.allows(1, 0.0)
    assert budget.allows(1, 0.011 * DAY_S)
