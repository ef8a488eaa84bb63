"""The database: what is committed is there again, whatever ended the process, and no more than the caps allow."""

import contextlib
import sqlite3
import time

import pytest

from edgelstm.alert import OpenAlert
from edgelstm.errors import UnavailableError
from edgelstm.outbox import Outbox, Outgoing, Position

OPEN = OpenAlert(
    opened_ns=5, peak_score=9.5, samples=3, severity="critical",
    announced_ns=5, announced_peak=9.5, announced_severity="critical",
)  # fmt: skip


@pytest.fixture
def open_outbox(tmp_path):
    """Open the same file again and again, as processes do one after the other."""
    opened = []

    def make(**caps):
        opened.append(Outbox(tmp_path / "db", **caps))
        return opened[-1]

    yield make
    for outbox in opened:
        outbox.close()


def position(name="a", samples=1, alert=None, state=None):
    return Position(name, "digest", 123, 4, samples, alert, state)


def test_messages_and_positions_come_back(open_outbox):
    outbox = open_outbox()
    outbox.commit(
        [Outgoing("t", b"1", "raised"), Outgoing("t", b"2", "cleared")], [position(alert=OPEN, state=b"xyz")]
    )
    outbox.commit([Outgoing("t", b"3", "raised")], [position(samples=2), position("b")])
    outbox.sync()
    again = open_outbox()  # as after kill -9: the first was never closed
    found = again.messages_after(0, 10)
    assert [(m.payload, m.event) for m in found] == [(b"1", "raised"), (b"2", "cleared"), (b"3", "raised")]
    assert [m.payload for m in again.messages_after(found[0].sequence, 1)] == [b"2"]
    assert again.positions() == {"a": position(samples=2), "b": position("b")}
    again.delete([found[1].sequence])
    assert [m.payload for m in outbox.messages_after(0, 10)] == [b"1", b"3"]
    assert outbox.size() == (2, 2)


def test_an_open_alert_and_a_state_survive(open_outbox):
    open_outbox().commit([], [position(alert=OPEN, state=b"\x00\xff")])
    assert open_outbox().positions()["a"] == position(alert=OPEN, state=b"\x00\xff")


def test_a_failed_commit_leaves_nothing(open_outbox):
    outbox = open_outbox()
    with pytest.raises(sqlite3.Error):
        outbox.commit([Outgoing("t", b"1", "raised"), Outgoing("t", None, "raised")], [])
    assert outbox.size() == (0, 0)
    outbox.commit([Outgoing("t", b"1", "raised")], [])
    assert outbox.size() == (1, 1)


def test_too_much_is_dropped_in_order_and_counted(open_outbox):
    outbox = open_outbox(max_bytes=1000)
    for number in range(30):
        event = ("raised", "updated", "cleared")[number % 3]
        outbox.commit([Outgoing("t", bytes(100), event)], [])
    count, size = outbox.size()
    assert size <= 1000
    assert outbox.dropped["updated"] == 10  # all of them went before anything else
    assert outbox.dropped["cleared"] > 0
    assert count == 30 - sum(outbox.dropped.values())
    assert {m.event for m in outbox.messages_after(0, 100)} <= {"raised", "cleared"}


def test_what_is_too_old_is_dropped(open_outbox):
    outbox = open_outbox(max_age_s=0.05)
    outbox.commit([Outgoing("t", b"old", "raised")], [])
    time.sleep(0.1)
    outbox.commit([Outgoing("t", b"new", "raised")], [])
    assert [m.payload for m in outbox.messages_after(0, 10)] == [b"new"]
    assert outbox.dropped["raised"] == 1


def test_a_commit_that_fails_takes_its_drops_back(open_outbox, monkeypatch):
    outbox = open_outbox(max_bytes=1000)
    outbox.commit([Outgoing("t", bytes(900), "updated")], [])
    enforce = outbox._enforce_caps

    def enforce_and_fail(now_ns):
        enforce(now_ns)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(outbox, "_enforce_caps", enforce_and_fail)
    with pytest.raises(sqlite3.OperationalError):
        outbox.commit([Outgoing("t", bytes(900), "raised")], [])
    assert outbox.dropped == {"updated": 0, "cleared": 0, "raised": 0}
    assert outbox.size() == (1, 900)


def test_a_delete_that_fails_locks_nobody_out(open_outbox):
    publishing, scoring = open_outbox(), open_outbox()
    scoring.commit([Outgoing("t", b"1", "raised")], [])
    with pytest.raises(sqlite3.Error):
        publishing.delete([1, object()])
    scoring.commit([Outgoing("t", b"2", "raised")], [])
    publishing.delete([1])
    assert [m.payload for m in scoring.messages_after(0, 10)] == [b"2"]


def test_a_full_disk_is_an_error_and_then_over(open_outbox):
    outbox = open_outbox()
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        outbox.commit([Outgoing("t", bytes(100_000), "raised")], [position()])
    assert outbox.positions() == {}
    outbox._db.execute("PRAGMA max_page_count = 100000")
    outbox.commit([Outgoing("t", bytes(100_000), "raised")], [position()])
    assert outbox.size() == (1, 100_000)


def test_settings(open_outbox):
    outbox = open_outbox()
    assert outbox.setting("filters") is None
    outbox.set_setting("filters", "a\nb")
    outbox.set_setting("filters", "c")
    assert open_outbox().setting("filters") == "c"


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(
        UnavailableError, match=r"db: cannot be used as database: file is not a database; move it away"
    ):
        Outbox(tmp_path / "db")


def test_a_database_of_another_version(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(UnavailableError, match="schema 9"):
        Outbox(tmp_path / "db")
