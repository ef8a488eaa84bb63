"""The daemon as a whole: start the parts in order, watch over them, stop them in order."""

from __future__ import annotations

import gc
import hashlib
import logging
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import IO

from edgelstm import detector, sources, stream
from edgelstm.config import Config
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.publisher import Publisher
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.topics import OFFLINE, Topics, encode, info_payload
from edgelstm.daemon.watched import settings_of
from edgelstm.daemon.worker import Worker
from edgelstm.errors import ConfigError, EdgeLstmError, ModelFileError, UnavailableError
from edgelstm.mqtt_link import Link
from edgelstm.outbox import CHECKPOINT_PAGES, Outbox
from edgelstm.stream import LoadedModel

_log = logging.getLogger(__name__)
DATABASE, SNAPSHOTS, LOCK = "edgelstm.db", "snapshots", "lock"
FLUSH_S = 4.0
FIRST_CONNECT_S = 10.0
_FILTERS = "filters"


def load_models(config: Config) -> dict[str, LoadedModel]:
    """Load every model and compile the kernels.

    Raises ModelFileError naming the file, or ConfigError naming the key.
    """
    models = {}
    detector.warm_up()
    for entry in config.model:
        loaded = stream.load(entry.path)
        if entry.sha256 and hashlib.sha256(Path(entry.path).read_bytes()).hexdigest() != entry.sha256.lower():
            raise ModelFileError(f'{entry.path}: is not the file that model "{entry.name}" names by sha256')
        models[entry.name] = loaded
    for wanted in config.input:
        settings_of(wanted, models[wanted.model])
        count = len(models[wanted.model].channel_names)
        if wanted.channels and len(wanted.channels) != count:
            raise ConfigError(
                f'input "{wanted.name}": channels: names {len(wanted.channels)}, but model "{wanted.model}" has {count}: '
                f"{', '.join(models[wanted.model].channel_names)}"
            )
    return models


def _only_one(path: Path) -> IO[str]:
    """Return the locked file that says that we use its folder; raises UnavailableError where another daemon does."""
    import fcntl  # POSIX only, as the daemon is

    try:
        file = open(path, "a")  # noqa: SIM115  it stays open, and the lock with it, until the process ends
    except OSError as exc:
        raise UnavailableError(f"{path}: cannot be written: {exc.strerror}; set node.state_dir") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UnavailableError(
            f"{path.parent}: is used by another edgelstm run; give each a node.state_dir and a node.name of its own"
        ) from None
    return file


