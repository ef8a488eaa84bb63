"""Real sensors through a real broker: a model trained on the allowed part of a recording, then the daemon and `score`."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgelstm.cli import main
from edgelstm.sources import recording
from rig import wait_for

pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EDGELSTM_DATA", "/nonexistent"))
SKAB_CHANNELS = (
    "Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage",
    "Volume Flow RateRMS",
)  # fmt: skip
CASES = {  # which file, its channels, what the network may see, and how many rows the detector is calibrated on
    "skab": ("skab/valve1/*.csv.gz", SKAB_CHANNELS, "skab/anomaly-free/anomaly-free.csv.gz", None, 400),
    "nab": ("nab/realKnownCause/*_system_failure.csv.gz", ("value",), None, 750, 750),
}


def first_file(pattern):
    if not DATA.is_dir():
        pytest.skip("EDGELSTM_DATA does not name the folder of recordings: real recordings are not replayed")
    found = sorted(DATA.glob(pattern))
    assert found, f"{DATA} has no {pattern}"
    return found[0]


def write_rows(path, data, rows):
    """Write the first rows of a recording as a CSV of its own."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time_ns", *data.names])
        for time_ns, row in zip(data.times_ns[:rows].tolist(), data.values[:rows].tolist(), strict=True):
            writer.writerow([time_ns, *row])
    return path


def train(folder, source, channels, rows):
    """Run the example script, as a user would, and return the model of its network, in int8."""
    command = [
        sys.executable,
        str(ROOT / "examples" / "train_forecaster.py"),
        str(source),
        "-o",
        str(folder / "net"),
    ]
    command += [
        "--channels",
        ",".join(channels),
        "--epochs",
        "8",
        "--batch",
        "4",
        "--bptt",
        "32",
        "--hidden",
        "24",
    ]
    subprocess.run(command + (["--rows", str(rows)] if rows else []), check=True, capture_output=True)
    data = recording.read(source, channels)
    history = write_rows(folder / "history.csv", data, rows or len(data.values))
    convert = ["convert", str(folder / "net.pt"), "--scaling", str(folder / "net.scaling.json")]
    convert += [
        "--calibrate",
        str(history),
        "--channels",
        ",".join(channels),
        "-o",
        str(folder / "net.elstm"),
    ]
    assert main(convert) == 0
    return folder / "net.elstm"


@pytest.mark.parametrize("case", CASES)
def test_daemon_and_score_agree_to_the_bit(case, tmp_path, make_daemon, subscribe, publish, capsys):
    pattern, channels, training, rows, calibrated = CASES[case]
    source = first_file(pattern)
    network = train(tmp_path, first_file(training) if training else source, channels, rows)
    data = recording.read(source, channels)
    normal = write_rows(tmp_path / "normal.csv", data, calibrated)
    model = tmp_path / "detector.elstm"
    assert main(["calibrate", str(network), str(normal), "--budget", "1 per day", "-o", str(model)]) == 0
    capsys.readouterr()
    command = ["score", str(model), str(source), "--json", "--node", "gw", "--stream", case]
    assert main([*command, "--scores", str(tmp_path / "scores.csv")]) == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with open(tmp_path / "scores.csv", newline="") as file:
        scores = [row for row in csv.DictReader(file) if row["score"]]
    assert len(scores) > len(data.values) // 2

    seen = subscribe("edgelstm/gw/stream/#")
    daemon = make_daemon(model=model)
    daemon.config.write_text(daemon.config.read_text().replace('sequence = "seq"', ""))
    daemon.start()
    for first in range(0, len(data.values), 500):  # scores are QoS 0: a subscriber far behind would miss some
        part = slice(first, first + 500)
        publish.rows(data.times_ns[part], data.values[part], first=first, node=case, names=channels)
        last_ns = int(data.times_ns[part].max())
        due = sum(int(row["time_ns"]) <= last_ns for row in scores)
        wait_for(lambda due=due: seen.count("/score", due), what="the scores so far")
    assert [score["score"] for score in seen.of("/score")] == [float(row["score"]) for row in scores]
    assert [score["threshold"] for score in seen.of("/score")] == [float(row["threshold"]) for row in scores]
    wait_for(lambda: len(seen.of("/alert")) == len(expected), what="every alert")
    for received, wanted in zip(seen.of("/alert"), expected, strict=True):
        for key in (
            "id",
            "event_type",
            "ts",
            "score",
            "peak_score",
            "threshold",
            "severity",
            "samples",
            "reasons",
        ):
            assert received[key] == wanted[key], key
    assert expected, "a recording with a fault raises an alert"
    assert np.isfinite([score["score"] for score in seen.of("/score")]).all()
    assert daemon.stop() == 0
