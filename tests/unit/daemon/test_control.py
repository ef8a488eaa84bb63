"""Requests to a daemon: every one has an answer, whatever it is."""

import json
import socket
import stat
import threading

import pytest

from edgelstm.daemon.control import ControlSocket, answer, ask
from edgelstm.daemon.errands import Errands
from edgelstm.errors import UnavailableError, UsageError


def refuse(request):
    raise UsageError("not today")


VERBS = {"ping": lambda request: request, "refuse": refuse}


@pytest.fixture
def control(tmp_path):
    made = ControlSocket(tmp_path / "control", VERBS)
    made.start()
    yield tmp_path / "control"
    made.stop()


def test_an_answer_carries_the_transaction_of_its_request():
    found = json.loads(answer(VERBS, lambda verb: True, "ping", b'{"transaction": "a", "x": 1}'))
    assert found == {"transaction": "a", "status": "ok", "data": {"x": 1}}


@pytest.mark.parametrize("content", [b"[]", b"1", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5000])
def test_what_is_no_request_is_an_error_in_the_answer(content):
    found = json.loads(answer(VERBS, lambda verb: True, "ping", content))
    assert found["status"] == "error" and 0 < len(found["error"]) <= 300


def test_verbs_that_are_unknown_or_not_allowed():
    assert '"pong" is no request; known here: ping, refuse' in answer(
        VERBS, lambda verb: True, "pong", b""
    ).decode().replace("\\", "")
    assert "is not in control.allow" in answer(VERBS, lambda verb: False, "ping", b"").decode()


def test_the_socket_is_private_and_answers(control):
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    assert ask(control, "ping", {"n": 1}) == {"n": 1}
    with pytest.raises(UsageError, match="not today"):
        ask(control, "refuse")
    with socket.socket(
        socket.AF_UNIX
    ) as connection:  # one that says nothing must not keep the others out for long
        connection.connect(str(control))
    assert ask(control, "ping") == {}


def test_nobody_answers(tmp_path):
    with pytest.raises(UnavailableError, match="no daemon answers"):
        ask(tmp_path / "control", "ping")


def test_errands_are_run_by_the_thread_that_does_them():
    errands, ending = Errands(), threading.Event()

    def work():
        while not ending.wait(0.01):
            errands.do()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert errands.run(threading.current_thread) is worker
        with pytest.raises(UsageError, match="not today"):
            errands.run(lambda: refuse({}))
    finally:
        ending.set()
        worker.join()
