"""`edgelstm tune`: it goes on where it was, shares a study, and takes the smallest network that is near the best."""

import argparse
import dataclasses
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: tuning is skipped")
pytest.importorskip("optuna", reason="Optuna is not installed: tuning is skipped")

import optuna

from edgelstm.cli.tune_plot import lower_left
from edgelstm.errors import UnavailableError, UsageError
from edgelstm.sources.recording import Recording, read
from edgelstm.stream import LoadedModel, load
from edgelstm_converters.training import TrainingSettings, loop, workflow
from edgelstm_converters.training.dataset import examine
from edgelstm_converters.training.trial_error import Measure, Watched, measure_of
from edgelstm_converters.training.tuning import Tried, choose, front, host, search

pytestmark = pytest.mark.torch


def call(*arguments: object) -> int:
    module = importlib.import_module("edgelstm.cli.tune")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return module.run(parser.parse_args([str(argument) for argument in arguments]))


SEARCH = """
import json, sys
from edgelstm.sources.recording import read
from edgelstm_converters.training import TrainingSettings
from edgelstm_converters.training.dataset import examine
from edgelstm_converters.training.tuning import choose, search
data = examine([read(sys.argv[1])])
found = search(data, TrainingSettings(epochs=2), int(sys.argv[3]), sys.argv[2], print, heartbeat_s=1, grace_s=3)
print(json.dumps([choose(found, 0.02).number, len(found)]))
"""
"""What a process of its own runs: DATA STUDY TRIALS."""


def write(path, count=1200, fault=range(0), seed=0):
    rng = np.random.default_rng(seed)
    values = np.sin(np.arange(count) / 7.0) + 0.1 * rng.normal(size=count)
    labels = np.zeros(count, int)
    labels[list(fault)] = 1
    values[labels == 1] += 4.0
    rows = (
        f"{1700000000 + n},{x:.5g},{label}" for n, (x, label) in enumerate(zip(values, labels, strict=True))
    )
    path.write_text("ts,x,fault\n" + "\n".join(rows) + "\n")
    return path


def start(data, study, trials):
    command = [sys.executable, "-c", SEARCH, str(data), str(study), str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def states(study) -> list[str]:
    """Return the states of all trials in a file with one study."""
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{study}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        names = optuna.get_all_study_names(storage)
        return [trial.state.name for trial in optuna.load_study(study_name=names[0], storage=storage).trials]
    except Exception:
        return []  # the file is being made


def tried(number: int, error: float, size: int, latency: float = 1.0) -> Tried:
    return Tried(number, TrainingSettings(), error, error, size, latency)


def test_the_smallest_within_the_tolerance_is_chosen():
    found = [tried(0, -1.00, 9000), tried(1, -0.99, 2000), tried(2, -0.97, 900), tried(3, -0.5, 100)]
    assert choose(found, 0.02).number == 1
    assert choose(found, 0.0).number == 0
    assert choose(found, 1.0).number == 3
    assert [one.number for one in front([*found, tried(4, -0.4, 5000)])] == [3, 2, 1, 0]


def test_what_is_faster_is_on_the_front_unless_by_noise():
    found = [
        tried(0, -1.0, 1000, 10.0),
        tried(1, -0.9, 2000, 5.0),
        tried(2, -0.9, 3000, 4.9),
        tried(3, -1.0, 1000, 11.0),
    ]
    assert [one.number for one in front(found)] == [0, 1]
    assert lower_left([(3.0, 1.0), (1.0, 2.0), (2.0, 2.5)]) == [(1.0, 2.0), (3.0, 1.0)]


def test_a_search_writes_a_model_and_goes_on(tmp_path, capsys):
    data, model, plot = write(tmp_path / "h.csv"), tmp_path / "m.elstm", tmp_path / "p.png"
    common = (data, "-o", model, "--channels", "x", "--epochs", 3)
    assert call(*common, "--trials", 2, "--plot", plot) == 0
    first = capsys.readouterr()
    assert "2/2" in first.err
    assert "<- chosen" in first.out
    assert "bytes of weights, us a sample" in first.out
    assert plot.stat().st_size > 1000
    assert load(model).model.detector_settings is not None
    assert call(*common, "--trials", 3) == 0
    again = capsys.readouterr()
    assert "goes on after 2 trials" in again.err
    assert again.err.splitlines()[2].startswith("3/3  "), "one more trial, not three"


def test_labels_judge_the_detector_and_are_not_learned(tmp_path, capsys):
    faults = [*range(700, 740), *range(1230, 1270), *range(1420, 1460)]
    data, model = write(tmp_path / "h.csv", 1500, faults), tmp_path / "m.elstm"
    common = (data, "-o", model, "--channels", "x", "--epochs", 3, "--trials", 2)
    assert call(*common, "--label", "fault") == 0
    said = capsys.readouterr()
    assert "event F1" in said.err
    assert "against the labels of the test stretch: " in said.out
    assert load(model).output_names == ("x",)
    at_test = float(said.out.split("event F1 ")[-1].split()[0])
    assert at_test > 0.6, "a fault of forty deviations is found"


def test_a_classifier_is_judged_by_its_events(tmp_path, capsys):
    faults = [*range(300, 340), *range(700, 740), *range(1230, 1270), *range(1420, 1460)]
    data = write(tmp_path / "h.csv", 1500, faults)
    common = (data, "-o", tmp_path / "m.elstm", "--channels", "x", "--epochs", 3, "--trials", 2)
    assert call(*common, "--label", "fault", "--task", "classify") == 0
    said = capsys.readouterr()
    assert "networks are judged by the F1 of events: rows 1,051 to 1,275 hold 1" in said.err
    assert "event F1" in said.out


def judged(labels, classes, task):
    """Return how networks are judged of a recording with such labels."""
    data = dataclasses.replace(
        examine([one_channel()]), labels=None if labels is None else np.array(labels), classes=classes
    )
    return measure_of(data, task, "1 per week")


def one_channel():
    return Recording(
        np.arange(1000, dtype=np.int64) * 10**9, np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32), ("x",),
        10**9, "ts",
    )  # fmt: skip


