"""One MQTT connection that looks after itself, and the owner of paho-mqtt's traps.

- An exception in a callback would end paho's thread while `is_connected()` stays true: every callback is guarded, and
  the thread's life is watched.
- A message id means nothing on the next connection: what is acknowledged carries the generation it came with. Every
  connection is a client of its own, for paho would also send again by itself what was on its way, beside what is new
  and in either order.
- PUBACKs are handed over through a queue, never handled under paho's lock, and may come before `publish` returns.
- A refused subscription is a reason code in SUBACK, and a refused message one in PUBACK: neither is an error to paho.
- A broker of MQTT 5 says how many messages may be on their way to it; paho does not look.
"""

from __future__ import annotations

import logging
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgelstm.config import DEFAULT_PORTS, Config
from edgelstm.errors import ConfigError
from edgelstm.message import Message, Origin
from edgelstm.mqtt_client import Client, Received
from edgelstm.mqtt_credentials import password, reload_tls, tls_context

_log = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 5.0
STOP_S = 1.0
STEADY_S = 10.0
MOST_ON_THE_WAY = 1000
USER_TIMEOUT_MS = 10_000
PING_TIMEOUT_S = 5.0
THROWN_OUT_S, SOON_S, MOST_THROWN_OUT = 60.0, 5.0, 6
"""Connections that end so soon after they began, and so often, look like two clients with one id."""
SESSION_TAKEN_OVER = 0x8E
NOT_WELCOME = frozenset({0x86, 0x87, 0x8A})
"""Bad user name or password, not authorised, banned; MQTT 3.1.1's codes are translated to these by paho."""


class Sent(NamedTuple):
    """What tells a message on its way from every other: the connection, and the id it has there."""

    generation: int
    mid: int