class Service:
    """One running daemon."""

    def __init__(self, config: Config) -> None:
        """Load everything that can be wrong; raises EdgeLstmError before anything is connected."""
        self.config = config
        self.models = load_models(config)
        self.counters = Counters()
        self._stop = threading.Event()
        self._started_s = time.monotonic()
        snapshots = Snapshots(config.state_dir / SNAPSHOTS)
        self._lock = _only_one(config.state_dir / LOCK)
        self._database = database = config.state_dir / DATABASE
        self._moved_pages = 0
        topics = Topics.of(config)
        self.publisher = Publisher(config, database, self.counters, self._info, self._health)
        self.worker = Worker(config, self.models, database, snapshots, self.publisher, self.counters)
        self.out_link = Link(
            config, "out", on_connected=self.publisher.connected, last_will=(topics.status, OFFLINE)
        )
        self._listens = any(entry.topics for entry in config.input)
        filters = [(topic, entry.qos) for entry in config.input for topic in entry.topics]
        self.in_link = Link(
            config,
            "in",
            on_message=self.worker.inbox.put,
            subscriptions=filters,
            forget=self._replaced(database, filters),
        )
        self.publisher.link = self.out_link
        self.sources = {
            entry.name: sources.make(entry, config.state_dir, self.worker.inbox.put)
            for entry in config.input
            if entry.source
        }

    def run(self) -> None:
        """Run until a signal or `stop`; raises EdgeLstmError where a part failed or no broker answers in time."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        gc.collect()
        gc.freeze()  # what is loaded stays; a collection that looked through the compiler would hold samples up for 30 ms
        self.out_link.start()
        self.publisher.start()
        self.worker.start()
        self.in_link.start()
        for source in self.sources.values():
            source.start()
        self._first_connect()
        _log.info(
            "event=started node=%s broker=%s models=%d",
            self.config.node_name,
            self.config.mqtt.url,
            len(self.models),
        )
        failed, log = None, Outbox(self._database)
        while not self._stop.wait(0.5) and failed is None:
            failed = self._failed_part()
            self._checkpoint(log)
            if self.sources and all(source.ended for source in self.sources.values()) and not self._listens:
                self.stop()
        log.close()
        self._shut_down()
        if failed is None and self.worker.failure is not None:
            failed = "worker"
        if failed is not None:
            raise EdgeLstmError(f"the {failed} failed and the daemon stopped; its log has the reason")

    def stop(self) -> None:
        self._stop.set()

    def _first_connect(self) -> None:
        startup = self.config.mqtt.startup
        wait_s = FIRST_CONNECT_S if startup == "exit" else 1.0
        deadline = time.monotonic() + wait_s
        while not self._stop.is_set() and time.monotonic() < deadline:
            if self.in_link.wait_connected(0.05) and self.out_link.connected:
                return
            if startup == "exit" and self.in_link.last_error:
                break
        if startup == "exit" and not self._stop.is_set():
            reason = self.in_link.last_error or self.out_link.last_error or "no answer"
            self._shut_down()
            raise UnavailableError(f"no broker at {self.config.mqtt.url}: {reason}")
        if not self._stop.is_set():
            _log.warning(
                'event=waiting broker=%s detail="trying again until it answers"', self.config.mqtt.url
            )

    def _checkpoint(self, log: Outbox) -> None:
        """Move the log to the database now and then: it takes tens of ms, for which no sample should wait."""
        written = self.worker.outbox.pages_written if self.worker.outbox else 0
        if written - self._moved_pages < CHECKPOINT_PAGES:
            return
        try:
            log.checkpoint()
            self._moved_pages = written
        except sqlite3.Error as exc:
            self.counters.complain("checkpoint_failed", str(self._database), str(exc))

    def _failed_part(self) -> str | None:
        alive = {
            "worker": self.worker.alive,
            "publisher": self.publisher.alive,
            "in-link": self.in_link.alive,
            "out-link": self.out_link.alive,
        }
        return next((name for name, lives in alive.items() if not lives), None)

    def _shut_down(self) -> None:
        """Finish the batch, write states, deliver alerts, say that we are gone."""
        _log.info("event=stopping")
        self.worker.stop()
        for source in self.sources.values():
            source.stop()
        self.in_link.stop()
        self.publisher.stop(FLUSH_S)
        self.out_link.stop((Topics.of(self.config).status, OFFLINE))
        _log.info(
            "event=stopped %s",
            " ".join(f"{name}={count}" for name, count in self.counters.snapshot().items()),
        )

    def _replaced(self, database: Path, filters: list[tuple[str, int]]) -> list[str]:
        """Return topic filters of an earlier configuration, which the broker's session for us may still hold."""
        outbox = Outbox(database)
        now = [topic for topic, _ in filters]
        before = (outbox.setting(_FILTERS) or "").split("\n")
        outbox.set_setting(_FILTERS, "\n".join(now))
        outbox.close()
        return [topic for topic in before if topic and topic not in now]

    def _info(self) -> bytes:
        return info_payload(
            self.config, {name: model.digest for name, model in self.models.items()}, len(self.worker.streams)
        )

    def _health(self) -> bytes:
        return encode(
            {
                "v": 1,
                "uptime_s": round(time.monotonic() - self._started_s, 1),
                "streams": len(self.worker.streams),
                "open_alerts": sum(
                    1 for s in list(self.worker.streams.values()) if s.detector.open_alert is not None
                ),
                "queue": len(self.worker.inbox),
                "outbox": self.publisher.waiting,
                "connected": {"in": self.in_link.connected, "out": self.out_link.connected},
                "reconnects": {"in": self.in_link.reconnects, "out": self.out_link.reconnects},
                "refused_topics": self.in_link.refused,
                "sources": {name: source.state for name, source in self.sources.items()},
                "counters": self.counters.snapshot(),
            }
        )