def test_it_is_said_by_what_networks_are_judged():
    early, late = [1] * 100 + [0] * 900, [0] * 750 + [1] * 20 + [2] * 20 + [0] * 210
    assert (
        judged(None, (), "forecast").why
        == "networks are judged by their loss, as no --label says what is a fault"
    )
    found = judged(early, ("0", "1"), "classify")
    assert (found.name, found.error_name) == ("", "validation loss")
    assert "their loss, as the labels name no fault in rows 701 to 850" in found.why
    assert judged(late, ("0", "1"), "forecast").error_name == "1 - event F1"
    assert judged(late, ("0", "1", "2"), "forecast").name == "event F1"
    assert judged(late, ("0", "1", "2"), "classify").name == "class F1"


def test_where_labels_judge_a_network_is_given_up_by_them_and_seldom():
    """The loss falls throughout; what is reported is what the labels say, of a network converted at a third and two thirds."""
    data = examine([one_channel()])
    settings = TrainingSettings(epochs=6)
    run = loop.begin(settings, data)
    reported = []
    by_labels = Measure("event F1", "", lambda model, _: 0.25 if model.channels[0].name == "x" else 1.0)
    loop.advance(
        run,
        settings,
        data,
        Watched(by_labels, run, settings, data, lambda *one: reported.append(one)),
        lambda _: None,
    )
    assert reported == [(0.25, 0), (0.25, 1)]
    reported.clear()
    run = loop.begin(settings, data)
    by_loss = Measure("", "", None)
    loop.advance(
        run,
        settings,
        data,
        Watched(by_loss, run, settings, data, lambda *one: reported.append(one)),
        lambda _: None,
    )
    assert reported == [(found, n + 1) for n, (_, found) in enumerate(run.history)]


