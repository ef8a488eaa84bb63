"""`source = "nats:STREAM"`: samples that a NATS server keeps in a JetStream stream, each taken in exactly once.

The database is the truth about how far a stream was read: the number of the last message is committed in one transaction
with the states that it led to. So the consumer at the server is made anew at every connection, right behind that number;
acknowledgements only tell the server, and whoever asks it, how far we are. Another worker for the same part makes a
consumer of the same name its own: whoever loses it so has been replaced, and stops.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgelstm.errors import UnavailableError
from edgelstm.message import Message
from edgelstm.sources import Source

if TYPE_CHECKING:
    from edgelstm.config import Config, InputConfig

_log = logging.getLogger(__name__)
WINDOW = 2000
"""Messages on their way at the same time: beyond, nothing is asked for."""
BATCH, FETCH_S, RETRY_S, POLL_S = 500, 1.0, 1.0, 0.002
ACK_WAIT_S = 300.0


def make(
    entry: InputConfig, address: str, config: Config, on_message: Callable[[Message], None]
) -> NatsSource:
    """Return the source; raises UnavailableError where the client library is missing."""
    try:
        import nats  # noqa: F401
    except ImportError:
        raise UnavailableError(
            f'input "{entry.name}": source: nats: needs a client: pip install "edgelstm[nats]"'
        ) from None
    return NatsSource(entry, address, config, on_message)


class NatsSource(Source):
    """Takes what one subject of a JetStream stream holds, in order, behind what was `scored`.

    scored  the number of the last message that is committed; set before `start` from the database
    """

    def __init__(
        self, entry: InputConfig, stream: str, config: Config, on_message: Callable[[Message], None]
    ) -> None:
        self.state = "waiting for the server"
        self.place = f"{entry.name}/{stream}"
        self._stream, self._config, self._on_message = stream, config, on_message
        self._subject = entry.subject.replace("{shard}", str(config.shard[0]))
        self._levels = (
            entry.subject.count(".", 0, entry.subject.find("{shard}")) + 1
            if "{shard}" in entry.subject
            else 0
        )
        self._consumer = consumer_name(config, entry.name)
        self._mark = f"edgelstm {uuid.uuid4().hex}"  # tells our consumer from that of who replaces us
        self._handed = 0  # the last message that was handed on
        self._on_the_way: deque[Any] = deque()  # messages of the client, the oldest first
        self._waiting = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"nats-{entry.name}", daemon=True)

    def start(self) -> None:
        self._handed = self.scored
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        with self._lock:
            self._waiting -= len(messages)
            self.scored = messages[-1].mid

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as exc:
            self.lost = f"the thread that reads from NATS failed: {exc!r}"
            _log.exception("source=%s event=nats-failed", self.place)

    async def _work(self) -> None:
        import nats.errors
        import nats.js.errors

        while not self._stopping.is_set() and not self.lost:
            try:
                await self._session()
            except nats.js.errors.NotFoundError:
                self._tell(f'the server has no stream "{self._stream}": make one that keeps {self._subject}')
            except (nats.errors.Error, OSError, TimeoutError, ValueError) as exc:
                self._tell(f"{self._config.nats.url}: {str(exc) or type(exc).__name__}")
            end_s = time.monotonic() + RETRY_S
            while time.monotonic() < end_s and not self._stopping.is_set() and not self.lost:
                await asyncio.sleep(0.05)

    async def _session(self) -> None:
        """Connect, and hand messages on until the connection ends or somebody replaces us."""
        client = await connect(self._config, self._consumer)
        try:
            stream = client.jetstream()
            await self._make_consumer(stream)
            subscription = await stream.pull_subscribe_bind(self._consumer, self._stream)
            self._tell("reading")
            while not self._stopping.is_set() and client.is_connected:
                await self._acknowledge()
                room = WINDOW - self._waiting
                if room <= 0:
                    await asyncio.sleep(POLL_S)
                    continue
                try:
                    batch = await subscription.fetch(min(room, BATCH), timeout=FETCH_S)
                except TimeoutError:
                    if not await self._is_ours(stream):
                        return
                    continue
                self._hand_on(batch)
            await self._acknowledge()
        finally:
            await client.close()

    async def _make_consumer(self, stream: Any) -> None:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
        from nats.js.errors import NotFoundError

        kept = (await stream.stream_info(self._stream)).state
        if kept.last_seq < self._handed:
            self._warn(f"the stream was made anew: it ends at {kept.last_seq}, and we are at {self._handed}")
            self._handed = self.scored = 0
        elif kept.first_seq > self._handed + 1 and self._handed:
            self._warn(
                f"the server no longer keeps messages {self._handed + 1} to {kept.first_seq - 1}: up to so many are lost"
            )
        try:
            await stream.delete_consumer(self._stream, self._consumer)
        except NotFoundError:
            pass
        self._on_the_way.clear()
        await stream.add_consumer(
            self._stream,
            ConsumerConfig(
                durable_name=self._consumer, description=self._mark, filter_subject=self._subject,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self._handed + 1,
                ack_policy=AckPolicy.ALL, ack_wait=ACK_WAIT_S, max_ack_pending=2 * WINDOW,
            ),
        )  # fmt: skip

    async def _is_ours(self, stream: Any) -> bool:
        """Whether the consumer is still the one that we made; one that is gone is made again."""
        from nats.js.errors import NotFoundError

        try:
            found = await stream.consumer_info(self._stream, self._consumer)
        except NotFoundError:
            return False
        if found.config.description == self._mark:
            return True
        self.lost = f'another worker has taken consumer "{self._consumer}" of stream "{self._stream}" over'
        return False

    def _hand_on(self, batch: list[Any]) -> None:
        for received in batch:
            number = received.metadata.sequence.stream
            if number <= self._handed:  # sent again: it is on its way, or done
                continue
            self._handed = number
            self._on_the_way.append(received)
            with self._lock:
                self._waiting += 1
            topic = "/".join(received.subject.split(".")[self._levels :])
            arrival_ns = (
                int(received.metadata.timestamp.timestamp() * 1e6) * 1000
            )  # at the server: the same when read again
            self._on_message(Message(topic, received.data, number, 1, 0, False, arrival_ns, False, self))

    async def _acknowledge(self) -> None:
        """Tell the server of the newest message that is committed, and with it of all before."""
        newest = None
        while self._on_the_way and self._on_the_way[0].metadata.sequence.stream <= self.scored:
            newest = self._on_the_way.popleft()
        if newest is not None:
            await newest.ack()

    def _tell(self, state: str) -> None:
        if state != self.state:
            _log.info("source=%s event=nats detail=%s", self.place, state)
        self.state = state

    def _warn(self, text: str) -> None:
        _log.warning("source=%s event=nats-gap detail=%s", self.place, text)


def consumer_name(config: Config, input_name: str) -> str:
    """Return the name at the server of the consumer that reads an input."""
    name = f"edgelstm-{config.node_name}-{input_name}{config.shard_suffix}"
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


async def connect(config: Config, name: str) -> Any:
    """Return a connection, or raise what is in the way at once: by itself the client goes on trying for two minutes."""
    import nats
    from nats.errors import NoServersError

    met: list[Exception] = []

    async def note(exc: Exception) -> None:
        met.append(exc)

    try:
        return await nats.connect(
            **_options(config),
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=5,
            error_cb=note,
            name=name,
        )
    except NoServersError as exc:
        raise (met[-1] if met else exc) from None


def _options(config: Config) -> dict[str, Any]:
    """Return how to connect, with files as they are now."""
    wanted = config.nats
    options: dict[str, Any] = {"servers": [wanted.url]}
    if wanted.credentials_file:
        options["user_credentials"] = wanted.credentials_file
    if wanted.username:
        options["user"] = wanted.username
        options["password"] = Path(wanted.password_file).read_text().strip()
    if wanted.ca_file:
        options["tls"] = ssl.create_default_context(cafile=wanted.ca_file)
    return options
