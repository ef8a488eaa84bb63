"""paho-mqtt's client, taking in all that has arrived with one system call, and acknowledging many messages with one.

paho reads a packet with three calls and builds its properties, which nobody here looks at; that is most of what a message
costs. Only PUBLISH at QoS 0 and 1 is read here: every other packet goes to paho as it always did.

What is published or acknowledged is written by the thread that says it, where paho would wake its own thread for it.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import paho.mqtt.client as paho

READ_BYTES = 1 << 16
LINGER_S = 0.001
BUSY_PER_S, MEMORY_S = 4000.0, 0.01
"""Above this rate, over about so long, a read waits for LINGER_S: packets that come one by one are taken in together."""
_PUBLISH, _PUBACK = 0x30, 0x40


class Received(NamedTuple):
    """A message as it came."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retained: bool
    repeated: bool


class Malformed(Exception):
    """The broker sent what is no packet."""


class Client(paho.Client):
    """A client whose `on_batch` gets the messages of one read, in order, on the client's thread.

    It has to acknowledge them, with `acknowledge`, and to be made with `manual_ack`.
    """

    on_batch: Callable[[Client, list[Received]], None]

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self._unread = bytearray()
        self._recent, self._read_s = 0.0, 0.0  # messages of the last MEMORY_S, and when the last were read
        self._writing = threading.RLock()

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1, on this connection."""
        packets = b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)
        self._packet_queue(_PUBACK, packets, 0, 1)

    def _packet_queue(
        self, command: int, packet: bytes | bytearray, mid: int, qos: int, info: object = None
    ) -> paho.MQTTErrorCode:
        """Write a message or its acknowledgement now; what cannot be written now is left to paho's thread.

        A TLS connection must not be read and written by two threads, so there all is left to it.
        """
        if command & 0xF0 not in (_PUBLISH, _PUBACK) or isinstance(self._sock, ssl.SSLSocket | None):
            return super()._packet_queue(command, packet, mid, qos, info)
        self._out_packet.append(
            {"command": command, "mid": mid, "qos": qos, "pos": 0, "to_process": len(packet), "packet": packet, "info": info}
        )  # fmt: skip
        if self._packet_write() != paho.MQTT_ERR_SUCCESS or self._out_packet:
            self._wake()
        return paho.MQTT_ERR_SUCCESS

    def _wake(self) -> None:
        try:
            if self._sockpairW is not None:
                self._sockpairW.send(b"0")
        except BlockingIOError:
            pass  # it has been woken as often as it can be

    def _packet_write(self) -> paho.MQTTErrorCode:
        with self._writing:
            return super()._packet_write()

    def _packet_read(self) -> paho.MQTTErrorCode:
        """Read what there is; paho calls this where its socket is readable."""
        if self._recent > BUSY_PER_S * MEMORY_S:
            if time.monotonic() - self._read_s < LINGER_S:
                time.sleep(LINGER_S)
            else:
                self._recent = 0.0
        try:
            chunk = self._sock_recv(READ_BYTES)
        except BlockingIOError:
            return paho.MQTT_ERR_AGAIN
        except OSError:
            return paho.MQTT_ERR_CONN_LOST
        if not chunk:
            return paho.MQTT_ERR_CONN_LOST
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()
        self._unread += chunk
        try:
            return self._take_packets()
        except Malformed:
            return paho.MQTT_ERR_PROTOCOL

    def _take_packets(self) -> paho.MQTTErrorCode:
        data, at, messages = self._unread, 0, []
        five, code = self._protocol == paho.MQTTv5, paho.MQTT_ERR_SUCCESS
        while at < len(data) and code == paho.MQTT_ERR_SUCCESS and self._sock is not None:
            first, end = span_at(data, at + 1)
            if end > len(data):
                break
            command = data[at]
            if command & 0xF0 == _PUBLISH and command & 0x04 == 0:
                messages.append(publish_of(command, data, first, end, five=five))
            else:
                code = self._leave_to_paho(command, data[first:end])
            at = end
        del data[:at]
        self._note_rate(len(messages))
        if messages:
            self.on_batch(self, messages)
        return code

    def _leave_to_paho(self, command: int, body: bytearray) -> paho.MQTTErrorCode:
        packet = self._in_packet
        packet["command"], packet["packet"], packet["pos"] = command, body, 0
        packet["remaining_length"] = len(body)
        try:
            return self._packet_handle()
        except paho.MalformedPacket:
            return paho.MQTT_ERR_PROTOCOL
        finally:
            packet["command"], packet["packet"] = 0, bytearray()

    def _note_rate(self, count: int) -> None:
        now_s = time.monotonic()
        kept = max(0.0, 1.0 - (now_s - self._read_s) / MEMORY_S)
        self._recent, self._read_s = self._recent * kept + count, now_s


def span_at(data: bytearray, at: int) -> tuple[int, int]:
    """Return where the bytes begin and end whose count is written at `at`; the end is beyond `data` if some are missing.

    Raises Malformed where the count has more than four bytes.
    """
    length = 0
    for number, byte in enumerate(data[at : at + 4]):
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            first = at + number + 1
            return first, first + length
    if len(data) >= at + 4:
        raise Malformed
    return at, len(data) + 1


def publish_of(command: int, data: bytearray, first: int, end: int, *, five: bool) -> Received:
    """Return the message of a PUBLISH packet whose body is `data[first:end]`; raises Malformed."""
    at = topic_end = first + 2 + int.from_bytes(data[first : first + 2], "big")
    qos, mid = command >> 1 & 3, 0
    if qos:
        mid = int.from_bytes(data[at : at + 2], "big")
        at += 2
    if five:
        _, at = span_at(data, at)  # past the properties
    if at > end:
        raise Malformed
    topic = data[first + 2 : topic_end].decode("utf-8", "replace")
    return Received(topic, bytes(data[at:end]), mid, qos, bool(command & 1), bool(command & 8))
