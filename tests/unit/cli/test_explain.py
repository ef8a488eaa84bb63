"""`edgelstm explain`: the channel and the samples that did it, the gates as the twin computes them."""

import argparse
import importlib

import numpy as np
import pytest

from detector_cases import START_NS, noise, times
from edgelstm import model_file
from edgelstm.calibration import examine
from edgelstm.errors import UsageError
from edgelstm.explanation import explain
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
    import dataclasses

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
    assert any("1 in " in line for line in lines)
    text = page.read_text()
    for words in ("What spoke", "Which samples", "forget gate", "cell"):
        assert words in text


def test_what_is_occluded_lowers_the_score_where_the_fault_is(files):
    model, data, _ = files
    from edgelstm.sources.recording import read

    recording = read(data, load(model).channel_names)
    found = explain(load(model), recording.times_ns, recording.values, 405)
    channel, part = np.unravel_index(found.occluded.argmax(), found.occluded.shape)
    assert channel == 1
    assert part >= found.occluded.shape[1] - 2
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


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("row:9999", "row:0 to row:499"),
        ("soon", "is no time"),
        ("1990-01-01", "not within"),
        ("row:3", "warm-up"),
    ],
)
def test_a_time_that_cannot_be_explained_is_one_line(files, at, words):
    model, data, _ = files
    with pytest.raises(UsageError, match=words):
        call(model, data, "--at", at)
