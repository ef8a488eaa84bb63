"""The first minute of a user: the demo shows its alert, and leaves nothing behind however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rig import MOSQUITTO, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


def processes_below(folder):
    """Return the command lines of processes that were started with a path in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found


def start(folder, *options):
    command = [sys.executable, "-m", "edgelstm", "demo", "--plain", "--keep", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("fault", ["cavitation", "blockage"])
def test_the_alert_comes(tmp_path, fault):
    demo = start(tmp_path / "demo", "--fault", fault)
    out, err = demo.communicate(timeout=150)
    assert demo.returncode == 0, err
    assert "ALERT over MQTT" in out
    assert "fault to alert" in out
    assert "sample to alert" in out
    assert "edgelstm run gateway.toml" in out  # what to do next
    assert err == ""
    assert processes_below(tmp_path) == []


def test_too_little_time_is_said(tmp_path):
    demo = start(tmp_path / "demo", "--seconds", "2")
    _, err = demo.communicate(timeout=150)
    assert demo.returncode == 1
    assert err.startswith("edgelstm: no alert for pump2 within 2 s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_it(tmp_path, number):
    demo = start(tmp_path / "demo")
    wait_for(lambda: (tmp_path / "demo" / "daemon.log").exists() and "subscribed" in (tmp_path / "demo" / "daemon.log").read_text(),
             what="the daemon of the demo")  # fmt: skip
    assert processes_below(tmp_path)
    demo.send_signal(number)
    out, _ = demo.communicate(timeout=60)
    assert demo.returncode == (-9 if number == signal.SIGKILL else 130)
    assert "Traceback" not in out
    time.sleep(0.2)
    wait_for(lambda: not processes_below(tmp_path), what=f"the end of {processes_below(tmp_path)}")
