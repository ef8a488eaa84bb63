"""The report of a conversion: figures from the model itself, a page that needs nothing beside it, and a limit that holds."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from edgelstm.cli import main
from edgelstm.errors import ConversionError
from edgelstm_converters import report
from edgelstm_converters.layers.float_layer import Quantised
from edgelstm_converters.quantize import Vector


class Tags(HTMLParser):
    """Collects tags, and complains about what loads something."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        assert not {"src", "href"} & {name for name, _ in attributes}
        self.seen.append(tag)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    from safetensors.numpy import save_file

    folder, rng = tmp_path_factory.mktemp("report"), np.random.default_rng(0)
    save_file(
        {
            "rnn.weight_ih_l0": rng.normal(0, 0.5, (32, 2)).astype(np.float32),
            "rnn.weight_hh_l0": rng.normal(0, 0.5, (32, 8)).astype(np.float32),
            "head.weight": rng.normal(0, 0.5, (2, 8)).astype(np.float32),
        },
        folder / "m.safetensors",
    )
    t = np.arange(400)
    rows = np.stack([np.sin(t / 9), np.cos(t / 14)], axis=1)
    np.savetxt(folder / "h.csv", rows, delimiter=",", header="flow,<pressure>", comments="")
    return folder


def convert(folder, *more):
    return main(
        [
            "convert",
            str(folder / "m.safetensors"),
            "--calibrate",
            str(folder / "h.csv"),
            "-o",
            str(folder / "m.elstm"),
            *more,
        ]
    )


def test_the_page_stands_alone(converted, capsys):
    assert convert(converted, "--report", str(converted / "r.html")) == 0
    text = (converted / "r.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert {"table", "svg", "polyline", "rect"} <= set(tags.seen)
    assert "&lt;pressure&gt;" in text and "<pressure>" not in text
    assert not re.search(r"https?://", text)
    printed = capsys.readouterr().out
    snr = re.search(r"output SNR ([\d.]+) dB", printed).group(1)
    assert f"<b>{snr} dB</b>" in text
    assert "samples judged differently" in printed
    bytes_of_all, products = 32 * (2 + 8) + 2 * 8, 32 * (2 + 8) + 2 * 8
    assert (
        f"<b>all</b></td><td></td><td></td><td>{bytes_of_all}</td><td>{products}</td><td>{snr} dB</td>"
        in text
    )
    assert text.count("max error") == text.count("saturated") == text.count("worst unit") == 1
    assert "2 outputs; those that lost most" in text and "-0.0 dB" not in text


def test_too_large_a_loss_fails_and_names_the_layer(converted, capsys):
    (converted / "m.elstm").unlink(missing_ok=True)
    assert convert(converted, "--max-loss", "140") == ConversionError.exit_code
    said = capsys.readouterr().err
    assert re.search(r'less than the 140 dB asked for; layer "rnn" is at [\d.]+ dB, its unit \d', said)
    assert not (converted / "m.elstm").exists()


def test_a_page_that_cannot_be_written(converted, capsys):
    assert convert(converted, "--report", str(converted / "no" / "r.html")) == 2
    assert "no: no such folder to write r.html to" in capsys.readouterr().err


def test_decisions_are_counted_on_the_sample_that_was_forecast():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (500, 1)).astype(np.float32)
    exact = np.roll(x, -1, axis=0) + rng.normal(0, 0.1, (500, 1)).astype(np.float32)
    found = exact.copy()
    exact[100] += 3.0  # both miss
    found[100] += 3.0
    found[200] += 3.0  # only int8 does
    from edgelstm.model import Channel, Model, Output

    model = Model(channels=(Channel(name="a"),), outputs=(Output(name="a", scale=1.0),), layers=())
    told = report.decisions(model, x, found, exact, spreads=6.0)
    assert (told.by_float, told.by_int8, told.differ) == (1, 2, 1)
    other = Model(channels=(Channel(name="a"),), outputs=(Output(name="b", scale=1.0),), layers=())
    assert report.decisions(other, x, found, exact) is None


def test_a_value_is_saturated_at_the_end_of_what_carries_it():
    """int16 to the next layer, with an offset or without; int32 where an output has finer steps."""
    found = np.float32([[0.5, 1.0, -1.0], [2.0, 0.0, 3.0]])
    to_next = Quantised(None, Vector.uniform(3, 2.0**-15), np.full(3, 2.0**-15))
    assert report._saturated(to_next, found, last=True) == 4
    shifted = Quantised(None, Vector(np.full(3, 2.0**-15), np.float64([0, 0, 2.5])), np.full(3, 2.0**-15))
    assert report._saturated(shifted, found, last=False) == 3
    finer = Quantised(None, Vector.uniform(3, 2.0**-15), np.full(3, 2.0**-23))
    assert report._saturated(finer, found, last=True) == 0
    assert report._saturated(finer, found, last=False) == 4
