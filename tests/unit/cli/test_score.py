"""`edgelstm calibrate` and `edgelstm score`, from files to printed events."""

import argparse
import importlib
import json

import numpy as np
import pytest

from detector_cases import START_NS, noise, persistence_model
from edgelstm import model_file
from edgelstm.alert_payload import event_line
from edgelstm.detector_settings import SIGNALS
from edgelstm.errors import EdgeLstmError, RecordingError, UsageError
from edgelstm.sources.time_text import to_ns
from edgelstm.stream import load

NAMES = ["flow", "pressure", "current"]


def call(verb: str, *arguments: object) -> int:
    module = importlib.import_module(f"edgelstm.cli.{verb}")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return module.run(parser.parse_args([str(argument) for argument in arguments]))


def write_csv(path, values, start_ns=START_NS):
    rows = [f"{start_ns / 1e9 + n:.0f}," + ",".join(f"{x:.6g}" for x in row) for n, row in enumerate(values)]
    path.write_text("\n".join(["ts," + ",".join(NAMES), *rows]) + "\n")
    return path


@pytest.fixture
def files(tmp_path):
    """A model, a history, and a recording with a fault in rows 400 to 499."""
    model = tmp_path / "m.elstm"
    model_file.save(persistence_model(NAMES, [10, 10, 10], [1, 2, 3]), model)
    history = write_csv(tmp_path / "history.csv", noise(1, 3000))
    values = noise(2, 800)
    values[400:500, 0] += 15.0
    return tmp_path, model, history, write_csv(tmp_path / "pump 7.csv", values, START_NS + 3000 * 10**9)


@pytest.fixture
def detector(files, capsys):
    folder, model, history, _ = files
    out = folder / "d.elstm"
    assert call("calibrate", model, history, "-o", out) == 0
    capsys.readouterr()
    return out


def test_calibrate_says_what_it_found(files, capsys):
    folder, model, history, _ = files
    out = folder / "d.elstm"
    assert call("calibrate", model, history, "-o", out, "--budget", "1 per day", "--on-missing", "skip") == 0
    printed = capsys.readouterr().out
    for words in (
        "3000, 2970 of them scored",
        "period       1 s",
        "none; policy skip",
        "one in 86400 samples",
    ):
        assert words in printed
    assert "50.0 minutes of history cannot show what happens 1 per day" in printed
    settings = load(out).model.detector_settings
    assert settings is not None
    assert settings.on_missing == "skip"
    assert settings.budget == "1 per day"


def test_score_prints_events_and_a_summary(files, detector, capsys):
    assert call("score", detector, files[3], "--node", "gw1") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert " raised " in lines[0]
    assert " cleared " in lines[-1]
    assert "flow " in lines[0]
    assert "flow (" in lines[0]
    assert "over after" in lines[-1]
    assert len({line.split()[2] for line in lines}) == 1
    assert "800 samples" in err
    assert "1 alert raised" in err
    assert "1 per week" in err


def test_score_as_json_has_the_fields_of_the_daemon(files, detector, capsys):
    call("score", detector, files[3], "--json", "--node", "gw1", "--stream", "p7")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [events[0]["event_type"], events[-1]["event_type"]] == ["raised", "cleared"]
    first = events[0]
    assert next(iter(first)) == "event_type"
    assert (first["v"], first["node"], first["stream"], first["model"]) == (1, "gw1", "p7", "persistence")
    assert len(first["id"]) == 26
    assert first["ts"].endswith("Z")
    assert sum(first["channels"].values()) == pytest.approx(1.0)
    assert first["reasons"][0]["name"] == "flow"
    assert first["reasons"][0]["signal"] in SIGNALS
    assert first["text"].startswith(f"flow {first['reasons'][0]['says']}")
    assert f"%) {first['reasons'][0]['says']}" in event_line(first)
    older = first | {
        "reasons": [{k: v for k, v in first["reasons"][0].items() if k not in ("signal", "says")}]
    }
    assert "%) is " in event_line(older), "of a node that does not say it in words yet"
    opened = to_ns(first["ts"])
    assert events[-1]["duration_s"] == (to_ns(events[-1]["ts"]) - opened) / 1e9
    call("score", detector, files[3], "--json", "--node", "gw1")
    assert json.loads(capsys.readouterr().out.splitlines()[0])["stream"] == "pump 7"


