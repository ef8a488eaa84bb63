"""`edgelstm train`, from a file to a model that `edgelstm score` takes; wrong input is one line."""

import argparse
import importlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: training is skipped")

from detector_cases import START_NS
from edgelstm.errors import EdgeLstmError, RecordingError, UsageError
from edgelstm.stream import load

pytestmark = pytest.mark.torch


def call(verb: str, *arguments: object) -> int:
    module = importlib.import_module(f"edgelstm.cli.{verb}")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return module.run(parser.parse_args([str(argument) for argument in arguments]))


def write(path, count=2500, fault=slice(0, 0), every=10**6):
    rng = np.random.default_rng(3)
    t = np.arange(count)
    values = np.stack([np.sin(t / 6.0), np.cos(t / 11.0)], 1) + 0.05 * rng.normal(size=(count, 2))
    at_fault = (t % every >= fault.start) & (t % every < fault.stop)
    values[at_fault, 0] += 3.0
    rows = [
        f"{START_NS // 10**9 + n},{a:.5g},{b:.5g},7,{int(at_fault[n])}" for n, (a, b) in enumerate(values)
    ]
    path.write_text("ts,flow,pressure,flat,fault\n" + "\n".join(rows) + "\n")
    return path


def test_a_forecast_that_was_not_learned_is_told(tmp_path, capsys):
    """The next value of a slow wave is almost this one: one epoch learns less than that."""
    slow = [f"{START_NS // 10**9 + n},{np.sin(n / 300.0):.6g}" for n in range(3000)]
    (tmp_path / "slow.csv").write_text("ts,level\n" + "\n".join(slow) + "\n")
    assert call("train", tmp_path / "slow.csv", "-o", tmp_path / "m.elstm", "--epochs", 1) == 0
    assert (
        "warning: the forecast of level is more than twice as far off as the last value"
        in capsys.readouterr().out
    )
    assert (
        "the forecast of level is more than twice as far off as the last value"
        in (tmp_path / "m.html").read_text()
    )


def test_a_channel_that_rests_on_the_test_stretch_is_not_called_unlearned(tmp_path, capsys):
    """Its last value repeated is exact there, and no network is."""
    valve = [n // 40 % 2 if n < 2000 else 0 for n in range(3000)]
    rows = [f"{START_NS // 10**9 + n},{np.sin(n / 6.0):.6g},{valve[n]}" for n in range(3000)]
    (tmp_path / "h.csv").write_text("ts,flow,valve\n" + "\n".join(rows) + "\n")
    assert call("train", tmp_path / "h.csv", "-o", tmp_path / "m.elstm", "--epochs", 20) == 0
    said = capsys.readouterr().out
    assert "repeating the last value 0\n" in said
    assert "warning: the forecast" not in said


def test_a_file_becomes_a_detector_that_finds_a_fault(tmp_path, capsys):
    history, model = write(tmp_path / "history.csv"), tmp_path / "m.elstm"
    assert call("train", history, "-o", model, "--channels", "flow,pressure,flat", "--epochs", 15) == 0
    said = capsys.readouterr()
    assert 'channel "flat" left out: it is always 7' in said.out
    assert "flow: error int8" in said.out
    assert "15/15" in said.err
    assert (tmp_path / "m.html").read_text().startswith("<!doctype html>")
    assert not (tmp_path / "m.elstm.training").exists()
    assert load(model).channel_names == ("flow", "pressure")
    assert call("score", model, write(tmp_path / "fault.csv", 1200, slice(900, 960))) == 0
    assert "raised" in capsys.readouterr().out


def test_a_label_column_makes_a_classifier(tmp_path, capsys):
    history = write(tmp_path / "history.csv", 4000, slice(400, 480), 500)
    assert call("train", history, "-o", tmp_path / "m.elstm", "--label", "fault", "--epochs", 5) == 0
    assert "AUC" in capsys.readouterr().out
    assert load(tmp_path / "m.elstm").output_names == ("fault_logit",)


def test_a_test_stretch_of_one_class_is_no_proof(tmp_path, capsys):
    history = write(tmp_path / "history.csv", 2500, slice(400, 480), 1200)
    assert call("train", history, "-o", tmp_path / "m.elstm", "--label", "fault", "--epochs", 2) == 0
    said = capsys.readouterr().out
    assert "warning: the test stretch holds class 0 alone" in said
    assert "nan" not in said


def test_an_alert_that_is_open_when_the_test_stretch_begins_is_not_passed_over(tmp_path, capsys):
    """The test stretch raises none then, while the labels say that an event in it is found."""
    history = write(tmp_path / "history.csv", 2500, slice(2100, 2160))
    options = ("--label", "fault", "--task", "forecast", "--epochs", 15)
    assert call("train", history, "-o", tmp_path / "m.elstm", *options) == 0
    said = capsys.readouterr().out
    assert "the test stretch raises 0, and one is open when it begins, the budget allows" in said
    assert "1 of 1 events found" in said
    assert "and one that was open when it begins" in (tmp_path / "m.html").read_text()


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgelstm", "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_training_that_was_killed_goes_on_to_the_same_bits(tmp_path, capsys):
    history, model = write(tmp_path / "history.csv"), tmp_path / "m.elstm"
    options = ("--channels", "flow,pressure", "--epochs", 12)
    process = started(history, "-o", model, *options)
    try:
        while " 4/12  " not in (line := process.stderr.readline()):
            assert line, "it ended before its fourth epoch"
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not model.exists()
    assert call("train", history, "-o", model, *options) == 0
    said = re.search(r"m.elstm.training: goes on after epoch (\d+) of 12", capsys.readouterr().err)
    assert said is not None and int(said[1]) >= 3
    assert {path.name for path in tmp_path.glob("m.*")} == {"m.elstm", "m.html"}
    (tmp_path / "whole").mkdir()
    assert call("train", history, "-o", tmp_path / "whole" / "m.elstm", *options) == 0
    assert (tmp_path / "whole" / "m.elstm").read_bytes() == model.read_bytes()


def test_a_training_that_was_stopped_before_its_model_was_written_is_not_lost(tmp_path, capsys, monkeypatch):
    """What comes after the last epoch takes its time too: converting, calibrating, putting faults into the test stretch."""
    history, model = write(tmp_path / "history.csv"), tmp_path / "m.elstm"
    options = ("--channels", "flow,pressure", "--epochs", 3)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("edgelstm_converters.training.self_check.check", stop)
        assert call("train", history, "-o", model, *options) == 130
    assert "the same command goes on from" in capsys.readouterr().err
    assert call("train", history, "-o", model, *options) == 0
    assert "goes on after epoch 3 of 3" in capsys.readouterr().err
    assert not (tmp_path / "m.elstm.training").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--label", "nothing"], EdgeLstmError, "nothing"),
        (["--task", "classify"], UsageError, "--label"),
        (["--hidden", "0"], UsageError, "hidden is 0, expected 1 to 1024"),
        (["--budget", "often"], UsageError, "often"),
        (["--channels", "flow,presure"], RecordingError, 'did you mean "pressure"'),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, error, words):
    history = write(tmp_path / "history.csv", 600)
    with pytest.raises(error, match=words) as caught:
        call("train", history, "-o", tmp_path / "m.elstm", *arguments)
    assert "\n" not in str(caught.value)


