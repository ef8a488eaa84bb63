"""`edgelstm explain`: the channel and the samples that did it, the gates as the twin computes them."""

import argparse
import dataclasses
import importlib
import re

import numpy as np
import pytest

from detector_cases import START_NS, noise, times
from edgelstm import model_file
from edgelstm.calibration import examine
from edgelstm.cli.explain import Place, walk
from edgelstm.cli.explain_text import rarity
from edgelstm.errors import UsageError
from edgelstm.explanation import explain
from edgelstm.pretrained import general_detector
from edgelstm.sources.recording import parts, read
from edgelstm.stream import LoadedModel, load
from factories import random_model


def call(*arguments: object) -> int:
    module = importlib.import_module("edgelstm.cli.explain")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return module.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def files(tmp_path):
    """A small LSTM with a detector, and a recording whose second channel jumps at sample 400."""
    model = random_model(5, inputs=3, layers=(("lstm", 7), ("linear", 3)))
    names = tuple(channel.name for channel in model.channels)
    loaded = LoadedModel(model)
    settings = examine(loaded, times(2000), noise(1, 2000)).settings
    path = tmp_path / "m.elstm"
    model_file.save(dataclasses.replace(model, detector_settings=settings), path)
    values = noise(2, 500)
    values[400:, 1] += 25.0
    rows = [f"{START_NS // 10**9 + n}," + ",".join(f"{x:.6g}" for x in row) for n, row in enumerate(values)]
    (tmp_path / "d.csv").write_text("\n".join([f"ts,{','.join(names)}", *rows]) + "\n")
    return path, tmp_path / "d.csv", names


def test_it_names_the_channel_and_draws_the_page(files, capsys):
    model, data, names = files
    page = data.with_suffix(".html")
    assert call(model, data, "--at", "row:405", "-o", page) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "sample 405: score" in lines[0]
    assert lines[1].startswith(f"{names[1]}:")
    assert any("above its usual" in line for line in lines)
    assert any("without its values" in line for line in lines)
    text = page.read_text()
    assert re.search(r"<li>It has been \S+ above its usual ", text)
    assert f"<h1>Alert: {names[1]} does not behave as usual.</h1>" in text
    for words in ("Which moments did it", "forget gate", "cell", "green: expected"):
        assert words in text


def test_what_was_done_to_the_recording_is_said(files, capsys):
    """Rows of a file whose newest comes first are counted from its oldest."""
    model, data, _ = files
    assert call(model, data, "--at", "row:405") == 0
    straight = capsys.readouterr()
    head, *rows = data.read_text().splitlines()
    data.write_text("\n".join([head, *rows[::-1]]) + "\n")
    assert call(model, data, "--at", "row:405") == 0
    turned = capsys.readouterr()
    assert turned.out == straight.out
    assert "its newest row comes first: turned round" in turned.err


def explained(model, data, row, length=60):
    loaded = load(model)
    detector = loaded.detector()
    with parts(data, detector.channel_names) as opened:
        window, found = walk(opened, Place(f"row:{row}", str(data)), detector, length)
    assert found == row
    return explain(loaded, detector, window.times_ns, window.values)


def test_what_is_occluded_lowers_the_score_where_the_fault_is(files):
    model, data, names = files
    found = explained(model, data, 405)
    channel, part = np.unravel_index(found.occluded.argmax(), found.occluded.shape)
    assert channel == 1
    assert part >= found.occluded.shape[1] - 2
    recording = read(data, names)
    whole = load(model).detector().push_block(recording.times_ns[:406], recording.values[:406])
    assert found.verdict.score == whole.scores[-1]
    (gates,) = found.gates.values()
    (cells,) = found.cells.values()
    assert gates.shape == (4, 60, 7)
    assert cells.shape == (60, 7)
    assert (gates[[0, 1, 3]] >= 0.0).all()
    assert (gates[[0, 1, 3]] <= 1.0).all()
    i, f, g, _ = gates
    np.testing.assert_allclose(cells[1:], f[1:] * cells[:-1] + i[1:] * g[1:], atol=1e-4)


def test_the_file_is_read_in_parts_up_to_the_sample(files):
    """Parts of seven rows, and one of three, give what one part gives; what comes after the sample is not read."""
    model, data, names = files
    whole, recording = explained(model, data, 405), read(data, names)
    for rows in (7, 3):
        blocks = [
            (recording.times_ns[n : n + rows], recording.values[n : n + rows]) for n in range(0, 500, rows)
        ]
        taken = []
        opened = [
            dataclasses.replace(recording, times_ns=times_ns, values=values) for times_ns, values in blocks
        ]
        detector = load(model).detector()
        window, row = walk(
            (taken.append(n) or one for n, one in enumerate(opened)), Place("row:405", "d.csv"), detector, 60
        )
        assert row == 405
        assert len(taken) == 405 // rows + 1
        found = explain(load(model), detector, window.times_ns, window.values)
        assert found.verdict == whole.verdict
        np.testing.assert_array_equal(found.occluded, whole.occluded)
        np.testing.assert_array_equal(found.bands, whole.bands)


def test_the_band_is_of_what_the_loudest_signal_judges(files):
    """A level is judged by a short mean, which moves a sixteenth of the jump a sample; the other channels stay within."""
    found = explained(*files[:2], 405)
    assert found.spoke[1] == "level"
    assert (found.judged[-6:, 1] != found.values[-6:, 1]).all()
    outside = (found.judged < found.bands[0]) | (found.judged > found.bands[1])
    assert outside[-3:, 1].all()
    assert outside[:-6].mean() < 0.1
    assert np.isfinite(found.bands[:, :, [0, 2]]).all()


def test_a_network_that_sees_channels_apart_is_explained_by_its_channels(tmp_path, capsys):
    values = noise(3, 1600)
    values[1200:, 2] += 12.0
    rows = [f"{START_NS // 10**9 + n}," + ",".join(f"{x:.6g}" for x in row) for n, row in enumerate(values)]
    data, model = tmp_path / "d.csv", tmp_path / "m.elstm"
    data.write_text("\n".join(["ts,a,b,c", *rows]) + "\n")
    loaded, found = general_detector(("a", "b", "c"), times(1000), values[:1000], "1 per day")
    model_file.save(dataclasses.replace(loaded.model, detector_settings=found.settings), model)
    assert call(model, data, "--at", "row:1210") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("c: ")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("row:9999", "row:0 to row:499"),
        ("soon", "is no time"),
        ("1990-01-01", "not within .*, which begins at 20"),
        ("2190-01-01", "not within .*, which ends at 20"),
        ("row:3", "warm-up"),
    ],
)
def test_a_time_that_cannot_be_explained_is_one_line(files, at, words):
    model, data, _ = files
    with pytest.raises(UsageError, match=words):
        call(model, data, "--at", at)


@pytest.mark.parametrize(
    ("surprise", "words"),
    [
        (0.3, "nothing rare"),
        (3.0, "1 in 1,000: once in 16.7 minutes of normal running"),
        (5.4649, "1 in 290,000: once in 3.4 days of normal running"),
        (8.0, "far rarer than its history can tell"),
    ],
)
def test_how_rare_it_is_has_two_digits_at_most(surprise, words):
    assert rarity(surprise, 10**9) == words
