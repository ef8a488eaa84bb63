"""Every live source through the same checks: lines in, messages out, held back, acknowledged, stopped."""

import contextlib
import os
import socket
import stat
import threading

import pytest

from edgelstm import sources
from edgelstm.config import Config, InputConfig, NodeConfig
from edgelstm.errors import UnavailableError
from edgelstm.sources import lines_of_stdin
from edgelstm.sources.lines import LONGEST, WINDOW
from rig import wait_for


class FileWriter:
    def __init__(self, path):
        self.path = path

    def write(self, content):
        with open(self.path, "ab") as file:
            file.write(content)


class SocketWriter:
    def __init__(self, path):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(path))

    def write(self, content):
        _in_background(self.connection.sendall, content)


class PipeWriter:
    def __init__(self, end):
        self.end = end

    def write(self, content):
        _in_background(os.write, self.end, content)


def here(folder):
    """Return a configuration whose state is in `folder`."""
    return Config(node=NodeConfig(state_dir=str(folder)))


def _in_background(write, *arguments):
    def run():
        with contextlib.suppress(OSError):  # the reader may go before it has read everything
            write(*arguments)

    threading.Thread(target=run, daemon=True).start()


@pytest.fixture(
    params=sorted(set(sources.SOURCES) - {"serial", "nats"})
)  # which carry no lines: unit/sources/test_frames.py, end_to_end/test_nats.py
def opened(request, tmp_path, monkeypatch):
    """A started source, what it handed on, and something that writes to it."""
    scheme, address, got = request.param, "" if request.param == "stdin" else str(tmp_path / "in"), []
    if scheme == "stdin":
        reading, writing = os.pipe()
        stdin = os.fdopen(reading)
        monkeypatch.setattr(lines_of_stdin.sys, "stdin", stdin)
    entry = InputConfig(name="line", source=f"{scheme}:{address}", model="m")
    source = sources.make(entry, here(tmp_path), got.append)
    source.start()
    writer = {"file": FileWriter, "unix": SocketWriter, "stdin": PipeWriter}[scheme](
        writing if scheme == "stdin" else address
    )
    yield source, got, writer
    if scheme == "stdin":
        os.close(writing)
    if scheme == "unix":
        writer.connection.close()
    source.stop()
    if scheme == "stdin":
        stdin.close()


def test_lines_become_messages_whatever_they_are_cut_into(opened):
    source, got, writer = opened
    writer.write(b'{"a":1}\n\n{"a"')
    wait_for(lambda: len(got) == 1, what="the first line")
    writer.write(b":2}\r\n\xff\x00\n")
    wait_for(lambda: len(got) == 3, what="three lines")
    assert [message.payload for message in got] == [b'{"a":1}', b'{"a":2}', b"\xff\x00"]
    assert {message.topic for message in got} == {"line"}
    assert all(message.origin is source and message.qos == 1 for message in got)
    assert source.ended == ""


def test_a_writer_is_held_back_until_lines_are_acknowledged(opened):
    source, got, writer = opened
    writer.write(b"".join(b"%d\n" % n for n in range(WINDOW + 500)))
    wait_for(lambda: len(got) == WINDOW, what="as many as may be on their way")
    for message in got[:100]:
        source.acknowledge([message])
    wait_for(lambda: len(got) == WINDOW + 100, what="room for a hundred more")
    assert [int(message.payload) for message in got] == list(range(WINDOW + 100))


def test_a_line_without_an_end_does_not_fill_the_memory(opened):
    _, got, writer = opened
    writer.write(b"x" * (3 * LONGEST) + b"\nnext\n")
    wait_for(lambda: len(got) == 2, what="both lines")
    assert len(got[0].payload) == LONGEST + 1  # which is more than any payload may have
    assert got[1].payload == b"next"


def test_a_file_is_followed_over_a_restart_rotation_and_truncation(tmp_path):
    path, entry = tmp_path / "log", InputConfig(name="log", source=f"file:{tmp_path / 'log'}", model="m")

    def take(count, before=lambda: None):
        got = []
        source = sources.make(entry, here(tmp_path), got.append)
        source.start()
        before()
        wait_for(lambda: len(got) == count, what=f"{count} lines")
        for message in got:
            source.acknowledge([message])
        source.stop()
        return [message.payload for message in got]

    path.write_bytes(b"one\ntwo\nhal")
    assert take(2) == [b"one", b"two"]
    with open(path, "ab") as file:
        file.write(b"f\nthree\n")
    assert take(2) == [b"half", b"three"]

    def rotate():
        path.rename(tmp_path / "log.1")
        path.write_bytes(b"four\n")

    assert take(1, rotate) == [b"four"]
    path.write_bytes(b"5\n")  # the same file, cut
    assert take(1) == [b"5"]
    path.unlink()
    assert take(1, lambda: path.write_bytes(b"six\n")) == [b"six"]


def test_only_our_own_user_may_write_to_the_socket(tmp_path):
    entry = InputConfig(name="s", source=f"unix:{tmp_path / 'in'}", model="m")
    source = sources.make(entry, here(tmp_path), list)
    assert stat.S_IMODE((tmp_path / "in").stat().st_mode) == 0o600
    source.start()
    source.stop()
    assert not (tmp_path / "in").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UnavailableError, match="no socket can be opened there"):
        sources.make(
            InputConfig(name="s", source=f"unix:{tmp_path / 'file'}", model="m"), here(tmp_path), list
        )
    assert (tmp_path / "file").read_text() == "mine"
