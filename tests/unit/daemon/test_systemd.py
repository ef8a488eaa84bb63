"""Words to systemd: nobody who does not listen holds the daemon up."""

import socket

import pytest

from edgelstm.daemon import systemd


@pytest.fixture
def manager(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_a_socket_that_nobody_reads_does_not_block(manager, monkeypatch):
    monkeypatch.setattr(systemd, "PATIENCE_S", 0.01)
    for _ in range(600):  # far more than any queue holds; without a time limit this never ends
        systemd.notify("WATCHDOG=1")
    assert manager.recv(4096) == b"WATCHDOG=1"
