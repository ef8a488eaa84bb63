"""The daemon as a whole: start the parts in order, watch over them, stop them in order."""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from edgelstm import detector, sources, stream
from edgelstm.backend import kernels
from edgelstm.config import Config, slug
from edgelstm.daemon import systemd
from edgelstm.daemon.changes import Changes
from edgelstm.daemon.control import LONGEST, ControlSocket, answer
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.home_assistant import node_discovery, node_topic
from edgelstm.daemon.memory import give_back_compiler
from edgelstm.daemon.model_store import PROBATION_SAMPLES, ModelStore
from edgelstm.daemon.publisher import Publisher
from edgelstm.daemon.report import Report
from edgelstm.daemon.requests import INSTALL, verbs
from edgelstm.daemon.routes import settings_of
from edgelstm.daemon.signals import Signals
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.topics import OFFLINE, ONLINE, Topics, event_payload
from edgelstm.daemon.web import Web
from edgelstm.daemon.worker import Worker
from edgelstm.errors import ConfigError, EdgeLstmError, ModelFileError, UnavailableError
from edgelstm.message import Message
from edgelstm.mqtt_link import Link
from edgelstm.outbox import CHECKPOINT_PAGES, Outbox
from edgelstm.stream import LoadedModel

_log = logging.getLogger(__name__)
DATABASE, SNAPSHOTS, LOCK = "edgelstm.db", "snapshots", "lock"
FLUSH_S = 4.0
FIRST_CONNECT_S = 10.0
BIRTH_S = (1.0, 10.0)
"""Home Assistant is told of all streams so long after its birth, at random: many nodes hear of it at once."""
MOST_REQUESTS = 4
_FILTERS = "filters"


