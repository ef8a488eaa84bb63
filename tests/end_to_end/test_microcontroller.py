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


SIMULATE = [sys.executable, "-m", "edgelstm", "simulate", "mcu", "--model", str(MODEL)]


def test_one_command_from_the_device_that_decides_to_an_alert_on_the_broker(broker, subscribe):
    """Sensor, firmware with model and detector, serial line, daemon, broker; `watch` prints what arrived."""
    seen, url = subscribe("edgelstm/simulated/#"), f"mqtt://127.0.0.1:{broker.port}"
    watch = [sys.executable, "-m", "edgelstm", "watch", "--broker", url, "-C", "1", "-W", "180"]
    watching = subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    command = [*SIMULATE, "--core", "cortex-m4", "--broker", url, "--fault", "cavitation@6:3"]
    device = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        (alert, *_) = wait_for(lambda: seen.of("stream/mcu/alert"), what="the alert", timeout_s=180)
        shown, _ = watching.communicate(timeout=60)
    finally:
        watching.kill()
        device.send_signal(signal.SIGTERM)
        _, said = device.communicate(timeout=60)
    assert (alert["event_type"], alert["stream"]) == ("raised", "mcu")
    assert alert["score"] > alert["threshold"] and alert["samples"] == 1
    assert abs(sum(alert["channels"].values()) - 1.0) < 1e-6
    assert alert["id"] in shown
    assert "samples and verdicts" in said and "samples taken" in said
    health = wait_for(lambda: seen.of("simulated/health"), what="the health message")[-1]
    assert health["counters"]["serial_bytes_damaged"] == health["counters"]["serial_frames_missing"] == 0
    states = seen.of("stream/mcu/state")
    assert states[-1]["counters"]["raised"] == 1 and states[-1]["state"] == "anomaly"


def test_a_fault_at_the_sensor_becomes_an_alert(make_daemon, subscribe, tmp_path):
    line = tmp_path / "line"
    source = f'[[input]]\nname = "mcu"\nsource = "serial:{line}"\nformat = "raw"\nmodel = "pump"'
    daemon, seen = make_daemon(extra=source).start(), subscribe("edgelstm/gw/#")
    command = [*SIMULATE, "--samples-only", "--link", str(line)]
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