def test_nowhere_to_write_and_nothing_to_read(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        call("train", write(tmp_path / "h.csv", 600), "-o", tmp_path / "none" / "m.elstm")
    with pytest.raises(RecordingError, match="10 rows are too few"):
        call("train", write(tmp_path / "ten.csv", 10), "-o", tmp_path / "m.elstm")
    (tmp_path / "text.csv").write_text("ts,x\n1,2\n2,3\n3,oops\n")
    with pytest.raises(RecordingError, match=r'row 4, column "x": "oops" is not a number'):
        call("train", tmp_path / "text.csv", "-o", tmp_path / "m.elstm")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (["-o", "h.csv"], "is a file that is read"),
        (["-o", "notes.txt"], "is there already and is no model file"),
        (["-o", "folder"], "is a folder"),
        (["-o", "m.html"], "is where the page goes"),
        (["-o", "m.elstm", "--report", "h.csv"], "is a file that is read"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "calibrate"])
def test_nothing_that_is_no_model_is_written_over(tmp_path, monkeypatch, verb, output, words):
    if verb == "calibrate" and ("--report" in output or "m.html" in output):
        pytest.skip("calibrate writes no page")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "h.csv", 600)
    (tmp_path / "notes.txt").write_text("of the night shift")
    (tmp_path / "folder").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(UsageError, match=words):
        call(verb, *(["--pretrained"] if verb == "calibrate" else []), "h.csv", *output)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_calibrate_chooses_signals_and_keeps_given_channels_unjudged(tmp_path, capsys):
    history, model = write(tmp_path / "history.csv"), tmp_path / "m.elstm"
    train = ("--channels", "flow", "--given", "pressure", "--epochs", 3)
    assert call("train", history, "-o", model, *train) == 0
    again = (
        "--signals",
        "error,repeat",
        "--reach",
        0.25,
        "--threshold",
        3.5,
        "--recovery",
        0.3,
        "--readout",
        500,
    )
    assert call("calibrate", model, history, "-o", model, *again) == 0
    assert "readout      learns on from " in capsys.readouterr().out
    channels = load(model).model.detector_settings.channels
    assert [list(channel.evidence) for channel in channels] == [["error", "repeat"], []]
    assert load(model).model.detector_settings.threshold == 3.5
    assert load(model).model.detector_settings.readout_memory == 500
    assert len(channels[0].readout) == load(model).detector().readout.features
    for wrong, words in (
        (("--signals", "errors"), "is no signal"),
        (("--reach", -1), "expected 0.001"),
        (("--recovery", 2), "expected 0.01"),
        (("--readout", 99), "expected at least 100 samples"),
    ):
        with pytest.raises(UsageError, match=words):
            call("calibrate", model, history, "-o", model, *wrong)