class Link(Origin):
    """Connects, and connects again with a growing, jittered pause, until it is stopped.

    generation    the number of the connection; it changes before `connected` becomes true again
    published     what the broker has taken, and whether it wants it
    on_messages   called on the link's thread with the messages of one read; it has to be quick
    on_connected  called on the link's thread after each connect, with whether the broker kept the session
    """

    def __init__(
        self,
        config: Config,
        role: str,
        *,
        on_messages: Callable[[list[Message]], None] | None = None,
        on_connected: Callable[[bool], None] | None = None,
        last_will: tuple[str, bytes] | None = None,
        subscriptions: Sequence[tuple[str, int]] = (),
        forget: Sequence[str] = (),
    ) -> None:
        self.role = role
        self.generation = 0
        self.reconnects = 0
        self.progress_s = time.monotonic()  # when the thread last did something; ahead while it rests
        self.last_error = ""
        self.refused: list[str] = []
        self.published: queue.SimpleQueue[tuple[Sent, bool]] = queue.SimpleQueue()
        self.on_published: Callable[[], None] = lambda: None
        self._config, self._mqtt = config, config.mqtt
        self._on_messages, self._on_connected = on_messages, on_connected
        self._last_will, self._subscriptions, self._forget = last_will, subscriptions, forget
        self._five = self._mqtt.protocol != "3.1.1"
        self._denied = False  # whether the broker knows us and does not want us
        self._connected_s = 0.0
        self._thrown_out: list[
            tuple[float, bool]
        ] = []  # when, and whether because somebody else took our client id
        self._reached = False  # whether something accepted our last connection, as TCP goes
        self._tls = tls_context(config)
        self._stopping, self._up, self._down = threading.Event(), threading.Event(), threading.Event()
        self._clients = 0
        self._client = self._make_client()
        self._thread = threading.Thread(target=self._keep_connected, name=f"mqtt-{role}", daemon=True)

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread that keeps the connection still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def wait_connected(self, timeout_s: float) -> bool:
        return self._up.wait(timeout_s)

    def stop(self, goodbye: tuple[str, bytes] | None = None) -> None:
        """Disconnect cleanly, after a retained `goodbye` if one is given."""
        if goodbye and self.connected:
            info = self._client.publish(*goodbye, qos=1, retain=True)
            try:
                info.wait_for_publish(STOP_S)
            except (ValueError, RuntimeError):
                pass  # the connection went away just now: the broker publishes the last will
        self._stopping.set()
        self._client.disconnect()
        self._down.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> Sent | None:
        """Hand a message to the connection; return what it will be known by, or None where there is none."""
        client = self._client
        if not self.connected:
            return None
        info = client.publish(topic, payload, qos=qos, retain=retain)
        return Sent(client.user_data_get(), info.mid) if info.rc == paho.MQTT_ERR_SUCCESS else None

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages, but those that came over a connection that is gone: they are sent again."""
        client = self._client
        generation = client.user_data_get()
        mids = [message.mid for message in messages if message.qos and message.generation == generation]
        if mids and self.connected:
            client.acknowledge(mids)

    def _make_client(self) -> Client:
        version = paho.MQTTv5 if self._five else paho.MQTTv311
        persistent = self.role == "in"
        self._clients += 1
        client = Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"{self._config.client_id}-{self.role}",
            clean_session=None if self._five else not persistent,
            protocol=version,
            userdata=self._clients,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(MOST_ON_THE_WAY)
        if self._mqtt.username:
            client.username_pw_set(self._mqtt.username, password(self._config))
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self._last_will:
            client.will_set(*self._last_will, qos=1, retain=True)
        client.on_socket_open = self._guarded(_tune_socket)
        client.on_connect = self._guarded(self._connected_now)
        client.on_disconnect = self._guarded(self._disconnected_now)
        client.on_batch = self._guarded(self._received)
        client.on_publish = self._guarded(self._published_now)
        client.on_subscribe = self._guarded(self._subscribed)
        return client

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:  # whatever it is, it must not end paho's thread
                _log.exception("link=%s event=callback-failed", self.role)

        return call

    def _keep_connected(self) -> None:
        pause_s = float(self._mqtt.reconnect_min)
        while not self._stopping.is_set():
            started_s, before = time.monotonic(), self.generation
            self._connect_once()
            if self.generation != before:
                if time.monotonic() - started_s > STEADY_S:  # else somebody may use the same client id
                    pause_s = float(self._mqtt.reconnect_min)
            elif self._reached and self._mqtt.protocol == "auto" and self.generation == 0:
                self._five = not self._five  # something answers, but not in this version of the protocol
            rest_s = self._mqtt.refused_pause if self._needs_a_person() else pause_s
            rest_s *= random.uniform(0.5, 1.0)
            self.progress_s = time.monotonic() + rest_s
            if self._stopping.wait(rest_s):
                return
            pause_s = min(pause_s * 2, self._mqtt.reconnect_max)
            self.reconnects += 1

    def _needs_a_person(self) -> bool:
        """Whether trying again soon would help nobody: wrong credentials, or another client with our id."""
        now_s = time.monotonic()
        self._thrown_out = [(at, sure) for at, sure in self._thrown_out if now_s - at < THROWN_OUT_S]
        sure = sum(1 for _, sure in self._thrown_out if sure)
        if sure >= 2 or len(self._thrown_out) >= MOST_THROWN_OUT:
            doubt = "" if sure >= 2 else "perhaps a "
            client_id = f"{self._config.client_id}-{self.role}"
            self._note_error(
                f'{doubt}duplicate client id: "{client_id}" is thrown out again and again: give each daemon a node.name of its own'
            )
            return True
        return self._denied

    def _connect_once(self) -> None:
        """Connect and stay until the connection ends, for whatever reason."""
        self._down.clear()
        self._reached = self._denied = False
        url = self._config.broker
        try:
            if self._tls is not None:
                reload_tls(self._tls, self._config)
            self._client = self._make_client()
            self._client.connect(
                url.hostname or "",
                url.port or DEFAULT_PORTS[url.scheme],
                keepalive=int(self._mqtt.keepalive),
                clean_start=(self.role == "out") if self._five else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=self._connect_properties(),
            )
        except (OSError, ValueError, ConfigError) as exc:  # the last: a password file that has gone
            self._note_error(f"{exc.strerror or exc}" if isinstance(exc, OSError) else str(exc))
            return
        self._reached = True
        self._client.loop_start()
        started = time.monotonic()
        while not self._down.wait(0.5):
            self.progress_s = time.monotonic()
            if not self.connected and time.monotonic() - started > CONNECT_TIMEOUT_S:
                self._note_error("the broker accepts connections but does not answer")
                break
            if _unanswered_s(self._client) > PING_TIMEOUT_S:
                self._note_error("connection lost: the broker does not answer a ping")
                break
            if not _loop_lives(self._client):
                self._note_error("the connection's thread ended")
                break
        self._up.clear()
        if not self._stopping.is_set():
            _close(self._client)
        self._client.loop_stop()

    def _connect_properties(self) -> Properties | None:
        if not self._five:
            return None
        properties = Properties(PacketTypes.CONNECT)
        if self.role == "in":
            properties.SessionExpiryInterval = int(self._mqtt.session_expiry)
            properties.ReceiveMaximum = self._mqtt.receive_maximum
            properties.MaximumPacketSize = self._mqtt.max_payload + 1024
        return properties

    def _connected_now(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._denied = reason.value in NOT_WELCOME
            self._note_error(f"the broker refused: {reason}")
            self._down.set()
            return
        wanted = getattr(properties, "ReceiveMaximum", MOST_ON_THE_WAY)
        client._max_inflight_messages = min(
            wanted, MOST_ON_THE_WAY
        )  # paho's setter wants it before it can be known
        self.generation = data
        self.last_error = ""
        self._connected_s = time.monotonic()
        self._up.set()
        if self._forget:
            client.unsubscribe(list(self._forget))
        if self._subscriptions:
            options = [
                (
                    topic,
                    SubscribeOptions(qos, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
                    if self._five
                    else qos,
                )
                for topic, qos in self._subscriptions
            ]
            client.subscribe(options)
        session = "kept" if flags.session_present else "new"
        _log.info(
            "link=%s event=connected protocol=%s session=%s",
            self.role,
            "5" if self._five else "3.1.1",
            session,
        )
        if self._on_connected:
            self._on_connected(flags.session_present)

    def _disconnected_now(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._up.is_set() and not self._stopping.is_set():
            now_s, sure = time.monotonic(), reason.value == SESSION_TAKEN_OVER
            if sure or now_s - self._connected_s < SOON_S:
                self._thrown_out.append((now_s, sure))
            self._note_error(f"connection lost: {reason}")
        self._up.clear()
        self._down.set()

    def _received(self, client: Client, batch: list[Received]) -> None:
        if self._on_messages is None:
            return
        generation, now_ns = client.user_data_get(), time.time_ns()
        self._on_messages([
            Message(topic, payload, mid, qos, generation, retained, now_ns + n, repeated, self)
            for n, (topic, payload, mid, qos, retained, repeated) in enumerate(batch)
        ])  # fmt: skip

    def _published_now(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        self.published.put((Sent(data, mid), not reason.is_failure))
        self.on_published()

    def _subscribed(self, client: Any, data: Any, mid: int, reasons: Any, properties: Any) -> None:
        self.refused = [
            topic
            for (topic, _), reason in zip(self._subscriptions, reasons, strict=False)
            if reason.is_failure
        ]
        taken = len(self._subscriptions) - len(self.refused)
        _log.info("link=%s event=subscribed filters=%d refused=%d", self.role, taken, len(self.refused))
        for topic in self.refused:
            _log.error(
                "link=%s event=subscription-refused topic=%s: check the broker's access rules",
                self.role,
                topic,
            )

    def _note_error(self, text: str) -> None:
        if text != self.last_error and not self._stopping.is_set():
            _log.warning(
                "link=%s event=disconnected broker=%s reason=%s", self.role, self._config.mqtt.url, text
            )
        self.last_error = text


def _tune_socket(client: Any, data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def _loop_lives(client: paho.Client) -> bool:
    thread = client._thread
    return thread is not None and thread.is_alive()


def _unanswered_s(client: paho.Client) -> float:
    """Return how long a ping has been waiting for its answer: paho itself waits a whole keepalive."""
    sent_s = client._ping_t
    return time.monotonic() - sent_s if sent_s > 0 else 0.0


def _close(client: paho.Client) -> None:
    sock = client.socket()
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already
