"""When snapshots are written: in bursts within a budget, a little between two batches, and synced together."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edgelstm.config import DurabilityConfig
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.snapshots import Snapshots, WriteBudget

if TYPE_CHECKING:
    from edgelstm.daemon.watched import Watched

SLICE_S = 0.001


class Saving:
    """The streams whose snapshot is due; of the worker's thread.

    A file that is synced by itself costs a commit of the file system's journal, ten times what is in it. So nothing is synced
    until all of a burst are written, and then by a thread of its own: a disk that takes a second for it holds no sample up.
    What a power failure leaves unwritten before that is refused by its check sum, and the generation before is taken.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        streams: Mapping[str, Watched],
        counters: Counters,
        durability: DurabilityConfig,
    ) -> None:
        self._snapshots, self._streams, self._counters = snapshots, streams, counters
        self._wanted = durability.mode != "none"
        self._due: deque[str] = deque()
        self._budget = WriteBudget(durability.write_budget, time.monotonic())
        self._unsynced = False
        self._syncing: threading.Thread | None = None

    def __bool__(self) -> bool:
        return bool(self._due)

    def add(self, streams: Iterable[str]) -> None:
        if self._wanted:
            self._due.extend(streams)

    def discard(self, stream: str) -> None:
        """Write none of a stream that is gone."""
        if stream in self._due:
            self._due.remove(stream)

    def may(self) -> bool:
        """Whether there is anything to write now, and the budget for it."""
        return bool(self._due) and self._budget.allows(len(self._due), time.monotonic())

    def some(self) -> None:
        """Write some of what is due, within the budget: a sample must not wait for a thousand streams."""
        end_s = time.monotonic() + SLICE_S
        while time.monotonic() < end_s and self.may():
            self._one()
        if not self._due and self._unsynced and (self._syncing is None or not self._syncing.is_alive()):
            self._unsynced = False
            self._syncing = threading.Thread(target=os.sync, name="sync", daemon=True)
            self._syncing.start()

    def all(self) -> None:
        """Write what is due, whatever the budget; the caller syncs."""
        while self._due:
            self._one()

    def _one(self) -> None:
        stream = self._streams[self._due.popleft()]
        try:
            size = stream.save(self._snapshots)
        except OSError as exc:
            self._counters.complain("snapshot_failed", stream.name, exc.strerror or str(exc))
            return
        if size:
            self._unsynced = True
            self._counters.add("snapshots")
            self._budget.spend(size)
