"""Brokers of either version of the protocol, and what is said to those that let nobody in."""

import contextlib
import socket
import subprocess
import sys
import threading

import pytest

from rig import Daemon, wait_for


def old_broker(answers, opened):
    """A server that knows MQTT 3.1.1 only: it refuses version 5 as the specification of 3.1.1 says, and closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                opened.append(server.accept()[0])
            except OSError:
                return
            threading.Thread(target=answer, args=(opened[-1],), daemon=True).start()

    def answer(connection):
        with contextlib.suppress(OSError, ValueError):  # the daemon is killed, the test is over
            packet = connection.recv(1000)
            level = packet[packet.index(b"MQTT") + 4]
            answers.append(level)
            connection.sendall(b"\x20\x02\x00\x00" if level == 4 else b"\x20\x02\x00\x01")
            if level != 4:
                connection.close()
                return
            packet = connection.recv(1000)  # SUBSCRIBE, or what the other connection publishes
            if packet and packet[0] == 0x82:
                connection.sendall(b"\x90\x03" + packet[2:4] + b"\x01")

    threading.Thread(target=serve, daemon=True).start()
    return server


def test_a_broker_that_refuses_version_5_is_spoken_to_in_3_1_1(tmp_path):
    levels, opened = [], []
    server = old_broker(levels, opened)
    daemon = Daemon(tmp_path, server.getsockname()[1], mqtt='reconnect_min = "100ms"').start()
    assert "protocol=3.1.1" in daemon.text()
    assert 5 in levels
    daemon.kill()
    for connection in (server, *opened):
        connection.close()


def test_the_embedded_broker(tmp_path):
    pytest.importorskip("iotcore")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = f"from iotcore import Broker; Broker(port={port}, listen='127.0.0.1').run_forever()"
    broker = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        daemon = Daemon(tmp_path, port, mqtt='reconnect_min = "100ms"').start()
        assert daemon.stop() == 0
    finally:
        broker.kill()
        broker.wait()


def test_a_broker_that_lets_nobody_in_is_named_once(broker, make_daemon):
    broker.kill()
    broker.settings.write_text(
        broker.settings.read_text().replace("allow_anonymous true", "allow_anonymous false")
    )
    broker.start()
    daemon = make_daemon(mqtt='reconnect_min = "100ms"').start(connected=False)
    wait_for(lambda: "Not authorized" in daemon.text(), what="the reason")
    assert daemon.stop() == 0
    assert daemon.text().count("link=in event=disconnected") <= 4
