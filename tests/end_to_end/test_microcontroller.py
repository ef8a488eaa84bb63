"""From firmware in an emulated core over its serial line to an alert on a real broker."""

import importlib.util
import shutil
import signal
import subprocess
import sys

import pytest

from rig import MODEL, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("arm-none-eabi-gcc") and importlib.util.find_spec("unicorn")),
        reason="no arm-none-eabi-gcc and unicorn: no firmware runs",
    ),
]


def test_a_fault_at_the_sensor_becomes_an_alert(make_daemon, subscribe, tmp_path):
    line = tmp_path / "line"
    source = f'[[input]]\nname = "mcu"\nsource = "serial:{line}"\nformat = "raw"\nmodel = "pump"'
    daemon, seen = make_daemon(extra=source).start(), subscribe("edgelstm/gw/#")
    command = [
        sys.executable,
        "-m",
        "edgelstm",
        "simulate",
        "mcu",
        "--model",
        str(MODEL),
        "--link",
        str(line),
    ]
    device = subprocess.Popen([*command, "--fault", "cavitation@8:4"], stderr=subprocess.PIPE, text=True)
    try:
        alerts = "stream/mcu/alert"
        wait_for(lambda: seen.of(alerts), what="the alert", timeout_s=120)
    finally:
        device.send_signal(signal.SIGTERM)
        _, said = device.communicate(timeout=60)
    assert seen.of(alerts)[0]["event_type"] == "raised"
    assert "samples taken" in said
    assert not line.is_symlink()
    assert daemon.stop() == 0
    assert "malformed" not in daemon.counts()
