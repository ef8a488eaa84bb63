"""`edgelstm tune`: it goes on where it was, and takes the smallest network that is near the best."""

import argparse
import importlib

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: tuning is skipped")
pytest.importorskip("optuna", reason="Optuna is not installed: tuning is skipped")

from edgelstm.errors import UsageError
from edgelstm.stream import load
from edgelstm_converters.training import TrainingSettings
from edgelstm_converters.training.tuning import Tried, choose, front

pytestmark = pytest.mark.torch


def call(*arguments: object) -> int:
    module = importlib.import_module("edgelstm.cli.tune")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return module.run(parser.parse_args([str(argument) for argument in arguments]))


def tried(number: int, loss: float, size: int) -> Tried:
    return Tried(number, TrainingSettings(), loss, size, 1000.0)


def test_the_smallest_within_the_tolerance_is_chosen():
    found = [tried(0, -1.00, 9000), tried(1, -0.99, 2000), tried(2, -0.97, 900), tried(3, -0.5, 100)]
    assert choose(found, 0.02).number == 1
    assert choose(found, 0.0).number == 0
    assert choose(found, 1.0).number == 3
    assert [one.number for one in front([*found, tried(4, -0.4, 5000)])] == [3, 2, 1, 0]


def test_a_search_writes_a_model_and_goes_on(tmp_path, capsys):
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(1200) / 7.0) + 0.1 * rng.normal(size=1200)
    data = tmp_path / "h.csv"
    data.write_text("ts,x\n" + "".join(f"{1700000000 + n},{x:.5g}\n" for n, x in enumerate(values)))
    model, plot = tmp_path / "m.elstm", tmp_path / "p.png"
    assert call(data, "-o", model, "--trials", 2, "--epochs", 3, "--plot", plot) == 0
    first = capsys.readouterr()
    assert "2/2" in first.err
    assert "<- chosen" in first.out
    assert plot.stat().st_size > 1000
    assert load(model).model.detector_settings is not None
    assert call(data, "-o", model, "--trials", 3, "--epochs", 3) == 0
    again = capsys.readouterr()
    assert "goes on after 2 trials" in again.err
    assert again.err.splitlines()[1].startswith("3/3  "), "one more trial, not three"


def test_wrong_numbers_name_themselves(tmp_path):
    with pytest.raises(UsageError, match="--trials is 0"):
        call(tmp_path / "none.csv", "-o", tmp_path / "m.elstm", "--trials", 0)
    with pytest.raises(UsageError, match="--tolerance is -1"):
        call(tmp_path / "none.csv", "-o", tmp_path / "m.elstm", "--tolerance", -1)