def test_a_class_score_is_of_the_validation_stretch():
    labels = [n // 10 % 3 for n in range(1000)]
    data = dataclasses.replace(examine([one_channel()]), labels=np.array(labels), classes=("0", "1", "2"))
    settings = TrainingSettings(task="classify", epochs=1)
    model = workflow.convert_network(loop.begin(settings, data), settings, data, "m").model
    error = measure_of(data, "classify", "1 per week").error(model, settings)
    x = (data.filled * data.std + data.mean).astype(np.float32)
    said = LoadedModel(model).stream().run(x)[700:850].argmax(axis=1)
    truth = data.labels[700:850]
    scores = [
        2 * ((said == k) & (truth == k)).sum() / max((said == k).sum() + (truth == k).sum(), 1)
        for k in (1, 2)
    ]
    assert error == pytest.approx(1.0 - np.mean(scores))


def test_where_labels_say_nothing_the_loss_chooses():
    mute = [
        dataclasses.replace(tried(n, loss, size), error=1.0)
        for n, loss, size in ((0, -0.9, 900), (1, 0.4, 100))
    ]
    assert choose(mute, 0.02).number == 0
    assert choose([*mute, tried(2, 0.5, 5000)], 0.02).number == 2


def test_labels_that_cannot_judge_are_one_line(tmp_path):
    data = write(tmp_path / "h.csv", 1500, range(10, 40))
    with pytest.raises(UsageError, match=r"no fault in rows 1,05\d to 1,27\d"):
        call(data, "-o", tmp_path / "m.elstm", "--label", "fault", "--trials", 1, "--epochs", 1)


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="no compiler for a Cortex-M is installed"
)
def test_a_core_is_a_target(tmp_path, capsys):
    pytest.importorskip("unicorn", reason="no emulator is installed")
    data, plot = write(tmp_path / "h.csv"), tmp_path / "p.png"
    common = (data, "-o", tmp_path / "m.elstm", "--channels", "x", "--epochs", 1, "--trials", 1)
    assert call(*common, "--target", "cortex-m4", "--plot", plot) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if "instructions a sample on a cortex-m4" in line)
    size, instructions = (int(word.replace(",", "")) for word in lines[at + 1].split()[:2])
    assert 4_000 < size < 300_000
    assert 1_000 < instructions < 1_000_000


def test_two_processes_share_a_study_and_do_not_overrun(tmp_path):
    data, study = write(tmp_path / "h.csv"), tmp_path / "shared.study"
    both = [start(data, study, 5), start(data, study, 5)]
    found = []
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        found.append(json.loads(out.splitlines()[-1]))
    ended = [state for state in states(study) if state != "FAIL"]
    assert len(ended) == 5
    assert set(ended) <= {"COMPLETE", "PRUNED"}
    assert found[0] == found[1], "the one that is done first waits for the other"


def test_what_was_killed_is_given_up_and_its_place_taken(tmp_path):
    data, study = write(tmp_path / "h.csv"), tmp_path / "killed.study"
    process = start(data, study, 1000)
    try:
        limit = time.monotonic() + 120
        while (now := states(study)).count("RUNNING") == 0 or len(now) < 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < limit
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    before = states(study)
    wanted = sum(state in ("COMPLETE", "PRUNED") for state in before) + 2
    loaded = examine([read(data)])
    search(loaded, TrainingSettings(epochs=2), wanted, str(study), heartbeat_s=1, grace_s=3)
    after = states(study)
    assert sum(state in ("COMPLETE", "PRUNED") for state in after) == wanted
    assert "RUNNING" not in after
    assert after.count("FAIL") == before.count("RUNNING")


def test_networks_that_draw_alike_would_be_wasted(tmp_path):
    """Two searches that begin at once draw by the numbers of their trials, not by their seed alone."""
    data = examine([read(write(tmp_path / "h.csv"))])
    found = search(data, TrainingSettings(epochs=1), 4, str(tmp_path / "s"), target=host())
    again = search(data, TrainingSettings(epochs=1), 4, str(tmp_path / "t"))
    assert len({one.settings.learning_rate for one in found}) == 4
    assert [one.settings for one in found] == [one.settings for one in again]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--trials", 0), UsageError, "--trials is 0"),
        (("--tolerance", -1), UsageError, "--tolerance is -1"),
        (
            ("--target", "cortex-m99"),
            UsageError,
            'cortex-m99" is not known; expected one of: host, cortex-m0',
        ),
        (("--task", "classify"), UsageError, "needs --label NAME"),
        (("--study", "nowhere/a?b"), UsageError, 'cannot have a "\\?"'),
        (("--study", "nodriver://u:secret@h/d"), UsageError, "cannot be opened"),
        (("--study", "{text}"), UsageError, "cannot be opened as a study: file is not a database"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, error, words):
    data, text = write(tmp_path / "h.csv", 500), tmp_path / "text.txt"
    text.write_text("no study, but long enough to be taken for a damaged database\n" * 20)
    given = [str(one).replace("{text}", str(text)) for one in arguments]
    with pytest.raises((error, UnavailableError), match=words) as caught:
        call(data, "-o", tmp_path / "m.elstm", *given)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