def load_models(config: Config, active: Mapping[str, LoadedModel] | None = None) -> dict[str, LoadedModel]:
    """Load every model, but those that are `active` instead, and compile the kernels.

    Raises ModelFileError naming the file, or ConfigError naming the key.
    """
    models = {}
    detector.warm_up()
    for entry in config.model:
        loaded = active[entry.name] if active else stream.load(entry.path)
        if (
            not active
            and entry.sha256
            and hashlib.sha256(Path(entry.path).read_bytes()).hexdigest() != entry.sha256.lower()
        ):
            raise ModelFileError(f'{entry.path}: is not the file that model "{entry.name}" names by sha256')
        models[entry.name] = loaded
    not_kept = kernels().not_kept()
    if not_kept and kernels().CACHE.directory is not None:  # where there is none, it was said already
        _log.warning("event=kernels-not-kept detail=%s", not_kept)
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

    def __init__(self, config: Config, load_again: Callable[[], Config], signals: Signals) -> None:
        """Load everything that can be wrong; raises EdgeLstmError before anything is connected.

        load_again  reads the configuration anew, for a reload
        signals     are the same for the service that follows on a reload
        """
        self.config = config
        self._load_again, self._signals = load_again, signals
        self._answering = threading.Semaphore(MOST_REQUESTS)
        if kernels().TO_COMPILE:
            _log.info(
                "event=compiling: kernels, once for a machine; half a minute, on a small board some minutes"
            )
        load_models(config)  # a mistake in it is found before anything is touched
        self._stores = [ModelStore(config.state_dir, entry) for entry in config.model]
        self.counters = Counters()
        self._stop = threading.Event()
        self.started_s = time.monotonic()
        self.report = Report(self)
        snapshots = Snapshots(config.state_dir / SNAPSHOTS)
        self._lock = _only_one(config.state_dir / LOCK)
        self._notes: list[str] = []  # what is to be told of models that were rolled back
        self.models = load_models(
            config, {store.entry.name: store.load_active(self._notes) for store in self._stores}
        )
        self._database = database = config.state_dir / DATABASE
        self._moved_pages = 0
        topics = Topics.of(config)
        self.publisher = Publisher(config, database, self.counters, self.report.info, self.report.health)
        self.worker = Worker(config, self.models, database, snapshots, self.publisher, self.counters)
        self.topics = topics
        self.changes = Changes(self)
        self.changes.resume(self._notes)
        self.worker.rollouts.on_phase = self.changes.record
        self.out_link = Link(
            config,
            "out",
            on_messages=self._heard,
            on_connected=self.publisher.connected,
            last_will=(topics.status, OFFLINE),
            subscriptions=self._asked_on(),
        )
        self._listens = any(entry.topics for entry in config.input)
        filters = [(topic, entry.qos) for entry in config.input for topic in entry.topics]
        self.in_link = Link(
            config,
            "in",
            on_messages=self.worker.inbox.extend,
            subscriptions=filters,
            forget=self._replaced(database, filters),
        )
        self.publisher.link = self.out_link
        self.verbs = verbs(self)
        self.control = ControlSocket(config.control_socket, self.verbs)
        self.web = (
            Web(config.metrics.listen, self.report.metrics, self.report.stalled, self.report.trouble)
            if config.metrics.listen
            else None
        )
        self._birth_s: float | None = None  # when Home Assistant is to be told of all streams
        self._check: threading.Thread | None = None  # of a new configuration
        self._checked: Config | None = None  # what it found to be right
        self.successor: Config | None = None
        """What the next service is to begin with, None where none is to follow."""
        self.sources = {
            entry.name: sources.make(entry, config, self.worker.inbox.put)
            for entry in config.input
            if entry.source
        }

    def run(self) -> None:
        """Run until a signal or `stop`; raises EdgeLstmError where a part failed or no broker answers in time."""
        self._signals.heed(self.stop)
        gc.collect()
        gc.freeze()  # what is loaded stays; a collection that looked through the compiler would hold samples up for 30 ms
        give_back_compiler()
        self.out_link.start()
        if self.config.homeassistant.enabled:
            self.publisher.keep(node_topic(self.config), node_discovery(self.config))
        self.publisher.start()
        self.worker.start()
        self.in_link.start()
        log = Outbox(self._database)
        for source in self.sources.values():
            if source.place:
                source.scored = log.place(source.place)
            source.start()
        self.control.start()
        if self.web is not None:
            self.web.start()
        self._first_connect()
        for note in self._notes:
            self.counters.add("models_rolled_back")
            self.tell("model-rolled-back", note)
        systemd.notify("READY=1", "WATCHDOG=1", f"STATUS={self.report.trouble() or 'connected'}")
        _log.info(
            "event=started node=%s broker=%s models=%d",
            self.config.node_name,
            self.config.mqtt.url,
            len(self.models),
        )
        if self._signals.ended:  # while the service before ended
            self.stop()
        failed, lost = None, ""
        while not self._stop.wait(0.5) and failed is None:
            failed = self.report.failed_part()
            lost = next((source.lost for source in self.sources.values() if source.lost), "")
            if lost:
                self.stop()
            self._checkpoint(log)
            self._feed_watchdog()
            self._end_probations()
            self._remind_home_assistant()
            self._go_on_reloading()
            if self.sources and all(source.ended for source in self.sources.values()) and not self._listens:
                self.stop()
        log.close()
        self._shut_down()
        if failed is None and self.worker.failure is not None:
            failed = "worker"
        if lost:
            raise UnavailableError(lost)
        if failed is not None:
            raise EdgeLstmError(f"the {failed} failed and the daemon stopped; its log has the reason")

    def stop(self) -> None:
        self._stop.set()

    def reload(self) -> None:
        """Read the configuration again, soon; the one in force stays where the new one is wrong."""
        self._signals.reload.set()

    def _go_on_reloading(self) -> None:
        """Let a new configuration be checked where one was asked for; end, for the next service, where it is right."""
        if self._check is not None and self._check.is_alive():
            return
        if self._signals.reload.is_set():
            self._signals.reload.clear()
            self._checked = None
            self._check = threading.Thread(target=self._try_reload, name="reload", daemon=True)
            self._check.start()
        elif self._checked is not None:
            systemd.reloading()
            self.successor = self._checked
            self.stop()

    def _try_reload(self) -> None:
        """Check the new configuration with all that belongs to it.

        On a thread of its own: kernels that it needs and nobody did before are compiled, while the others are watched.
        """
        try:
            fresh = self._load_again()
            load_models(fresh)
        except EdgeLstmError as exc:
            self.counters.add("reloads_refused")
            self.tell("reload-refused", str(exc))
            return
        self.tell("reload", f"{len(fresh.input)} inputs, {len(fresh.model)} models")
        self._checked = fresh

    def tell(self, event: str, detail: str) -> None:
        """Say something about the daemon itself, in the log and on the event topic."""
        _log.warning("event=%s detail=%s", event, detail)
        self.out_link.publish(self.topics.event, event_payload(event, detail), qos=1)

    def _end_probations(self) -> None:
        """Confirm models that were activated, once the daemon has scored enough with them."""
        if self._stores and self.counters.snapshot().get("scored", 0) >= PROBATION_SAMPLES:
            for store in self._stores:
                store.confirm()
            self._stores = []

    def _asked_on(self) -> list[tuple[str, int]]:
        """Return the topics that others speak to us on."""
        topics = []
        if self.config.control.enabled:
            topics.append((f"{self.topics.requests}#", 1))
        if self.config.homeassistant.enabled:
            topics.append((self.config.homeassistant.status_topic, 1))
        return topics

    def _heard(self, messages: list[Message]) -> None:
        self.out_link.acknowledge(messages)
        for message in messages:
            self._heed(message)

    def _heed(self, message: Message) -> None:
        """Answer a request, or note that Home Assistant was born; called on the out-link's thread."""
        if self.config.homeassistant.enabled and message.topic == self.config.homeassistant.status_topic:
            if message.payload == ONLINE and not message.retained:
                self._birth_s = time.monotonic() + random.uniform(*BIRTH_S)
            return
        if message.retained:  # a request that was kept is nobody's wish of now
            self.counters.add("retained_requests")
            return
        verb = message.topic.removeprefix(self.topics.requests)
        longest = self.config.mqtt.max_payload if verb == INSTALL else LONGEST
        if len(message.payload) > longest:
            self.counters.add("oversize")
            return
        self.counters.add("requests")
        threading.Thread(target=self._answer, args=(verb, message.payload), daemon=True).start()

    def _answer(self, verb: str, content: bytes) -> None:
        if not self._answering.acquire(blocking=False):
            self.counters.add("requests_refused")
            return
        try:
            found = answer(self.verbs, lambda wanted: wanted in self.config.control.allow, verb, content)
            self.out_link.publish(
                self.topics.response(slug(verb) if verb not in self.verbs else verb), found, qos=1
            )
        finally:
            self._answering.release()

    def _remind_home_assistant(self) -> None:
        if self._birth_s is not None and time.monotonic() >= self._birth_s:
            self._birth_s = None
            self.publisher.keep_again(self.config.homeassistant.prefix)

    def _feed_watchdog(self) -> None:
        if not self.report.stalled():
            systemd.notify(
                "WATCHDOG=1",
                f"STATUS={self.report.trouble() or 'connected'}, {len(self.worker.streams)} streams",
            )

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

    def _shut_down(self) -> None:
        """Finish the batch, write states, deliver alerts, say that we are gone."""
        _log.info("event=stopping")
        if self.successor is None:
            systemd.notify("STOPPING=1")
        self.control.stop()
        if self.web is not None:
            self.web.stop()
        self.worker.stop()
        for source in self.sources.values():
            source.stop()
        self.in_link.stop()
        self.publisher.stop(FLUSH_S)
        if self._signals.ended:
            self.successor = None
        self.out_link.stop(None if self.successor else (self.topics.status, OFFLINE))
        self._lock.close()
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
