"""Packets cut anywhere come out as the messages that they are; what is no packet ends the connection."""

import socket
import threading

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgelstm.mqtt_client import Client, Received

PING_RESPONSE = b"\xd0\x00"
RECEIVED = st.builds(
    Received,
    topic=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    payload=st.binary(max_size=300),
    mid=st.integers(1, 65_535),
    qos=st.integers(0, 1),
    retained=st.booleans(),
    repeated=st.booleans(),
)


class Socket:
    """Hands out what has arrived, and keeps what is sent."""

    def __init__(self, *chunks):
        self.chunks, self.sent = list(chunks), b""

    def recv(self, size):
        if not self.chunks:
            raise BlockingIOError
        chunk = self.chunks.pop(0)
        assert len(chunk) <= size
        return chunk

    def send(self, data):
        self.sent += data
        return len(data)

    def close(self):
        pass


def client(protocol, *chunks):
    made = Client(paho.CallbackAPIVersion.VERSION2, "", protocol=protocol, manual_ack=True)
    made._sock, made.batches = Socket(*chunks), []
    made.on_batch = lambda _, batch: made.batches.append(batch)
    return made


def text(content):
    return len(content).to_bytes(2, "big") + content


def packet(message, protocol):
    """Return the PUBLISH packet of a message, as the standard has it."""
    body = text(message.topic.encode()) + (message.mid.to_bytes(2, "big") if message.qos else b"")
    if protocol == paho.MQTTv5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("unit", "m" * 100)
        properties.MessageExpiryInterval = 60
        body += properties.pack()
    body += message.payload
    length = bytearray()
    paho.Client._pack_remaining_length(None, length, len(body))
    flags = message.retained | message.qos << 1 | message.repeated << 3
    return bytes([0x30 | flags]) + length + body


@pytest.mark.parametrize("protocol", [paho.MQTTv5, paho.MQTTv311])
@given(messages=st.lists(RECEIVED, max_size=8), chance=st.randoms())
def test_messages_come_out_as_they_were_wherever_the_stream_is_cut(protocol, messages, chance):
    stream = PING_RESPONSE.join(packet(message, protocol) for message in messages)
    cuts = sorted({0, len(stream), *(chance.randint(0, len(stream)) for _ in range(5))})
    made = client(protocol, *(stream[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)))
    while made._sock.chunks:
        assert made._packet_read() == paho.MQTT_ERR_SUCCESS
    found = [message for batch in made.batches for message in batch]
    assert found == [m if m.qos else m._replace(mid=0) for m in messages]
    assert not made._unread


def test_one_read_is_one_batch():
    message = Received("a", b"1", 1, 1, False, False)
    made = client(paho.MQTTv5, packet(message, paho.MQTTv5) * 100)
    made._packet_read()
    assert [len(batch) for batch in made.batches] == [100]


def test_acknowledgements_go_out_together():
    made = client(paho.MQTTv5)
    made.acknowledge([1, 258])
    assert made._sock.sent == b"\x40\x02\x00\x01\x40\x02\x01\x02"


@pytest.mark.parametrize(
    "stream",
    [
        b"\x30\xff\xff\xff\xff",  # a length of more than four bytes
        b"\x32\x03\x00\x09a",  # a topic that is longer than its packet
        b"\x32\x03\x00\x01a",  # no place for the message's id
        b"\x30\x04\x00\x01a\x09",  # properties that are longer than their packet
        b"\x36\x00",  # a quality of service that does not exist
        b"\xf0\x00",  # an unknown packet
    ],
)
def test_what_is_no_packet_ends_the_connection(stream):
    assert client(paho.MQTTv5, stream)._packet_read() == paho.MQTT_ERR_PROTOCOL


def test_a_connection_that_ended_is_lost():
    assert client(paho.MQTTv5, b"")._packet_read() == paho.MQTT_ERR_CONN_LOST
    assert client(paho.MQTTv5)._packet_read() == paho.MQTT_ERR_AGAIN


def test_only_a_fast_sender_is_waited_for(monkeypatch):
    now_s, pauses = [0.0], []
    monkeypatch.setattr("edgelstm.mqtt_client.time.monotonic", lambda: now_s[0])
    monkeypatch.setattr("edgelstm.mqtt_client.time.sleep", pauses.append)
    one = packet(Received("a", b"1", 1, 1, False, False), paho.MQTTv5)
    made = client(paho.MQTTv5, *[one] * 200)
    for _ in range(100):  # a thousand a second
        now_s[0] += 0.001
        made._packet_read()
    assert not pauses
    for _ in range(99):  # ten thousand a second
        now_s[0] += 0.0001
        made._packet_read()
    assert pauses
    pauses.clear()
    now_s[0] += 1.0  # a lone one after the flood
    made._packet_read()
    assert not pauses


def test_what_a_full_socket_does_not_take_is_left_to_pahos_thread_in_order():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for end in (ours, theirs):
        end.setblocking(False)
    made = client(paho.MQTTv311)
    made._sock = ours
    made._sockpairR, made._sockpairW = wake, waker = socket.socketpair()
    waker.setblocking(False)
    packets = [bytes([0x30]) + bytes([n]) * 999 for n in range(64)]
    for packet_of_ours in packets:
        assert made._packet_queue(0x30, packet_of_ours, 0, 1) == paho.MQTT_ERR_SUCCESS
    assert made.want_write(), "all of it went into a socket that holds a few"
    assert wake.recv(1 << 16), "paho's thread was not told"
    read = bytearray()
    while made.want_write():
        read += theirs.recv(1 << 20)
        made.loop_write()
    read += theirs.recv(1 << 20)
    assert read == b"".join(packets)
    for end in (ours, theirs, wake, waker):
        end.close()


def test_threads_that_publish_at_once_do_not_mix_their_packets():
    ours, theirs = socket.socketpair()
    made = client(paho.MQTTv311)
    made._sock = ours
    packets = [[bytes([0x30, thread, n]) + bytes(500) for n in range(200)] for thread in range(3)]

    def publish(mine):
        for packet_of_mine in mine:
            made._packet_queue(0x30, packet_of_mine, 0, 1)

    threads = [threading.Thread(target=publish, args=(mine,)) for mine in packets]
    read = bytearray()
    for thread in threads:
        thread.start()
    while len(read) < 3 * 200 * 503:
        read += theirs.recv(1 << 16)
    for thread in threads:
        thread.join()
    found = [bytes(read[at : at + 503]) for at in range(0, len(read), 503)]
    for number, mine in enumerate(packets):
        assert [packet for packet in found if packet[1] == number] == mine
    ours.close()
    theirs.close()
