"""What the daemon must not forget, in one SQLite file: messages to be published, and where every stream stands.

A batch of samples is acknowledged only after `commit` (and `sync`, where it has to survive a power failure) has
returned: its alerts, the state of its alerts and the positions of its streams are one transaction. Each thread opens an
Outbox of its own on the same file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgelstm.alert import OpenAlert
from edgelstm.errors import UnavailableError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL,
    event TEXT NOT NULL, created_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS stream (
    name TEXT PRIMARY KEY, model_digest TEXT NOT NULL, last_time_ns INTEGER, last_sequence INTEGER,
    samples INTEGER NOT NULL, open_alert BLOB, state BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
SCHEMA_VERSION = 1
_PLACE = "place "
CHECKPOINT_PAGES = 1000
"""The log is worth moving to the database after about so many pages."""
STEP_NS = 60 * 10**9
"""The clock was set where it went so much further than time has."""
DROP_ORDER = ("updated", "cleared", "raised")
"""What is given up first when the outbox is full."""


class Outgoing(NamedTuple):
    """A message to be published; `sequence` is its place in the outbox, 0 before it has one."""

    topic: str
    payload: bytes
    event: str
    sequence: int = 0


class Position(NamedTuple):
    """Where a stream stands after the samples that were acknowledged.

    samples  taken in since the stream was first seen
    state    the detector's snapshot, in strict mode only
    """

    name: str
    model_digest: str
    last_time_ns: int | None
    last_sequence: int | None
    samples: int
    open_alert: OpenAlert | None
    state: bytes | None = None


class Outbox:
    """A connection to the file; made and used by one thread."""

    def __init__(self, path: Path, max_bytes: int = 32 << 20, max_age_s: float = 7 * 86400.0) -> None:
        """Open or make the file; raises UnavailableError where that is not possible."""
        self._path = path
        self._log: int | None = None  # the write-ahead log, opened when it is first synced
        self._max_bytes, self._max_age_ns = max_bytes, int(max_age_s * 1e9)
        self.dropped = dict.fromkeys(DROP_ORDER, 0)
        self.pages_written = 0  # about so many
        self._clock_ns = _clock_ns()
        self._db = _open(path)
        self._bytes, self._oldest_ns = self._measure()

    def close(self) -> None:
        self._db.close()
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def commit(
        self, messages: Sequence[Outgoing], positions: Iterable[Position], places: Mapping[str, int] = {}
    ) -> None:
        """Write messages, positions, and how far sources were read, in one transaction: it survives the end of this process."""
        now_ns, dropped, positions = time.time_ns(), dict(self.dropped), list(positions)
        clock_ns = self._clock_ns
        self.pages_written += 2 + len(messages) + len(positions)
        try:
            with self._transaction():
                if messages:
                    self._follow_clock()
                self._db.executemany(
                    "INSERT INTO outbox (topic, payload, event, created_ns) VALUES (?, ?, ?, ?)",
                    [(message.topic, message.payload, message.event, now_ns) for message in messages],
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(*position[:5], _pack(position.open_alert), position.state) for position in positions],
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO setting VALUES (?, ?)",
                    [(_PLACE + name, str(number)) for name, number in places.items()],
                )
                if messages:
                    self._bytes += sum(len(message.payload) for message in messages)
                    self._enforce_caps(now_ns)
        except BaseException:
            self.dropped, self._clock_ns = dropped, clock_ns
            self._bytes, self._oldest_ns = self._measure()
            raise

    def checkpoint(self) -> None:
        """Move what was committed from the log to the database: slow, so not on the thread that scores or publishes."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def sync(self) -> None:
        """Wait until what was committed survives a power failure: its frames are in the write-ahead log."""
        if self._log is None:
            self._log = os.open(f"{self._path}-wal", os.O_RDONLY)
        os.fsync(self._log)

    def messages_after(self, sequence: int, limit: int) -> list[Outgoing]:
        """Return up to `limit` messages that come after `sequence`, oldest first."""
        rows = self._db.execute(
            "SELECT topic, payload, event, sequence FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (sequence, limit),
        )
        return [Outgoing(*row) for row in rows]

    def delete(self, sequences: Iterable[int]) -> None:
        """Forget messages that the broker has taken."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM outbox WHERE sequence = ?", [(sequence,) for sequence in sequences]
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing; a transaction left open would lock everybody else out."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends some by itself, as on a full disk
                self._db.execute("ROLLBACK")
            raise

    def size(self) -> tuple[int, int]:
        """Return how many messages wait, and their bytes."""
        count, size = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM outbox"
        ).fetchone()
        return count, size

    def forget_stream(self, name: str, messages: Sequence[Outgoing]) -> None:
        """Forget where a stream stands, and write its last messages, in one transaction."""
        self.commit(messages, [])
        self._db.execute("DELETE FROM stream WHERE name = ?", (name,))

    def positions(self) -> dict[str, Position]:
        """Return where every stream stood when it was last committed."""
        rows = self._db.execute(
            "SELECT name, model_digest, last_time_ns, last_sequence, samples, open_alert, state FROM stream"
        )
        return {row[0]: Position(*row)._replace(open_alert=_unpack(row[5])) for row in rows}

    def place(self, source: str) -> int:
        """Return the number of the last message of a source that was committed, 0 before the first."""
        return int(self.setting(_PLACE + source) or 0)

    def setting(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_setting(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, value))

    def _measure(self) -> tuple[int, int]:
        size, oldest = self._db.execute(
            "SELECT COALESCE(SUM(LENGTH(payload)), 0), COALESCE(MIN(created_ns), 0) FROM outbox"
        ).fetchone()
        return size, oldest

    def _enforce_caps(self, now_ns: int) -> None:
        """Drop what is too old, then, in DROP_ORDER and oldest first, what is too much."""
        if self._bytes <= self._max_bytes and now_ns - self._oldest_ns <= self._max_age_ns:
            return
        self._bytes, self._oldest_ns = self._measure()  # the publishing thread has deleted since
        for event in DROP_ORDER:
            self._drop(event, "created_ns < ?", now_ns - self._max_age_ns)
        for event in DROP_ORDER:
            while self._bytes > self._max_bytes:
                batch = "sequence IN (SELECT sequence FROM outbox WHERE event = ? ORDER BY sequence LIMIT 64)"
                if not self._drop(event, batch, event):
                    break

    def _follow_clock(self) -> None:
        """Let what waits be as old as it is after the clock was set: a gateway without one of its own begins years ago."""
        clock_ns = _clock_ns()
        step_ns, self._clock_ns = clock_ns - self._clock_ns, clock_ns
        if abs(step_ns) > STEP_NS:
            self._db.execute("UPDATE outbox SET created_ns = created_ns + ?", (step_ns,))
            self._oldest_ns += step_ns

    def _drop(self, event: str, condition: str, value: object) -> int:
        dropped = self._db.execute(
            f"DELETE FROM outbox WHERE event = ? AND {condition}", (event, value)
        ).rowcount
        self.dropped[event] += dropped
        if dropped:
            self._bytes, self._oldest_ns = self._measure()
        return dropped


def _clock_ns() -> int:
    """Return what changes only when the clock is set."""
    return time.time_ns() - time.monotonic_ns()


def _open(path: Path) -> sqlite3.Connection:
    """Open or make a database of ours; raises UnavailableError."""
    try:
        db = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    except sqlite3.Error as exc:
        raise UnavailableError(f"{path}: cannot be opened as database: {exc}") from None
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {8 * CHECKPOINT_PAGES}")  # where nobody calls `checkpoint`
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, SCHEMA_VERSION):
            raise UnavailableError(f"{path}: was written by another edgelstm (schema {found}): move it away")
        db.executescript(f"{_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
    except (sqlite3.Error, UnavailableError) as exc:
        db.close()
        if isinstance(exc, UnavailableError):
            raise
        raise UnavailableError(
            f"{path}: cannot be used as database: {exc}; move it away or fix its rights"
        ) from None
    return db


def _pack(alert: OpenAlert | None) -> bytes | None:
    return None if alert is None else msgspec.json.encode(alert)


def _unpack(packed: bytes | None) -> OpenAlert | None:
    return None if packed is None else msgspec.json.decode(packed, type=OpenAlert)