def test_scores_are_exact(files, detector, capsys):
    from edgelstm.sources.recording import read

    call("score", detector, files[3], "--scores", "-")
    rows = [row.split(",") for row in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["time_ns", "score", "threshold", "state"]
    loaded = load(detector)
    recording = read(files[3], loaded.channel_names)
    verdicts = loaded.detector().push_block(recording.times_ns, recording.values)
    scores = np.array([float(row[1] or "nan") for row in rows[1:]])
    np.testing.assert_array_equal(scores, verdicts.scores)
    assert [int(row[0]) for row in rows[1:]] == recording.times_ns.tolist()
    assert {row[3] for row in rows[1:]} == {"", "ok", "anomaly"}


def test_plot(files, detector, capsys):
    pytest.importorskip("matplotlib")
    picture = files[0] / "p.png"
    call("score", detector, files[3], "--plot", picture)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 20_000
    with pytest.raises(UsageError, match="no such folder to write"):
        call("score", detector, files[3], "--plot", files[0] / "absent" / "p.png")


@pytest.mark.parametrize(("name", "words"), [("p.foo", ".foo is no kind of picture"), ("p", "has no ending")])
def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_scored(
    files, detector, capsys, name, words
):
    pytest.importorskip("matplotlib")
    with pytest.raises(UsageError, match=words):
        call("score", detector, files[3], "--plot", files[0] / name)
    assert capsys.readouterr().out == ""


def test_the_picture_marks_what_is_not_judged_and_which_channels_alerted(files, detector):
    """The beginning is warm-up where a detector was there before, and was taken for normal where it was made from it."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    from edgelstm.cli.score_plot import Curves
    from edgelstm.sources.recording import read

    loaded = load(detector)
    recording = read(files[3], loaded.detector().channel_names)
    verdicts = loaded.detector().push_block(recording.times_ns, recording.values)
    for until_ns, words in ((None, "warm-up: not judged"), (int(recording.times_ns[99]), "taken for normal")):
        curves = Curves(recording.names, until_ns)
        curves.add(recording, verdicts)
        figure = curves._figure(pyplot, "d")
        before, *_ = figure.axes[recording.names.index("flow")].patches
        assert figure.axes[0].texts[0].get_text() == words
        width_days = before.get_width()
        assert width_days * 86_400 == pytest.approx(99.0 if until_ns else loaded.detector().settings.warm_up)
        blamed = [axis.patches[1].get_alpha() for axis in figure.axes]
        assert blamed[recording.names.index("flow")] == blamed[-1] == max(blamed) > min(blamed)
        pyplot.close(figure)


def test_mistakes_are_one_line(files, detector):
    folder, model, history, data = files
    cases = [
        (("score", model, data), EdgeLstmError, "carries no detector"),
        (("score", folder / "absent.elstm", data), EdgeLstmError, "no such file"),
        (("score", detector, folder / "absent.csv"), RecordingError, "no such file"),
        (("calibrate", model, history, "-o", folder / "x", "--budget", "often"), UsageError, "budget"),
        (("calibrate", model, history, "-o", folder / "x", "--raise-after", "3"), UsageError, "K/N"),
        (
            ("calibrate", model, history, "-o", folder / "x", "--raise-after", "6/5"),
            EdgeLstmError,
            "raise_after",
        ),
        (("calibrate", model, history, "-o", folder / "x", "--gap-reset", "-1"), UsageError, "--gap-reset"),
    ]
    short = write_csv(folder / "short.csv", noise(1, 20))
    cases.append(
        (("calibrate", model, short, "-o", folder / "x"), EdgeLstmError, "short.csv: the history has 20")
    )
    for arguments, error, says in cases:
        with pytest.raises(error) as caught:
            call(*arguments)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (folder / "x").exists()


@pytest.mark.parametrize("option", ["--plot", "--scores"])
def test_what_is_read_is_not_written_over(files, detector, option):
    folder, _, _, recording = files
    before = detector.read_bytes(), recording.read_bytes()
    for path in (detector, recording):
        with pytest.raises(UsageError, match="is a file that is read"):
            call("score", detector, recording, option, path)
    with pytest.raises(UsageError, match="no such folder to write s to"):
        call("score", detector, recording, option, folder / "none" / "s")
    assert before == (detector.read_bytes(), recording.read_bytes())


def test_the_pretrained_detector_needs_no_model_and_no_training(files, capsys):
    _, _, _, data = files
    assert call("score", "--pretrained", data, "--history", 300) == 0
    said = capsys.readouterr()
    assert (
        "general detector, 3 channels (flow, pressure, current); the first 300 rows are taken for normal"
        in said.err
    )
    assert "raised" in said.out


def test_alerts_in_what_was_taken_for_normal_are_counted_apart(files, capsys):
    values = noise(2, 800)
    values[200:206, 0] += 25.0
    values[500:530, 0] += 25.0
    data = write_csv(files[0] / "two.csv", values, START_NS + 3000 * 10**9)
    assert call("score", "--pretrained", data, "--history", 450, "--budget", "1 per 100 s", "--json") == 0
    said = capsys.readouterr()
    last_ns = START_NS + (3000 + 449) * 10**9
    raised = [one for one in map(json.loads, said.out.splitlines()) if one["event_type"] == "raised"]
    within = sum(to_ns(one["ts"]) <= last_ns for one in raised)
    assert 0 < within < len(raised)
    assert f"{len(raised)} alerts raised, {within} of them in what was taken for normal, " in said.err


def test_the_pretrained_detector_becomes_a_model_file(files):
    folder, _, history, data = files
    assert (
        call("calibrate", "--pretrained", history, "-o", folder / "g.elstm", "--channels", "flow,current")
        == 0
    )
    assert load(folder / "g.elstm").channel_names == ("flow", "current")
    assert call("score", folder / "g.elstm", data) == 0


def test_labels_say_how_well_it_was_told(files, capsys):
    folder, model, history, data = files
    call("calibrate", model, history, "-o", folder / "d.elstm", "--budget", "1 per day")
    lines = data.read_text().splitlines()
    labelled = [lines[0] + ",fault"] + [f"{line},{int(400 <= n < 500)}" for n, line in enumerate(lines[1:])]
    (folder / "l.csv").write_text("\n".join(labelled) + "\n")
    assert call("score", folder / "d.elstm", folder / "l.csv", "--label", "fault") == 0
    assert "1 of 1 events found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{data}"], "expected MODEL and DATA, or --pretrained DATA"),
        (["--pretrained", "{model}", "{data}"], "--pretrained takes no model file"),
        (["{model}", "{data}", "--history", "300"], "--history is for --pretrained only"),
        (["--pretrained", "{data}", "--history", "9000"], "--history is 9000, expected 1 to 800"),
        (["--pretrained", "{data}", "--label", "nothing"], 'no column "nothing"'),
    ],
)
def test_what_does_not_go_with_pretrained(files, arguments, words):
    _, model, _, data = files
    with pytest.raises(EdgeLstmError, match=words):
        call("score", *(argument.format(model=model, data=data) for argument in arguments))


def test_ten_rows_and_rows_that_never_move_name_the_file(files):
    folder, model, _, _ = files
    few = write_csv(folder / "few.csv", noise(1, 10))
    with pytest.raises(EdgeLstmError, match=r"few\.csv: the history has 10 usable rows"):
        call("score", "--pretrained", few)
    still = write_csv(folder / "still.csv", np.full((600, 3), 7.0))
    with pytest.raises(RecordingError, match=r"still\.csv: no channel ever moves: there is nothing to watch"):
        call("score", "--pretrained", still)
    with pytest.raises(EdgeLstmError, match=r"still\.csv: no channel ever moves in it"):
        call("calibrate", model, still, "-o", folder / "x")


def test_what_did_not_move_at_first_is_told_and_watched(files, capsys):
    values = np.full((900, 3), 7.0)
    values[:, 1] = noise(1, 900)[:, 1]
    values[700:, 0] = 9.0
    moved = write_csv(files[0] / "moved.csv", values)
    assert call("score", "--pretrained", moved) == 0
    out, err = capsys.readouterr()
    assert "never moved in them: flow, current" in err
    assert "flow" in out.splitlines()[0]


def test_the_size_of_the_parts_changes_nothing(files, detector, capsys, monkeypatch):
    """Events, scores, labels and summary are the same bits, read in one part or in forty."""
    from edgelstm.sources import csv_recording

    folder, _, _, data = files
    lines = data.read_text().splitlines()
    fault = [int(395 <= n < 500 or 600 <= n < 700) for n in range(len(lines) - 1)]
    labelled = [lines[0] + ",fault", *(f"{line},{at}" for line, at in zip(lines[1:], fault, strict=True))]
    (folder / "l.csv").write_text("\n".join(labelled) + "\n")
    found = []
    for cells in (400_000, 5 * 20):
        monkeypatch.setattr(csv_recording, "_CELLS_AT_ONCE", cells)
        call("score", detector, folder / "l.csv", "--label", "fault", "--json", "--scores", folder / "s.csv")
        found.append((capsys.readouterr(), (folder / "s.csv").read_text()))
    assert found[0] == found[1]
    assert "1 of 2 events found" in found[0][0].err
    assert "event F1 0.667" in found[0][0].err


@pytest.mark.parametrize("size", [1, 3, 100])
def test_agreement_goes_on_from_part_to_part(size):
    from edgelstm.label_score import Agreement, judge

    rng = np.random.default_rng(size)
    states = np.repeat(rng.integers(-1, 2, 200), rng.integers(1, 6, 200)).astype(np.int8)
    labels = np.repeat(rng.choice([0.0, 1.0, np.nan], 300), rng.integers(1, 6, 300)).astype(np.float32)
    count = min(states.size, labels.size)
    times_ns = np.arange(count, dtype=np.int64) * 10**9
    parts = Agreement()
    for at in range(0, count, size):
        part = slice(at, min(at + size, count))
        parts.add(times_ns[part], states[part], labels[part], 10**9)
    assert parts.result() == judge(times_ns, states[:count], labels[:count], 10**9)
