"""Messages that were being scored when the process died: tried again one by one, and put aside after three deaths.

Before a batch is scored, the digests of its messages are written to a file that is mapped into memory: it outlives this
process, however that ends, and costs no system call. At the next start they are suspects. Each is scored in a batch of its
own, so that at the second death it is clear which one it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgelstm.daemon.counters import Counters
from edgelstm.daemon.inbox import LARGEST_BATCH
from edgelstm.message import Message

_log = logging.getLogger(__name__)
MOST_DEATHS = 3
DEAD_LETTERS_BYTES = 16 << 20
"""Beyond so many bytes, dead letters are counted but not kept."""
_DIGEST = 16


class Suspects:
    """Remembers, over a crash, what was being scored; made and used by the worker's thread."""

    def __init__(self, folder: Path, counters: Counters, mapped: Path | None = None) -> None:
        """Count the deaths of what was being scored when the process before ended; raises OSError.

        mapped  the folder of the file in memory, where it is another
        """
        scoring = (mapped or folder) / "scoring"
        self._counters = counters
        self._dead_letters = folder / "dead-letters.ndjson"
        self._record = folder / "suspects.json"
        self._deaths = _read(self._record)
        size = _DIGEST * (LARGEST_BATCH + 1)
        with open(scoring, "ab") as file:  # written, not only sized: a hole that cannot be filled kills us
            file.write(bytes(max(0, size - file.tell())))
        with open(scoring, "r+b") as file:
            self._scoring = mmap.mmap(file.fileno(), 0)
        count = int.from_bytes(self._scoring[:4], "little")
        for number in range(1, min(count, LARGEST_BATCH) + 1):
            digest = self._scoring[number * _DIGEST : (number + 1) * _DIGEST].hex()
            self._deaths[digest] = self._deaths.get(digest, 0) + 1
        if count:
            _log.warning("event=died-while-scoring messages=%d", count)
            self._write()
        self.left()

    def apart(self, batch: list[Message]) -> Iterator[list[Message]]:
        """Yield the batch in parts to be scored one after the other: suspects alone, everything else together."""
        if not self._deaths:
            if batch:
                yield batch
            return
        together: list[Message] = []
        for message in batch:
            if _digest(message) not in self._deaths:
                together.append(message)
                continue
            if together:
                yield together
                together = []
            yield [message]
        if together:
            yield together

    def is_dead_letter(self, batch: Sequence[Message]) -> bool:
        """Whether this batch is one message that has ended the process too often; then it is put aside and counted."""
        if not self._deaths or len(batch) != 1:
            return False
        deaths = self._deaths.get(_digest(batch[0]), 0)
        if deaths < MOST_DEATHS:
            return False
        self._counters.complain(
            "dead_letters", batch[0].topic, f"the process ended {deaths} times while scoring it"
        )
        self._keep(batch[0], deaths)
        return True

    def entering(self, batch: Sequence[Message]) -> None:
        """Write down what is about to be scored."""
        digests = b"".join(hashlib.blake2b(m.payload, digest_size=_DIGEST).digest() for m in batch)
        self._scoring[_DIGEST : _DIGEST + len(digests)] = digests
        self._scoring[:4] = len(batch).to_bytes(4, "little")

    def left(self) -> None:
        """Write down that nothing is being scored."""
        self._scoring[:4] = bytes(4)

    def acquit(self, batch: Sequence[Message]) -> None:
        """Forget a suspect that was scored, committed and did no harm."""
        if self._deaths and len(batch) == 1 and self._deaths.pop(_digest(batch[0]), None) is not None:
            self._write()

    def close(self) -> None:
        self._scoring.close()

    def _keep(self, message: Message, deaths: int) -> None:
        line = {
            "time": time.time(),
            "topic": message.topic,
            "payload_base64": base64.b64encode(message.payload).decode(),
            "deaths": deaths,
        }
        try:
            if self._dead_letters.exists() and self._dead_letters.stat().st_size > DEAD_LETTERS_BYTES:
                return
            with open(self._dead_letters, "a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as exc:
            _log.warning("event=dead-letter-not-kept reason=%s", exc.strerror)

    def _write(self) -> None:
        new = self._record.with_suffix(".new")
        try:
            new.write_text(json.dumps(self._deaths))
            os.replace(new, self._record)
        except OSError as exc:
            _log.warning("event=suspects-not-kept reason=%s", exc.strerror)


def _digest(message: Message) -> str:
    return hashlib.blake2b(message.payload, digest_size=_DIGEST).hexdigest()


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text())
        return {str(digest): int(deaths) for digest, deaths in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
