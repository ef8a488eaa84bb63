"""The detector on a recording of a real water loop, without any network: its forecast is the last value."""

import os
from pathlib import Path

import numpy as np
import pytest

from detector_cases import persistence_model
from edgelstm.calibration import calibrate
from edgelstm.detector import Detector
from edgelstm.sources.recording import read
from edgelstm.stream import LoadedModel

CHANNELS = (
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
)


def test_a_closing_valve_is_found_by_its_flow_and_only_then():
    folder = os.environ.get("EDGELSTM_DATA")
    if not folder:
        pytest.skip("EDGELSTM_DATA is not set: the detector on a real recording is skipped")
    recording = read(Path(folder) / "skab" / "valve1" / "8.csv.gz", [*CHANNELS, "anomaly"])
    values, anomaly = np.ascontiguousarray(recording.values[:, :8]), recording.values[:, 8] > 0
    history = values[:400]
    model = LoadedModel(persistence_model(CHANNELS, history.mean(axis=0), history.std(axis=0)))
    detector = Detector(model, calibrate(model, recording.times_ns[:400], history, "1 per day"))
    alerts = detector.push_block(recording.times_ns, values).alerts
    raised = [alert for alert in alerts if alert.event_type == "raised"]
    delay = int(np.searchsorted(recording.times_ns, raised[0].time_ns)) - int(np.argmax(anomaly))
    assert 0 <= delay <= 30
    assert raised[0].channels[0].name == "Volume Flow RateRMS"
    assert raised[0].channels[0].share > 0.8


def test_nearly_ten_thousand_normal_rows_stay_near_the_budget():
    folder = os.environ.get("EDGELSTM_DATA")
    if not folder:
        pytest.skip("EDGELSTM_DATA is not set: the detector on a real recording is skipped")
    recording = read(Path(folder) / "skab" / "anomaly-free" / "anomaly-free.csv.gz", CHANNELS)
    history = recording.values[:6000]
    model = LoadedModel(persistence_model(CHANNELS, history.mean(axis=0), history.std(axis=0)))
    detector = Detector(model, calibrate(model, recording.times_ns[:6000], history, "1 per hour"))
    detector.push_block(recording.times_ns, recording.values)
    assert detector.counters["raised"] <= 6  # 2.6 are allowed
